"""Kubeflow: types of artifacts, names of images and values of parameters; light to import."""
