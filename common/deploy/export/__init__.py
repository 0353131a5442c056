"""Export: a Keras network becomes an ONNX file of the form that its users want."""
