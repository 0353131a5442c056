"""Random small networks: branches that part and meet again, and an interpreter that can hide channels from readers."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

IMAGE = (6, 6, 3)
PER_CHANNEL = ("norm", "relu", "pool", "depthwise")
MEETING = ("add", "multiply", "maximum")


@dataclass(frozen=True)
class Step:
    """One call of a layer: reads tensors by number (0 is the image), makes the next."""

    kind: str
    layer: str
    inputs: tuple[int, ...]
    filters: int = 0


@st.composite
def nets(draw, most=7):
    """Steps of a network, every open end closed by an output convolution."""
    steps, widths = [], [IMAGE[-1]]

    def append(kind, *inputs, filters=0, layer=None):
        made = filters or sum(widths[i] for i in inputs) if kind in ("conv", "concat") else widths[inputs[0]]
        steps.append(Step(kind, layer or f"{kind}_{len(widths)}", inputs, filters))
        widths.append(made)
        return len(widths) - 1

    append("conv", 0, filters=draw(st.integers(2, 9)))
    for _ in range(draw(st.integers(2, most))):
        kind = draw(st.sampled_from(("conv", "conv", "again", "concat", *PER_CHANNEL, *MEETING)))
        x, y = draw(st.integers(1, len(widths) - 1)), draw(st.integers(1, len(widths) - 1))
        if kind == "conv":
            append("conv", x, filters=draw(st.integers(1, 9)))
        elif kind in PER_CHANNEL:
            append(kind, x)
        elif kind == "concat":
            append(kind, x, y)
        elif kind == "again":
            recall(append, steps, widths, x)
        else:
            append(kind, x, y if widths[y] == widths[x] else append("conv", y, filters=widths[x]))
    read = {i for step in steps for i in step.inputs}
    for end in [i for i in range(1, len(widths)) if i not in read]:
        append("conv", end, filters=2, layer=f"out_{end}")
    return tuple(steps)


def recall(append, steps, widths, x):
    """Call the first convolution that can read tensor ``x`` once more."""
    for step in steps:
        if step.kind == "conv" and step.inputs[0] and widths[step.inputs[0]] == widths[x]:
            append("conv", x, filters=step.filters, layer=step.layer)
            return


def new_layer(step):
    from keras import layers

    same = {"padding": "same", "name": step.layer}
    return {
        "conv": lambda: layers.Conv2D(step.filters, 3, bias_initializer="random_normal", **same),
        "depthwise": lambda: layers.DepthwiseConv2D(3, bias_initializer="random_normal", **same),
        "pool": lambda: layers.MaxPooling2D(2, strides=1, **same),
        "norm": lambda: layers.BatchNormalization(name=step.layer),
        "relu": lambda: layers.ReLU(name=step.layer),
        "concat": lambda: layers.Concatenate(name=step.layer),
        "add": lambda: layers.Add(name=step.layer),
        "multiply": lambda: layers.Multiply(name=step.layer),
        "maximum": lambda: layers.Maximum(name=step.layer),
    }[step.kind]()


def interpret(steps, image, layer_of, hide=lambda x, number: x):
    """Call the layers in turn; convolutions see ``hide(tensor, its number)``. Returns the outputs."""
    tensors, outputs = [image], []
    for step in steps:
        given = [tensors[i] for i in step.inputs]
        if step.kind == "conv":
            given = [hide(given[0], step.inputs[0])]
        made = layer_of(step)(given if len(given) > 1 else given[0])
        tensors.append(made)
        if step.layer.startswith("out_"):
            outputs.append(made)
    return outputs


def build(steps, seed=0, *, silent=False):
    """The network of some steps, with random weights and batch statistics, and filters of very different norms.

    With ``silent`` a third of the filters is zero, and there are no offsets that could bring a channel back.
    """
    import keras

    keras.utils.set_random_seed(seed)
    layers = {step.layer: new_layer(step) for step in steps}
    image = keras.Input(IMAGE, name="input_1")
    model = keras.Model(image, interpret(steps, image, lambda step: layers[step.layer]), name="random_net")
    random = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([shaken(random, variable, silent) for variable in layer.weights])
    return model


def shaken(random, variable, silent):
    value = variable.numpy()
    if variable.name == "kernel":
        last = -1 if value.shape[-1] > 1 else -2  # a depthwise kernel's channels are its last axis but one
        factor = random.uniform(0.1, 1, value.shape[last])
        factor[random.random(len(factor)) < (silent / 3)] = 0
        return value * np.expand_dims(factor, tuple(range(last + 1, 0)))
    if variable.name == "moving_variance":
        return random.uniform(0.5, 2, value.shape)
    if variable.name == "gamma":
        return random.uniform(0.5, 1.5, value.shape)
    return value * 0 if silent else random.normal(0, 0.3, value.shape)


def masks(steps, filters):
    """For each tensor which channels stay, from the kept filters of each convolution: ``(C,)`` booleans.

    Fails where two tensors that meet channel by channel did not keep the same channels.
    """
    stay = [np.ones(IMAGE[-1], bool)]
    for step in steps:
        given = [stay[i] for i in step.inputs]
        if step.kind == "conv":
            made = np.isin(np.arange(step.filters), filters[step.layer])
        elif step.kind == "concat":
            made = np.concatenate(given)
        else:
            assert all((mask == given[0]).all() for mask in given), f"{step.layer} joins different channels"
            made = given[0]
        stay.append(made)
    return stay
