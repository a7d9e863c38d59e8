"""The M-step as a `keras.Model`: reward-weighted training in `fit`.

One step takes a batch of prompts with their kept outputs and rewards, goes
through it in micro-batches inside the compiled step, adds up their gradients
and applies them once. The loss is normalised over the whole batch beforehand
(`token_weights`), so the result does not depend on the micro-batches. All
outputs of a prompt are trained through one pass over the prompt.
"""

import inspect

import keras
import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg.model import prefix
from keras_restpg.training.loss import (
    NORMALIZATIONS,
    global_norm,
    response_loss,
    token_weights,
)

# What a batch holds: name -> what the dimensions are.
BATCH = {
    "prompt_ids": "(M, P, L)",
    "prompt_lengths": "(M, P)",
    "response_ids": "(M, P, K, T)",
    "response_lengths": "(M, P, K)",
    "rewards": "(M, P, K)",
}


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
        training.batches(),
        steps_per_epoch=training.steps_per_epoch,
        epochs=training.epochs,
        callbacks=[training],
    )
    ```
    """

    def __init__(
        self, causal_lm, normalization="tokens", recompute=False, **kwargs
    ):
        super().__init__(**kwargs)
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
        self.source = None
        # The weights that self-training starts from; see `m_step.Base`.
        self.base = None
        self.callbacks_of_fit = ()
        names = ("loss", "nll", "grad_norm", "tokens", "reward")
        self.trackers = {name: keras.metrics.Mean(name) for name in names}
        self.trackers["skipped"] = keras.metrics.Sum("skipped")
        self.trackers["skipped_in_row"] = _InARow(name="skipped_in_row")
        self.built = True

    def compile(self, optimizer="rmsprop", **kwargs):
        """As in Keras, without `loss`: the loss is the reward-weighted one.

        Raises:
            ValueError: a `loss` or `steps_per_execution` is given.
        """
        if kwargs.get("loss") is not None:
            raise ValueError(
                "RewardWeightedLM has its own loss: leave `loss` out of "
                f"`compile`. Received: loss={kwargs['loss']!r}"
            )
        if kwargs.get("steps_per_execution", 1) != 1:
            raise ValueError("steps_per_execution must be 1 here.")
        super().compile(optimizer=optimizer, **kwargs)
        if not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """As in Keras; `callbacks_of_fit` are those it was given."""
        found = inspect.signature(super().fit).bind(*args, **kwargs)
        given = found.arguments.get("callbacks")
        inside = getattr(given, "callbacks", given) or []
        many = isinstance(inside, list | tuple)
        self.callbacks_of_fit = tuple(inside) if many else (inside,)
        return super().fit(*args, **kwargs)

    @property
    def metrics(self):
        return list(self.trackers.values())

    def get_config(self):
        return {
            "name": self.name,
            "causal_lm": keras.saving.serialize_keras_object(self.causal_lm),
            "normalization": self.normalization,
            "recompute": self.recompute,
        }

    @classmethod
    def from_config(cls, config):
        causal_lm = keras.saving.deserialize_keras_object(config["causal_lm"])
        return cls(**{**config, "causal_lm": causal_lm})

    def _symbolic_build(self, *args, **kwargs):
        """Nothing: only the tokenizer, which is no layer here, is unbuilt."""

    def call(self, inputs):
        """Logits of KerasHub inputs (`token_ids`, `padding_mask`)."""
        return self.causal_lm(inputs)

    def draw(self, data):
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

    def token_weights(self, batch):
        """The loss weight of each response token of a batch (M, P, K, T)."""
        return token_weights(
            batch["rewards"],
            batch["response_lengths"],
            batch["response_ids"].shape[-1],
            self.normalization,
        )

    def micro_loss(self, micro, weights):
        """Sums of weighted and plain nll of a micro-batch, two scalars."""
        return response_loss(
            self.causal_lm.backbone, micro, weights, self.recompute
        )

    def check(self, loss, gradients):
        """The global gradient norm, and whether the update may be made."""
        norm = global_norm(gradients)
        return norm, ops.isfinite(loss + norm)

    def track(self, batch, loss, nll, norm=None, finite=None):
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
        return {name: m.result() for name, m in self.trackers.items()}


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


def tickets():
    """An endless stream for `fit`: a step asks `source` for its batch."""
    while True:
        yield ({"ticket": np.zeros(1, "int32")},)
