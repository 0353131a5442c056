"""Video: frames of files and cameras, and who in one frame is who in the next."""
