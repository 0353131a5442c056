"""Adoption: networks that others trained and published openly, as networks of this project."""
