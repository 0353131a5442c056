"""Model: the network, its loss and its training."""
