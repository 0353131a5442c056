"""Inference: photos in, people out, for one photo or for very many."""
