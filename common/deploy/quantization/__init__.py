"""Quantization: ranges observed, thresholds chosen, 8 bits written into the graph."""
