"""Pod: whether this process runs in a container of Kubernetes."""

IN_A_POD = "KUBERNETES_SERVICE_HOST"  # Kubernetes sets it in every container
