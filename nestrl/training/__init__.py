"""The run: configuration, trainer, run folder, checkpoints, reference curves and what is shown meanwhile."""
