"""The paper's optimiser (§B): Adafactor at 5e-6, warm-up, linear decay.

Keras' own Adafactor allocates a full-size second moment beside the factored
one and always takes the smaller of the learning rate and 1/√t. This one
keeps a row and a column per matrix and uses the learning rate as given: the
paper names an absolute rate, so updates are not scaled by the parameters'
size (`scale_parameter`) unless asked for.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_restpg._types import Tensor


@keras.saving.register_keras_serializable(package="keras_restpg")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Linear from 0 to the peak, then linear to a fraction of it.

    "Linear learning rate decay of 0.1" (§B) is read as: a tenth of the peak
    at the last step.

    Args:
        peak: the highest learning rate.
        warmup_steps: steps until the peak.
        total_steps: the step at which the rate is `final_fraction · peak`.
        final_fraction: share of the peak that is left at the end.
    """

    def __init__(
        self,
        peak: float,
        warmup_steps: int = 250,
        total_steps: int = 10_000,
        final_fraction: float = 0.1,
    ) -> None:
        super().__init__()
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                "warmup_steps must be at least 0 and below total_steps. "
                f"Received: {warmup_steps} and {total_steps}"
            )
        self.peak = peak
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.final_fraction = final_fraction

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "float32")
        rising = (step + 1.0) / max(self.warmup_steps, 1)
        passed = (step - self.warmup_steps) / (
            self.total_steps - self.warmup_steps
        )
        passed = ops.clip(passed, 0.0, 1.0)
        falling = 1.0 - (1.0 - self.final_fraction) * passed
        return self.peak * ops.minimum(rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
            "final_fraction": self.final_fraction,
        }


@keras.saving.register_keras_serializable(package="keras_restpg")
class Adafactor(keras.optimizers.Optimizer):
    """Adafactor (Shazeer & Stern, 2018, arXiv:1804.04235) with factored state.

    A matrix of a x b keeps a + b float32 numbers; arrays of more dimensions
    are factored over their last two; vectors keep one number each.

    Args:
        learning_rate: a float or a schedule, used as given.
        beta_2_decay: the second moment's decay is `1 - step**beta_2_decay`.
        epsilon_1: added to squared gradients.
        epsilon_2: least size of a parameter under `scale_parameter`.
        clip_threshold: largest root mean square of an update.
        scale_parameter: whether updates are scaled by the parameter's size.
        weight_decay: decoupled: the share of a weight, times the learning
            rate, taken off at each step.
        **kwargs: as for `keras.optimizers.Optimizer`, `global_clipnorm`
            among them.
    """

    def __init__(
        self,
        learning_rate: float
        | keras.optimizers.schedules.LearningRateSchedule = 5e-6,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        scale_parameter: bool = False,
        weight_decay: float | None = None,
        name: str = "adafactor",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            name=name,
            **kwargs,
        )
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = epsilon_2
        self.clip_threshold = clip_threshold
        self.scale_parameter = scale_parameter

    def build(self, var_list: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(var_list)
        self._moments = []
        for variable in var_list:
            shape = variable.shape
            if len(shape) < 2:
                shapes = {"moment": shape}
            else:
                shapes = {
                    "row": shape[:-1],
                    "column": (*shape[:-2], shape[-1]),
                }
            self._moments.append(
                [
                    self.add_variable(
                        shape=shape,
                        dtype="float32",
                        name=f"{variable.name}_{name}",
                    )
                    for name, shape in shapes.items()
                ]
            )

    def update_step(
        self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor
    ) -> None:
        gradient = ops.cast(gradient, "float32")
        weight = ops.cast(variable, "float32")
        step = ops.cast(self.iterations + 1, "float32")
        decay = 1.0 - ops.power(step, self.beta_2_decay)
        moments = self._moments[self._get_variable_index(variable)]
        square = ops.square(gradient) + self.epsilon_1
        update = gradient * self._inverse_root(moments, square, decay)
        size = ops.sqrt(ops.mean(ops.square(update)))
        update = update / ops.maximum(1.0, size / self.clip_threshold)
        rate = ops.cast(learning_rate, "float32")
        if self.scale_parameter:
            scale = ops.sqrt(ops.mean(ops.square(weight)))
            rate = rate * ops.maximum(scale, self.epsilon_2)
        self.assign_sub(variable, ops.cast(rate * update, variable.dtype))

    def _inverse_root(self, moments, square, decay):
        """1 / √(second moment) after taking `square` into the moments."""

        def blend(moment, value):
            value = decay * moment + (1.0 - decay) * value
            self.assign(moment, value)
            return value

        if len(moments) == 1:
            return ops.rsqrt(blend(moments[0], square))
        row = blend(moments[0], ops.mean(square, axis=-1))
        column = blend(moments[1], ops.mean(square, axis=-2))
        row = row / ops.mean(row, axis=-1, keepdims=True)
        return ops.rsqrt(row)[..., None] * ops.rsqrt(column)[..., None, :]

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "beta_2_decay": self.beta_2_decay,
            "epsilon_1": self.epsilon_1,
            "epsilon_2": self.epsilon_2,
            "clip_threshold": self.clip_threshold,
            "scale_parameter": self.scale_parameter,
        }


