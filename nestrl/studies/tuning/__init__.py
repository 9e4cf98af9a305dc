"""Search of options: trials on development lives, proposed by Optuna, run by the pool of studies."""
