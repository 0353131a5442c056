"""Optimizers: momentum with a weight for each variable, and Adam."""

import re
from typing import Any

import keras

from bodyposenet.common.spec.train import Adam, AdamW, WeightedMomentumOptimizer

# Learning-rate multipliers of kernel and bias by layer name, first match wins: those of TAO's trainer.
STAGE_MULTIPLIERS = ((r"^stage1", (1.0, 2.0)), (r"^stage", (4.0, 8.0)), (r"out$", (4.0, 8.0)), (r"", (1.0, 2.0)))


@keras.saving.register_keras_serializable(package="bodyposenet")
class WeightedMomentum(keras.optimizers.Optimizer):
    """Momentum as TensorFlow 1 computes it, on gradients multiplied by a weight for each variable, as in TAO.

    With g' the weighted gradient, m the momentum and a the running sum: ``a <- m a + g'``, ``w <- w - lr a``; the
    Nesterov form takes ``w <- w - lr (g' + m a)``. Unlike ``keras.optimizers.SGD`` the rate is applied to the whole sum
    at once.

    Args:
        learning_rate: Rate or Keras schedule.
        momentum: m, in [0, 1).
        nesterov: Look ahead.
        weights: Factor of the gradient by variable path; 1 for those not in it.
    """

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.9,
        nesterov: bool = False,
        weights: dict[str, float] | None = None,
        name: str = "weighted_momentum",
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        self.momentum, self.nesterov, self.weights = momentum, nesterov, dict(weights or {})

    def build(self, variables: list[Any]) -> None:
        """Make the running sums, one a variable."""
        if self.built:
            return
        super().build(variables)
        self.sums = self.add_optimizer_variables(variables, "sum")
        self.factors = [self.weights.get(variable.path, 1.0) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Apply one weighted gradient to one variable."""
        place = self._get_variable_index(variable)
        running = self.sums[place]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        weighted = keras.ops.cast(gradient, variable.dtype) * self.factors[place]
        self.assign(running, self.momentum * running + weighted)
        step = weighted + self.momentum * running if self.nesterov else running
        self.assign_sub(variable, rate * step)

    def get_config(self) -> dict[str, Any]:
        """Arguments that make this optimizer again."""
        own = {"momentum": self.momentum, "nesterov": self.nesterov, "weights": self.weights}
        return {**super().get_config(), **own}


def gradient_weights(
    model: Any, *, stagewise: bool, default: float = 1.0, named: dict[str, float] | None = None
) -> dict[str, float]:
    """Weights of the gradients by variable path.

    Args:
        model: The ``keras.Model``.
        stagewise: Give convolutions the multipliers of :data:`STAGE_MULTIPLIERS`.
        default: Weight of every variable that nothing else names.
        named: Weights by variable path (``layer/kernel``) or layer name; they win.
    """
    weights = {variable.path: default for variable in model.trainable_variables}
    if stagewise:
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
                factors = next(pair for pattern, pair in STAGE_MULTIPLIERS if re.search(pattern, layer.name))
                weights |= {v.path: factor for v, factor in zip(layer.trainable_variables, factors, strict=False)}
    for path in weights:
        for name, factor in (named or {}).items():
            if path == name or path.split("/")[0] == name:
                weights[path] = factor
    return weights


def make_optimizer(
    spec: WeightedMomentumOptimizer | Adam | AdamW, model: Any, *, stagewise: bool
) -> keras.optimizers.Optimizer:
    """The optimizer of a train spec; the caller sets its ``learning_rate`` before each step.

    Multipliers by stage are for momentum: Adam divides every gradient by its own size, so that factors cancel.
    """
    if isinstance(spec, WeightedMomentumOptimizer):
        weights = gradient_weights(
            model, stagewise=stagewise, default=spec.weight_default_value, named=spec.grad_weights_dict
        )
        return WeightedMomentum(momentum=spec.momentum, nesterov=spec.use_nesterov, weights=weights)
    kind = keras.optimizers.AdamW if isinstance(spec, AdamW) else keras.optimizers.Adam
    decay = {"weight_decay": spec.weight_decay} if spec.weight_decay else {}
    optimizer = kind(beta_1=spec.beta_1, beta_2=spec.beta_2, epsilon=spec.epsilon, **decay)
    if spec.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
