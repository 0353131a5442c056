"""Report: what a pipeline run did, on one page."""
