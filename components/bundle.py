"""bundle: an exported network with the files that a server wants."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def bundle(
    onnx: dsl.Input[artifacts.OnnxPoseModel],
    server: str,
    files: dsl.Output[artifacts.ServingBundle],
    name: str = "bodyposenet",
    batch_size: int = 1,
    peaks: int = 0,
) -> None:
    """Write a network with the configuration of a server: normalisation, order, names, skeleton.

    Args:
        onnx: Exported or quantized network; of the latter the form for TensorRT is taken.
        server: deepstream or triton.
        files: The network, open whatever the model key, for no server knows one; and what goes with it.
        name: Of the model, in Triton's repository.
        batch_size: Most pictures of a batch.
        peaks: Also put out so many peaks of each joint.
    """
    from bodyposenet.common import tasks

    tasks.bundle(onnx.path, files.path, server=server, name=name, batch_size=batch_size, peaks=peaks)
    files.metadata.update(onnx.metadata, server=server)
