"""Command line: `bpnet pipeline` and `bpnet schedule`."""
