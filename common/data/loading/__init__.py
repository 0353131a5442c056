"""Loading: records become batches of augmented samples."""
