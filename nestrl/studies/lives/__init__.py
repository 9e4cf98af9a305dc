"""Learning the meta-controller over whole lives: CMA-ES proposes, the pool of studies lives, a journal remembers."""
