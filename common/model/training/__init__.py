"""Training: plan, loop, checkpoints, and the processes that train together."""