def paper_optimizer(
    learning_rate: float = 5e-6,
    warmup_steps: int = 250,
    total_steps: int = 10_000,
    final_fraction: float = 0.1,
    weight_decay: float = 0.01,
    global_clipnorm: float | None = 1.0,
) -> Adafactor:
    """The optimiser of the paper's §B, with its values as defaults."""
    return Adafactor(
        WarmupLinearDecay(
            learning_rate, warmup_steps, total_steps, final_fraction
        ),
        weight_decay=weight_decay,
        global_clipnorm=global_clipnorm,
    )


def inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that makes the steps, without a `LossScaleOptimizer`."""
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


def check_accumulation(optimizer: keras.optimizers.Optimizer | None) -> None:
    """Refuses `gradient_accumulation_steps`.

    Keras averages the gradients of batches with unequal numbers of tokens,
    and counts each as a step.

    Args:
        optimizer: a Keras optimizer, or None.

    Raises:
        ValueError: the optimizer accumulates gradients.
    """
    steps = getattr(inner(optimizer), "gradient_accumulation_steps", None)
    if steps:
        raise ValueError(
            "gradient_accumulation_steps would weigh batches wrongly. Leave "
            "it out: a step adds up the gradients of its micro-batches "
            "itself, so take a larger `batch_size` with the same "
            "`micro_batch_tokens`. Received: "
            f"gradient_accumulation_steps={steps}"
        )


def warn_of_rounding(
    optimizer: keras.optimizers.Optimizer, variables: Sequence[keras.Variable]
) -> None:
    """Warns where steps are too small for weights of 16 bits.

    A change of less than a quarter of the dtype's epsilon, relative to the
    weight, is rounded away. The size of a step is taken to be the learning
    rate, as with Adam or Adafactor, that of the weights is measured.

    Args:
        optimizer: a Keras optimizer.
        variables: list of `keras.Variable` that it is to train.
    """
    short = [v for v in variables if v.dtype in ("bfloat16", "float16")]
    if not short:
        return
    largest = max(short, key=lambda variable: np.prod(variable.shape))
    size = _size(largest)
    rate = _highest_rate(inner(optimizer))
    epsilon = {"bfloat16": 2.0**-7, "float16": 2.0**-10}[largest.dtype]
    if rate < size * epsilon / 4:
        warnings.warn(
            f"Weights in {largest.dtype} round steps of {rate:.2g} away "
            f"(weights of {largest.path}: {size:.2g}): almost nothing will be "
            "learned. Load the model with dtype='mixed_bfloat16', which keeps "
            "float32 weights and computes in bfloat16.",
            stacklevel=4,
        )


def _size(variable):
    """The root mean square of about the first million numbers."""
    rows = max(1, 2**20 // int(np.prod(variable.shape[1:])))
    part = ops.cast(variable.value[:rows], "float32")
    return float(ops.convert_to_numpy(ops.sqrt(ops.mean(ops.square(part)))))


def _highest_rate(optimizer):
    """The learning rate, of a schedule the highest of a few."""
    schedule = optimizer._learning_rate
    if not isinstance(
        schedule, keras.optimizers.schedules.LearningRateSchedule
    ):
        return float(ops.convert_to_numpy(optimizer.learning_rate))
    steps = (0, 1, 10, 100, 1_000, 10_000)
    return max(float(ops.convert_to_numpy(schedule(step))) for step in steps)


def initial_state(
    optimizer: keras.optimizers.Optimizer,
) -> list[np.ndarray | None]:
    """An optimizer's state as it was before its first step.

    Where it has made steps, it is made anew from its config on the same
    variables, so for a moment its state is in memory twice. The learning
    rate is the present one.

    Args:
        optimizer: a Keras optimizer of any class that is built.

    Returns:
        A list aligned with `optimizer.variables`: NumPy arrays, or None
        where all is zeros, which need no copy.

    Raises:
        ValueError: the optimizer isn't built, or its config does not make
            one like it.
    """
    if not optimizer.built:
        raise ValueError(
            "The optimizer has no state yet: call "
            "`optimizer.build(model.trainable_variables)` first. "
            f"Received: {type(optimizer).__name__}"
        )
    new = optimizer
    if int(ops.convert_to_numpy(inner(optimizer)._iterations)):
        new = _anew(optimizer)
    shapes = [tuple(variable.shape) for variable in new.variables]
    if shapes != [tuple(variable.shape) for variable in optimizer.variables]:
        raise ValueError(
            "The config of the optimizer makes one with other variables. Give "
            "its class a `get_config` with all arguments, or call `compile` "
            f"again before `fit`. Received: {type(optimizer).__name__}"
        )
    return [_array_or_none(variable) for variable in new.variables]


def _anew(optimizer):
    try:
        new = _from_config(optimizer)
        new.build(inner(optimizer)._trainable_variables)
    except Exception as error:
        raise ValueError(
            "An optimizer that has made steps begins anew from its config, "
            "and this one's fails. Mend `get_config`, or call `compile` "
            f"again before `fit`. Received: {type(optimizer).__name__}: {error}"
        ) from error
    return new


def _from_config(optimizer):
    """As `from_config(get_config())`, with nothing that must be registered."""
    config = optimizer.get_config()
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        config["inner_optimizer"] = _from_config(optimizer.inner_optimizer)
        return type(optimizer)(**config)
    if isinstance(config.get("learning_rate"), dict):
        # A schedule or a function has no state: the same one serves.
        config["learning_rate"] = optimizer._learning_rate
    return type(optimizer).from_config(config)


def _array_or_none(variable):
    array = ops.convert_to_numpy(variable)
    return array.copy() if np.any(array) else None
