"""Stores: those that are reached by requests to a server, and what all stores have in common."""
