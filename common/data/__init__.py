"""Data: annotations to records, records to batches."""
