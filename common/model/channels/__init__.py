"""Channels: where those of a network are born, and the same network with others."""
