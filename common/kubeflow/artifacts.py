"""Artifacts: the types of what components hand to each other.

A running task imports this module, so nothing here may use ``dsl.component``. Kubeflow Pipelines takes schema titles of
its own ``system`` and ``google`` namespaces only (kubeflow/pipelines#11505).
"""

from kfp import dsl


class PhotoSet(dsl.Dataset):
    """Photos and COCO keypoint files: ``images/`` and ``annotations/``, or ``source.json`` that names their folder."""

    schema_title = "system.PhotoSet"
    schema_version = "0.0.1"


class CalibrationPhotos(dsl.Dataset):
    """Training photos that stand for the whole set, in ``images/``."""

    schema_title = "system.CalibrationPhotos"
    schema_version = "0.0.1"


class PoseDataset(dsl.Dataset):
    """Record shards of the sets ``train`` and ``val``, their ``manifest.json`` and ``dataset_spec.json``."""

    schema_title = "system.PoseDataset"
    schema_version = "0.0.1"


class PoseModel(dsl.Model):
    """A Keras pose network: ``model.keras``, with its card inside, and what its training left."""

    schema_title = "system.PoseModel"
    schema_version = "0.0.1"


class OnnxPoseModel(dsl.Model):
    """A pose network as ``model.onnx``, or quantized as ``model.int8.onnx`` and ``model.int8.cpu.onnx``."""

    schema_title = "system.OnnxPoseModel"
    schema_version = "0.0.1"


class PoseEngine(dsl.Model):
    """A network compiled for GPUs: ``model.engine``, and ``model.engine.json``, which says what it is and for which."""

    schema_title = "system.PoseEngine"
    schema_version = "0.0.1"


class ServingBundle(dsl.Artifact):
    """An exported network with the files that DeepStream or Triton serves it by."""

    schema_title = "system.ServingBundle"
    schema_version = "0.0.1"


class Detections(dsl.Artifact):
    """People found in a test set: ``detections.json``, ``detections_coco_format.json``, ``results.csv``, and a page."""

    schema_title = "system.Detections"
    schema_version = "0.0.1"


class DraftLabels(dsl.Artifact):
    """People found in new photos, as files that a labelling tool imports, and ``order.csv``, hardest photos first."""

    schema_title = "system.DraftLabels"
    schema_version = "0.0.1"


class HoldOut(dsl.Artifact):
    """Photos that champions and new networks meet on: ``photos.json`` and ``hold_out.zip``, or where these are."""

    schema_title = "system.HoldOut"
    schema_version = "0.0.1"
