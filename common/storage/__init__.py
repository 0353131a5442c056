"""Storage: files on a disk or in a bucket, whole or not at all, encrypted or not."""
