"""Factor: convolutions become two of a lower rank each, as far as the network's maps can spare it.

After Jaderberg, Vedaldi and Zisserman, "Speeding up Convolutional Neural Networks with Low Rank Expansions" (BMVC 2014,
scheme 2): a convolution of k x k becomes one of k x 1 with r filters and another of 1 x k, which makes the channels;
for k = 1 that is a matrix of rank r. Fitted to responses as by Zhang, Zou, He and Sun, "Accelerating Very Deep
Convolutional Networks for Classification and Detection" (TPAMI 2016, sections 3.1 to 3.3): layer by layer, to what the
layer drew in the whole network, from what the layers before it, factored already, hand it. What is given up of a
layer's output is weighed by how far it moves the maps (Gauss-Newton: the products of the maps' slopes), in the choice
of directions and of ranks alike. It takes no labels and no gradient steps, and keeps every layer's width.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.network.flops import layer_multiply_adds
from bodyposenet.common.prune.refit import LeastSquares, Pictures, Sight, fit, flat_weights, is_plain, read_pairs

Floats = NDArray[np.float64]
Square = Floats  # (F, F), of a layer's channels
LOW = "_low"  # ends the name of the first of two; the second keeps the layer's
STEP = 8  # ranks are multiples of it
WEIGHED = 2  # batches that ranks are chosen by
DRAWS = 2  # of noise for each batch that sensitivity is measured with
LEAST = 1e-4  # of the mean, which every direction of a layer's inputs and outputs has


def factor(
    model: Any, batches: Sequence[Pictures], *, target_flops: float, size: tuple[int, int], paf_weight: float = 4.0
) -> Any:
    """Make a network of a share of another one's floating-point operations.

    Args:
        model: A functional network whose outputs are heatmaps and fields of one stage; models in it stay as they are.
        batches: Pictures ``(B, H, W, 3)`` as the network takes them.
        target_flops: The share, at most.
        size: ``(height, width)`` that operations are counted at.
        paf_weight: What the fields' squared errors weigh beside those of the heatmaps.

    Raises:
        UserError: No ranks make it as small as that.
    """
    layers = [layer for layer in model.layers if is_plain(layer)]
    slopes = measure_slopes(model, layers, batches, paf_weight)
    errors = {layer.name: list_errors(layer, model, slopes[layer.name], batches[:WEIGHED]) for layer in layers}
    ranks = choose_ranks(model, errors, target_flops, size)
    smaller = split_layers(model, ranks)
    for layer in layers:
        _fit_layer(model, smaller, layer, ranks.get(layer.name, 0), slopes[layer.name], batches)
    return smaller


def measure_slopes(
    model: Any, layers: Sequence[Any], batches: Sequence[Pictures], paf_weight: float
) -> dict[str, Square]:
    """Measure how far the maps move with each layer's output: ``(F, F)``, summed over places, the mean over pictures.

    The slopes of the maps' sum, each value times noise of its own, have the sum of all values' slopes as the mean of
    their products (Hutchinson, "A stochastic estimator of the trace", 1990).
    """
    sight = keras.Model(model.inputs, [*(layer.output for layer in layers), *model.outputs])
    noise = tf.random.Generator.from_seed(0)
    weights = (1.0, paf_weight**0.5)

    def slope(pictures: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            *made, heatmaps, fields = sight(pictures, training=False)
            maps = zip(weights, (heatmaps, fields), strict=True)
            total = tf.add_n([weight * tf.reduce_sum(one * noise.normal(tf.shape(one))) for weight, one in maps])
        return tape.gradient(total, made, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    look = tf.function(slope, autograph=False)
    sums = {layer.name: np.zeros((layer.filters, layer.filters)) for layer in layers}
    for pictures in [batch for batch in batches for _ in range(DRAWS)]:
        for layer, found in zip(layers, look(tf.constant(pictures)), strict=True):
            flat = np.asarray(found, np.float64).reshape(-1, layer.filters)
            sums[layer.name] += flat.T @ flat / len(pictures)
    return {name: total / (DRAWS * len(batches)) for name, total in sums.items()}


def list_errors(layer: Any, model: Any, slopes: Square, batches: Sequence[Pictures]) -> dict[int, float]:
    """Estimate the squared error of the maps that each rank of a layer leaves; ranks are multiples of ``STEP``."""
    sight = Sight(model, layer)
    pairs = read_pairs(sight, sight, np.arange(layer.filters), batches)
    whole = Halves(fit(_with_bias(layer), True, pairs), slopes, layer.kernel.shape)
    return {rank: whole.part(rank).error for rank in range(STEP, len(whole.directions) + 1, STEP)}


def choose_ranks(
    model: Any, errors: Mapping[str, Mapping[int, float]], target_flops: float, size: tuple[int, int]
) -> dict[str, int]:
    """Choose the ranks with the least sum of errors for a share of the operations; a layer that is not named stays.

    What an operation is worth is found by halving: at each price every layer takes what is cheapest for itself.

    Args:
        model: The network.
        errors: Of each rank of each layer that may be factored.
        target_flops: The share, at most.
        size: ``(height, width)`` that operations are counted at.

    Raises:
        UserError: No ranks make it as small as that.
    """
    macs = {layer.name: count for layer, count in _count(model, size)}
    choices = {name: list_alternatives(model.get_layer(name), macs[name], error) for name, error in errors.items()}
    others = sum(count for name, count in macs.items() if name not in errors)
    whole = sum(macs.values())

    def take(price: float) -> dict[str, Alternative]:
        return {name: min(own, key=lambda choice: choice.error + price * choice.macs) for name, own in choices.items()}

    def share(taken: Mapping[str, Alternative]) -> float:
        return (others + sum(choice.macs for choice in taken.values())) / whole

    low, high = 0.0, sum(max(error.values()) for error in errors.values()) or 1.0
    if share(take(high)) > target_flops:
        fix = f"the least that ranks of {STEP} leave is {share(take(high)):.3f}"
        raise UserError(f"no ranks leave {target_flops} of the floating-point operations", fix=fix)
    for _ in range(80):
        price = (low + high) / 2
        low, high = (low, price) if share(take(price)) <= target_flops else (price, high)
    return {name: choice.rank for name, choice in take(high).items() if choice.rank}


def _count(model: Any, size: tuple[int, int]) -> list[tuple[Any, int]]:
    macs = layer_multiply_adds(model, size)
    return [(layer, macs[id(layer)]) for layer in model.layers if macs.get(id(layer))]


def list_alternatives(layer: Any, macs: int, errors: Mapping[int, float]) -> "list[Alternative]":
    """List what a layer may become: itself, and two layers that cost less."""
    height, width, channels, filters = layer.kernel.shape
    each = macs * (height * channels + width * filters) / (height * width * channels * filters)
    smaller = [Alternative(each * rank, error, rank) for rank, error in errors.items() if each * rank < macs]
    return [Alternative(float(macs), 0.0, 0), *smaller]


class Alternative(NamedTuple):
    """What a layer may become: multiply-adds, the maps' squared error, and the rank, 0 for the layer as it is."""

    macs: float
    error: float
    rank: int


