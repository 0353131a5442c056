"""Runs: find them on a Kubeflow server, follow one to its end, and say why it failed."""
