"""The M-step: which weights, a new optimizer, new data (§3.2, lines 10, 11)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras import ops

from keras_restpg.errors import InputError
from keras_restpg.identity import describe_model
from keras_restpg.model.text import Codec
from keras_restpg.seeds import draw
from keras_restpg.settings import Settings
from keras_restpg.store.checkpoints import Checkpoints, host
from keras_restpg.store.run_directory import fit_into
from keras_restpg.store.stage import Stage
from keras_restpg.training.batches import Batches
from keras_restpg.training.features import tokenize
from keras_restpg.training.optimizer import initial_state

if TYPE_CHECKING:
    from tempfile import TemporaryDirectory

    import numpy as np

    from keras_restpg.model.text import Codec
    from keras_restpg.self_training.algorithm import MStep
    from keras_restpg.settings import Settings
    from keras_restpg.store import RunDirectory
    from keras_restpg.store.checkpoints import Checkpoints
    from keras_restpg.store.stage import Stage
    from keras_restpg.training.model import RewardWeightedLM

_FILE = "start/weights.safetensors"


class Base:
    """The weights that every training starts from; they stay with a model.

    Made of what the model holds when the first callback meets it. A later
    callback, after an interrupt say, finds it at `model.base` and begins from
    the same weights. They are on disk once, in the run directory.

    Args:
        model: a `RewardWeightedLM`.

    Attributes:
        description: what tells the base from others, JSON values.
    """

    def __init__(self, model: RewardWeightedLM) -> None:
        self.description = describe_model(model.causal_lm)
        self._variables = [id(v) for v in model.trainable_variables]
        self._run = None
        self._folder = None

    def keep(
        self,
        run: RunDirectory,
        folder: TemporaryDirectory | None,
        model: RewardWeightedLM,
    ) -> None:
        """Has the weights in a run directory.

        Args:
            run: a `RunDirectory`.
            folder: what keeps its files alive, where they are temporary.
            model: the `RewardWeightedLM`; it has the base weights, unless
                they are in an earlier run directory.
        """
        self.check(model)
        run.claim("start", {"generator": self.description})
        if run is not self._run and run.load_arrays(_FILE) is None:
            run.save_arrays(_FILE, self._arrays(model))
        self._run, self._folder = run, folder

    def restore(self, model: RewardWeightedLM) -> None:
        """Puts the weights into the model, bit for bit."""
        if self._run is not None:
            self.check(model)
            fit_into(model.trainable_variables, self._arrays(model), _FILE)

    def check(self, model: RewardWeightedLM) -> None:
        """Raises ValueError where other weights are trained by now."""
        if [id(v) for v in model.trainable_variables] != self._variables:
            raise ValueError(
                "The trainable weights are not those that the base was kept "
                "of: LoRA was enabled, or layers were frozen, after the first "
                "`fit`. Set `model.base = None` to take what the model holds "
                "now for the base."
            )

    def _arrays(self, model):
        if self._run is None:
            return host(model.trainable_variables)
        arrays = self._run.load_arrays(_FILE)
        if arrays is None:
            raise InputError(
                f"{self._run.files.url}/{_FILE} is missing or damaged: the "
                "base weights are gone. Load the model again."
            )
        return arrays


@dataclasses.dataclass
class Trainer:
    """Sets a model up for each training of Algorithm 1.

    Args:
        model: a compiled `RewardWeightedLM`.
        codec: text to tokens.
        settings: a `Settings`.
        stages: list of `Stage`.
        checkpoints: a `Checkpoints`.

    Attributes:
        step: the number of the batch that is next.
        batches: the `Batches` of the training, once one has begun.
    """

    model: RewardWeightedLM
    codec: Codec
    settings: Settings
    stages: Sequence[Stage]
    checkpoints: Checkpoints
    step: int = 0
    batches: Batches = dataclasses.field(init=False)

    def begin(self, m_step: MStep) -> None:
        """Line 10: the weights it starts from; then as `go_on`."""
        if m_step.start == "base":
            self.model.base.restore(self.model)
        else:
            before = 0 if m_step.start == "sft" else m_step.number - 1
            self.checkpoints.load_best(self.stages[before], self.model)
        self.go_on(m_step, 0)

    def go_on(self, m_step: MStep, step: int) -> None:
        """A new optimizer, and the data that line 11 is maximised on.

        Args:
            m_step: an `MStep`.
            step: how many of its steps are done.
        """
        optimizer = self.model.optimizer
        for variable, value in zip(
            optimizer.variables, initial_state(optimizer), strict=True
        ):
            if value is None:
                value = ops.zeros(variable.shape, variable.dtype)
            variable.assign(value)
        self.batches = self._batches(m_step)
        self.step = step
        self.model.source = self.next_batch
        if step:
            self.checkpoints.load_last(self.model)

    def next_batch(self) -> dict[str, np.ndarray]:
        """What the model's next step trains on."""
        batch = self.batches.batch(self.step)
        self.step += 1
        return batch

    def _batches(self, m_step):
        settings = self.settings
        name = self.stages[m_step.number].name
        tokens = tokenize(
            m_step.data,
            self.codec,
            settings.max_prompt_tokens,
            settings.max_new_tokens,
        )
        return Batches(
            tokens,
            settings.batch_size,
            settings.micro_batch_tokens,
            int.from_bytes(draw(settings.seed, name)[:4], "little"),
        )
