"""Dtype policy: the precision that a network computes in, whichever it was saved with."""

from typing import Any

import keras

FLOAT32 = "float32"
REGULARIZERS = ("kernel_regularizer", "depthwise_regularizer", "bias_regularizer")


def convert_policy(model: Any, policy: str, *, regularized: bool = True) -> Any:
    """Copy a network into another numeric precision; its outputs stay float32.

    Args:
        model: A functional ``keras.Model``.
        policy: A Keras dtype policy.
        regularized: False drops all regularisation, as TAO does when it trains a pruned network.
    """
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}

    def remade(layer: Any) -> Any:
        config = layer.get_config()
        config["dtype"] = FLOAT32 if layer.name in outputs else policy
        if not regularized:
            config |= {key: None for key in REGULARIZERS if key in config}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=remade)
    copy.set_weights(model.get_weights())
    return copy


def is_mixed(model: Any) -> bool:
    """Tell whether any layer of a network computes in another precision than float32."""
    return any(layer.compute_dtype != FLOAT32 for layer in model.layers)
