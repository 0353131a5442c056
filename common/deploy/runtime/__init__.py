"""Runtime: what executes a model file, and how fast."""
