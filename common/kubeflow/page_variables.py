"""Page variables: by which tasks are told where browsers find pages, for links."""

KUBEFLOW_PAGE = "BODYPOSENET_KUBEFLOW_PAGE"  # Kubeflow's
MLFLOW_PAGE = "BODYPOSENET_MLFLOW_PAGE"  # MLflow's, if that is not where tasks find its server
