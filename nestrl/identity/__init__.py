"""What stands in for a label: tasks are recognised, and their changes noticed, where a run is not told them."""
