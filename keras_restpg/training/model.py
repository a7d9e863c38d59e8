"""The M-step as a `keras.Model`: reward-weighted training in `fit`.

One step takes a batch of prompts with their kept outputs and rewards, goes
through it in micro-batches inside the compiled step, adds up their gradients
and applies them once. The loss is normalised over the whole batch beforehand
(`token_weights`), so the result does not depend on the micro-batches. All
outputs of a prompt are trained through one pass over the prompt.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg._types import Batch, Logs, Tensor
from keras_restpg.model import prefix
from keras_restpg.training.loss import (
    NORMALIZATIONS,
    global_norm,
    response_loss,
    token_weights,
)
from keras_restpg.training.optimizer import (
    check_accumulation,
    inner,
    warn_of_rounding,
)

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

# What a batch holds: name -> what the dimensions are.
BATCH = {
    "prompt_ids": "(M, P, L)",
    "prompt_lengths": "(M, P)",
    "response_ids": "(M, P, K, T)",
    "response_lengths": "(M, P, K)",
    "rewards": "(M, P, K)",
}


# Arguments of Keras' `compile` that stand for what is fixed here.
_NOT_COMPILED = ("loss", "loss_weights", "metrics", "weighted_metrics")


@keras.saving.register_keras_serializable(package="keras_restpg")
class RewardWeightedLM(backend.StepsMixin, keras.Model):
    """A KerasHub Gemma trained on its own outputs, weighted by reward.

    It shares the layers of `causal_lm`: what is trained here is what
    `causal_lm` generates with, LoRA weights and frozen layers as they are.

    `fit` and `evaluate` take batches that are dicts of arrays: int32
    `prompt_ids` (M, P, L), `prompt_lengths` (M, P), `response_ids`
    (M, P, K, T), `response_lengths` (M, P, K) and float32 `rewards`
    (M, P, K), for M micro-batches of P prompts with K outputs each. A
    response of length 0 and a reward of 0 train nothing. Or a batch is
    `{"ticket": (1,)}`: then it is `source()`, asked for when its step
    begins. `fit` draws some batches ahead, and a callback that replaces the
    data between two epochs would otherwise come too late for those.

    Logged are `loss`; `nll`, the mean negative log-likelihood of a response
    token; `grad_norm`, before clipping; `tokens`, the response tokens of a
    step; `reward`, the mean over outputs; `skipped`, the updates left out
    because loss or gradients were not finite; and `skipped_in_row`, how many
    of them the newest ones are.

    Args:
        causal_lm: a KerasHub `CausalLM` over a Gemma 1, 2 or 3.
        normalization: `"tokens"`, `"sequence"` or `"weight"`, see
            `loss.token_weights`.
        recompute: whether each layer's activations are computed anew in the
            backward pass: about a third more time, far less memory (XLA on a
            CPU, under JAX, keeps them all the same).

    Raises:
        ValueError: the model is of another family, has dropout, or the
            normalisation is unknown.

    Example:
    ```python
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=paper_optimizer())
    model.fit(
        training.stream(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        callbacks=[training],
    )
    ```
    """

    def __init__(
        self,
        causal_lm: CausalLM,
        normalization: str = "tokens",
        recompute: bool = False,
        **kwargs: Any,
    ) -> None:
        # Keras scales the loss of a model whose own policy is mixed_float16.
        policy = causal_lm.backbone.dtype_policy
        policy = getattr(policy, "default_policy", policy)
        super().__init__(**{"dtype": policy.name, **kwargs})
        # Texts give the weights of a vision encoder no gradients.
        sees = getattr(causal_lm.backbone, "vision_encoder", None) is not None
        if sees or not prefix.supports(causal_lm.backbone):
            raise ValueError(
                "RewardWeightedLM needs a text Gemma 1, 2 or 3. Received: "
                f"{type(causal_lm.backbone).__name__}"
                f"{' with a vision encoder' * sees}"
            )
        if getattr(causal_lm.backbone, "dropout", 0):
            raise ValueError(
                "Dropout is not supported in reward-weighted training. "
                f"Received: dropout={causal_lm.backbone.dropout}"
            )
        if normalization not in NORMALIZATIONS:
            raise ValueError(
                f"normalization must be one of {NORMALIZATIONS}. "
                f"Received: {normalization!r}"
            )
        self.causal_lm = causal_lm
        self.normalization = normalization
        self.recompute = recompute
        self.source: Callable[[], Batch] | None = None
        # The weights that self-training starts from; see `m_step.Base`.
        self.base: Any = None
        self.callbacks_of_fit = ()
        names = ("loss", "nll", "grad_norm", "tokens", "reward")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.trackers["skipped"] = keras.metrics.Sum("skipped")
        self.trackers["skipped_in_row"] = _InARow(name="skipped_in_row")
        self.built = True

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        **kwargs: Any,
    ) -> None:
        """As in Keras, without `loss`: the loss is the reward-weighted one.

        The optimizer is built by the first `fit`, so layers may be frozen or
        given LoRA weights until then. With a model in `mixed_float16` it is
        wrapped in a `LossScaleOptimizer`.

        Raises:
            ValueError: a loss, metrics, `steps_per_execution`, or an
                optimizer with `gradient_accumulation_steps` is given.
        """
        for name in _NOT_COMPILED:
            if kwargs.get(name) is not None:
                raise ValueError(
                    "RewardWeightedLM has its own loss and metrics: leave "
                    f"`{name}` out of `compile`, and measure anything else in "
                    f"a callback. Received: {name}={kwargs[name]!r}"
                )
        if kwargs.get("steps_per_execution", 1) != 1:
            raise ValueError("steps_per_execution must be 1 here.")
        optimizer = keras.optimizers.get(optimizer)
        check_accumulation(optimizer)
        super().compile(optimizer=optimizer, **kwargs)

    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As in Keras.

        Raises:
            ValueError: nothing can be trained, or other variables than those
                that the optimizer was built with.
        """
        self._build_optimizer()
        found = inspect.signature(super().fit).bind(*args, **kwargs)
        given = found.arguments.get("callbacks")
        # Self-training looks at what stands beside it (`border.check`).
        inside = getattr(given, "callbacks", given) or []
        many = isinstance(inside, list | tuple)
        self.callbacks_of_fit = tuple(inside) if many else (inside,)
        return super().fit(*args, **kwargs)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As in Keras; raises what `fit` does."""
        self._build_optimizer()
        return super().train_on_batch(*args, **kwargs)

    def _build_optimizer(self):
        if not self.compiled:
            return  # Keras says so.
        if self.optimizer is None:
            raise ValueError(
                "There is no optimizer to train with: give one to `compile`. "
                "Received: optimizer=None"
            )
        variables = self.trainable_variables
        self._check_trainable(variables)
        if not self.optimizer.built:
            warn_of_rounding(self.optimizer, variables)
            self.optimizer.build(variables)
        known = inner(self.optimizer)._trainable_variables
        if list(map(id, known)) != list(map(id, variables)):
            raise ValueError(
                "Other variables are trainable than when the optimizer was "
                "built: after `enable_lora`, `quantize` or freezing, call "
                "`compile` again with a new optimizer. Received: "
                f"{len(variables)} trainable variables, {len(known)} then"
            )

    def _check_trainable(self, variables):
        if not variables:
            raise ValueError(
                "No weight is trainable, so there is nothing to train. Set "
                "`trainable = True` on the layers that are to learn, or call "
                "`causal_lm.backbone.enable_lora(rank)`."
            )
        for layer in self.causal_lm.backbone._flatten_layers():
            fixed = getattr(layer, "quantization_mode", None) is not None
            lora = getattr(layer, "lora_enabled", False)
            if fixed and layer.weights and layer.trainable and not lora:
                raise ValueError(
                    "The quantized weights of a trainable layer would not "
                    "learn. Call `causal_lm.backbone.enable_lora(rank)` "
                    "after `quantize`, or set the layer's `trainable = "
                    f"False`. Received: {layer.path} in "
                    f"{layer.quantization_mode}"
                )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.trackers.values())

    def save(self, *args: Any, **kwargs: Any) -> None:
        """As in Keras: `keras.saving.load_model` goes on with the training.

        Raises:
            ValueError: the model has LoRA weights.
        """
        if _has_lora(self.causal_lm.backbone):
            raise ValueError(
                "Keras merges LoRA weights into the others when it saves a "
                "model, so its training could not go on. Save them alone "
                "with `causal_lm.backbone.save_lora_weights(path)`, or what "
                "generates with `causal_lm.save_to_preset(folder)`; a run "
                "directory keeps both weights and optimizer."
            )
        return super().save(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        causal_lm = keras.saving.serialize_keras_object(self.causal_lm)
        # KerasHub compiles a new one by default, and Keras warns of this one.
        causal_lm.pop("compile_config", None)
        return {
            "name": self.name,
            "causal_lm": causal_lm,
            "normalization": self.normalization,
            "recompute": self.recompute,
            "frozen": _frozen_parts(self.causal_lm.backbone),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        config = dict(config)
        frozen = config.pop("frozen", ([], []))
        causal_lm = keras.saving.deserialize_keras_object(config["causal_lm"])
        _freeze_parts(causal_lm.backbone, *frozen)
        return cls(**{**config, "causal_lm": causal_lm})

    def get_compile_config(self) -> dict[str, Any]:
        """As in Keras, and whether the optimizer has a state to load."""
        config = super().get_compile_config()
        if config:
            built = self.optimizer is not None and self.optimizer.built
            config["optimizer_built"] = built
        return config

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compiles as before; `load_model` then loads the optimizer."""
        config = dict(config)
        built = config.pop("optimizer_built", False)
        self.compile(**keras.saving.deserialize_keras_object(config))
        if built:
            self.optimizer.build(self.trainable_variables)

    def _symbolic_build(self, *args, **kwargs):
        """Nothing: only the tokenizer, which is no layer here, is unbuilt."""

    def call(self, inputs: Batch) -> Tensor:
        """Logits of KerasHub inputs (`token_ids`, `padding_mask`)."""
        return self.causal_lm(inputs)

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is None or force:
            self.train_function = self.drawing(self.train_step)

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is None or force:
            self.test_function = self.drawing(self.test_step)

    def draw(
        self, data: Batch | tuple[Batch, ...] | list[Batch]
    ) -> dict[str, Any]:
        """The batch that `fit` hands over, or that its ticket stands for."""
        batch = data[0] if isinstance(data, tuple | list) else data
        if "ticket" in batch:
            if self.source is None:
                raise ValueError(
                    "The batches are tickets of a SelfTrainingCallback: give "
                    "it to `fit` in `callbacks`."
                )
            batch = self.source()
        missing = [name for name in BATCH if name not in batch]
        if missing:
            raise ValueError(
                f"A batch lacks {missing[0]!r} {BATCH[missing[0]]}. "
                f"Received: {sorted(batch)}"
            )
        return {name: batch[name] for name in BATCH}

    def token_weights(self, batch: Batch) -> Tensor:
        """The loss weight of each response token of a batch (M, P, K, T)."""
        return token_weights(
            batch["rewards"],
            batch["response_lengths"],
            batch["response_ids"].shape[-1],
            self.normalization,
        )

    def micro_loss(
        self, micro: Batch, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Sums of weighted and plain nll of a micro-batch, two scalars."""
        return response_loss(
            self.causal_lm.backbone, micro, weights, self.recompute
        )

    def loss_scale(self) -> Tensor:
        """What the optimizer wants the loss multiplied by: 1, mostly."""
        return self.optimizer.scale_loss(1.0)

    def check(
        self, loss: Tensor, gradients: Sequence[Tensor], scale: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The true loss and gradient norm, and whether both are finite.

        Args:
            loss: scalar, of weights that were multiplied by `scale`.
            gradients: its gradients.
            scale: of `loss_scale`.
        """
        loss, norm = loss / scale, global_norm(gradients) / scale
        return loss, norm, ops.isfinite(loss + norm)

    @property
    def optimizer_skips(self) -> bool:
        """Whether the optimizer itself leaves out steps, and learns by it."""
        return isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)

    def marked(
        self, gradients: Sequence[Tensor], finite: Tensor
    ) -> list[Tensor]:
        """Gradients that `LossScaleOptimizer` skips just where we would."""
        first, *others = gradients
        return [ops.where(finite, first, float("nan")), *others]

    def track(
        self,
        batch: Batch,
        loss: Tensor,
        nll: Tensor,
        norm: Tensor | None = None,
        finite: Tensor | None = None,
    ) -> Logs:
        """Updates the metrics with one step and returns their results."""
        lengths = ops.cast(batch["response_lengths"], "float32")
        tokens = ops.sum(lengths)
        outputs = ops.maximum(ops.sum(ops.cast(lengths > 0, "float32")), 1.0)
        values = {
            "loss": loss,
            "nll": nll / ops.maximum(tokens, 1.0),
            "tokens": tokens,
            "reward": ops.sum(batch["rewards"]) / outputs,
        }
        good = 1.0
        if norm is not None:
            good = ops.cast(finite, "float32")
            values["grad_norm"] = norm
            self.trackers["skipped"].update_state(1.0 - good)
            self.trackers["skipped_in_row"].update_state(1.0 - good)
        for name, value in values.items():
            value = ops.where(ops.isfinite(value), value, 0.0)
            self.trackers[name].update_state(value, sample_weight=good)
        # An evaluation has no gradients, and skips nothing.
        names = values if norm is None else self.trackers
        return {name: self.trackers[name].result() for name in names}


