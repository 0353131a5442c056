"""Importers: what annotation tools export, read as one COCO document."""

from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.data.importers.label_studio import Joints
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.data.importers.photo_names import match

__all__ = ["Fault", "Joints", "load_document", "match"]