def split_layers(model: Any, ranks: Mapping[str, int]) -> Any:
    """Build the network with two convolutions for each that is named; the weights of those say nothing yet."""

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if layer.name not in ranks:
            return layer(*args, **kwargs)
        low, high = split_layer(layer, ranks[layer.name])
        return high(low(*args, **kwargs))

    smaller = keras.models.clone_model(model, call_function=call)
    for layer in model.layers:
        if layer.weights and layer.name not in ranks:
            smaller.get_layer(layer.name).set_weights(layer.get_weights())
    return smaller


def split_layer(layer: Any, rank: int) -> tuple[Any, Any]:
    """Make a convolution of k x 1 and one of 1 x k, the second with the name and the activation of the layer."""
    config = layer.get_config()
    settings = [config[name] for name in ("kernel_size", "strides", "dilation_rate")]
    down, along = (
        dict(zip(("kernel_size", "strides", "dilation_rate"), values, strict=True))
        for values in ([(pair[0], 1) for pair in settings], [(1, pair[1]) for pair in settings])
    )
    first = {"name": layer.name + LOW, "filters": rank, "use_bias": False, "activation": "linear"}
    make = keras.layers.Conv2D.from_config
    return make(config | down | first), make(config | along | {"use_bias": True})


def _fit_layer(model: Any, smaller: Any, layer: Any, rank: int, slopes: Square, batches: Sequence[Pictures]) -> None:
    """Fit a layer, or the two that stand for it, to what it drew in the whole network."""
    own = smaller.get_layer(layer.name)
    first = smaller.get_layer(layer.name + LOW) if rank else own
    seen = Sight(smaller, layer, given=first.input)
    done = fit(_with_bias(layer), True, read_pairs(Sight(model, layer), seen, np.arange(layer.filters), batches))
    if not rank:
        own.set_weights([done.weights[:-1].reshape(own.kernel.shape), done.weights[-1]][: len(own.weights)])
        return
    part = Halves(done, slopes, layer.kernel.shape).part(rank)
    first.set_weights([part.low.reshape(first.kernel.shape)])
    own.set_weights([part.high.reshape(own.kernel.shape), part.bias])


