"""Files: what may be touched on the word of another file, and how several appear together."""
