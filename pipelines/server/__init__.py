"""Server: Kubeflow Pipelines, how it is reached, what it is asked, and what it refuses."""
