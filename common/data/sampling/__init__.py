"""Sampling: photos that stand for a dataset, for calibration."""
