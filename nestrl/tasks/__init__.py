"""What is to be learned: tasks, segments, sequences and the space they share. Data only: no torch, no training."""
