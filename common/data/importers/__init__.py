"""Importers: what annotation tools export, read as one COCO document."""
