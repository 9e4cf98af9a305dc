"""Who learns: stable-baselines3 algorithms with policies of ours, on any gymnasium environment."""
