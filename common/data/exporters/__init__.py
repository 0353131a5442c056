"""Exporters: people in photos, as the files that labelling tools import."""
