"""By tf2onnx: networks with layers that are not written here, traced as TensorFlow runs them.

The full network would take 8.2 GB so.
"""

from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf2onnx

from bodyposenet.common.deploy.export.canonical import canonicalise
from bodyposenet.common.deploy.export.onnx_operations import in_onnx_operations
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from onnx import ModelProto

NEWEST = 18  # opset that tf2onnx 1.17 writes


def trace_network(network: Any, opset: int) -> "ModelProto":
    """Convert a two-output Keras network to a canonical ONNX model.

    Args:
        network: A ``keras.Model`` in float32, channels last.
        opset: Of ONNX.

    Raises:
        UserError: The opset is too new for tf2onnx.
    """
    if opset > NEWEST:
        fix = f"give one up to {NEWEST}"
        raise UserError(f"tf2onnx, which this network needs, writes no opset {opset}", where="opset", fix=fix)
    traced = in_onnx_operations(network)
    signature = [tf.TensorSpec((None, None, None, 3), tf.float32, name=INPUT)]

    def draw(input_1: Any) -> dict[str, Any]:
        return {name: tf.identity(value) for name, value in zip(OUTPUTS, traced(input_1, training=False), strict=True)}

    maps = tf.function(draw, input_signature=signature)
    exported, _ = tf2onnx.convert.from_function(maps, input_signature=signature, opset=opset)
    canonicalise(exported, {layer.name for layer in network.layers}, OUTPUTS)
    model: ModelProto = exported
    return model
