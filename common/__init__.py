"""The library: everything that the command line and the components call."""