def _with_bias(layer: Any) -> Floats:
    weights = flat_weights(layer)
    return weights if layer.bias is not None else np.r_[weights, np.zeros((1, layer.filters))]


class KernelPair(NamedTuple):
    """The two kernels that stand for one, ``(kh C, r)`` and ``(kw r, F)``, the bias, and what is lost of the maps."""

    low: Floats
    high: Floats
    bias: Floats
    error: float


class Halves:
    """Fitted weights, as two kernels of any rank.

    The first kernel is chosen by singular values: of the weights, with columns of inputs decorrelated and outputs
    weighed by the maps' slopes. The second is what least squares make of the first's outputs; for k = 1 the two are
    the best there are of their rank.
    """

    def __init__(self, done: LeastSquares, slopes: Square, shape: Sequence[int]) -> None:
        height, width, channels, filters = shape
        self._width = width
        mean = done.products[-1, :-1]
        self._mean, self._bias = mean, done.weights[-1]
        self._weights, self._slopes = done.weights[:-1], slopes + _floor(slopes)
        self._spread = done.products[:-1, :-1] - np.outer(mean, mean)
        places = np.arange(height * width * channels).reshape(height, width, channels)
        self._columns = [places[:, column].ravel() for column in range(width)]
        middle = self._columns[width // 2]
        column = self._spread[np.ix_(middle, middle)]
        column = column + _floor(column)
        weighed = (self._weights @ _power(self._slopes, 0.5)).reshape(height, width, channels, filters)
        table = weighed.transpose(0, 2, 1, 3).reshape(height * channels, width * filters)
        found, _, _ = np.linalg.svd(_power(column, 0.5) @ table, full_matrices=False)
        self.directions: Floats = (_power(column, -0.5) @ found).T  # the most important first

    def part(self, rank: int) -> KernelPair:
        """Make the two kernels of a rank."""
        low: Floats = self.directions[:rank].T
        wide = np.zeros((len(self._weights), self._width * rank))
        for column, places in enumerate(self._columns):
            wide[places, column * rank : (column + 1) * rank] = low
        seen = self._spread @ wide
        inner = wide.T @ seen
        high = np.asarray(np.linalg.solve(inner + 1e-6 * _floor(inner), seen.T @ self._weights), np.float64)
        missing = self._weights - wide @ high
        error = float(np.sum((missing.T @ self._spread @ missing) * self._slopes))
        return KernelPair(low, high, self._bias + self._mean @ missing, max(error, 0.0))


def _floor(square: Square) -> Square:
    """A little of everything, of the mean of a square's diagonal."""
    return (LEAST * np.trace(square) / len(square) or 1.0) * np.eye(len(square))


def _power(square: Square, exponent: float) -> Square:
    """A power of a positive definite matrix."""
    values, directions = np.linalg.eigh(square)
    powered: Square = (directions * np.maximum(values, 1e-12 * values[-1]) ** exponent) @ directions.T
    return powered
