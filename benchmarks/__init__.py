"""Benchmarks: what this project is measured by, as ratios taken in one run."""
