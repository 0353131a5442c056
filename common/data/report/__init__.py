"""Dataset report: what is in a dataset, counted and shown on one page."""
