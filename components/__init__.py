"""Components: one Kubeflow Pipelines component a file."""
