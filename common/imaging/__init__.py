"""Imaging: photos fitted to a network, their headers and masks; no network, no annotation."""
