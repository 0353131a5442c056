"""Annotations: COCO files read, checked, and whose people count."""
