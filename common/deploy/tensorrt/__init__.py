"""TensorRT: engines built, kept in files and executed on a GPU."""