class _InARow(keras.metrics.Metric):
    """How many ones in a row came last, the end of an epoch no end of it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.count = self.add_variable((), "zeros", name="count")

    def update_state(self, value, sample_weight=None):
        self.count.assign((self.count + 1.0) * value)

    def result(self):
        return self.count + 0.0

    def reset_state(self):
        """Nothing: a row goes on in the next epoch."""


def _has_lora(backbone):
    layers = backbone._flatten_layers()
    return any(getattr(layer, "lora_enabled", False) for layer in layers)


def _frozen_parts(backbone):
    """What of a backbone is frozen: its own config does not say.

    Returns:
        Two lists: the places of frozen layers and of frozen variables.
    """
    return [
        [place for place, item in enumerate(items) if not item.trainable]
        for items in (backbone._flatten_layers(), backbone.variables)
    ]


def _freeze_parts(backbone, layers, variables):
    """Freezes a new backbone's parts, as `_frozen_parts` has them."""
    for place, layer in enumerate(backbone._flatten_layers()):
        # The setter would freeze the layers in it as well.
        layer._trainable = place not in layers
    for place, variable in enumerate(backbone.variables):
        variable.trainable = place not in variables


def tickets() -> Iterator[tuple[dict[str, np.ndarray]]]:
    """An endless stream for `fit`: a step asks `source` for its batch."""
    while True:
        yield ({"ticket": np.zeros(1, "int32")},)
