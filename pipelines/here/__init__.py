"""Here: a compiled pipeline run on this machine, shown to whoever waits for it, and ended with them."""
