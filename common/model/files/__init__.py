"""Model files: Keras, TAO's .hdf5 and weights by themselves, read, written and transferred."""
