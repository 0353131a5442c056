"""Deploy: ONNX, INT8 and the runners that execute a model."""
