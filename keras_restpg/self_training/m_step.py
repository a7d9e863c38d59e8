"""The M-step's beginning: which weights, a new optimiser, new data (§3.2)."""

import hashlib

import numpy as np
from keras import ops

from keras_restpg.store.checkpoints import host
from keras_restpg.training.batches import Batches
from keras_restpg.training.features import tokenize


class Maximization:
    """Sets a model up for each training of Algorithm 1.

    The base weights, only those that are trained, are kept on disk once, on
    creation; those that are there already are the base.

    Args:
        model: a `RewardWeightedLM` that was just compiled.
        codec: text to tokens.
        recipe: a `Recipe`.
        checkpoints: a `Checkpoints`.

    Raises:
        ValueError: the model's optimiser has made steps already.

    Attributes:
        step: the number of the batch that is next.
    """

    def __init__(self, model, codec, recipe, checkpoints):
        made = int(model.optimizer.iterations)
        if made:
            raise ValueError(
                "Each training begins with a new optimizer: call `compile` "
                f"before this `fit`. Received: one that has made {made} steps"
            )
        self.model = model
        self.codec = codec
        self.recipe = recipe
        self.step = 0
        self.batches = None
        self._checkpoints = checkpoints
        checkpoints.keep_base(model)
        # Most of a new optimiser's state is zeros, which need no copy.
        self._optimizer = [
            value if np.any(value) else None
            for value in host(model.optimizer.variables)
        ]

    def begin(self, stage):
        """A new optimiser and the data of a `Stage`; weights stay."""
        for variable, value in zip(
            self.model.optimizer.variables, self._optimizer, strict=True
        ):
            fresh = ops.zeros(variable.shape, variable.dtype)
            variable.assign(fresh if value is None else value)
        recipe = self.recipe
        tokens = tokenize(
            stage.data,
            self.codec,
            recipe.sampling.max_prompt_tokens,
            recipe.sampling.max_new_tokens,
        )
        self.batches = Batches(
            tokens,
            recipe.training.batch_size,
            recipe.training.micro_batch_tokens,
            _seed(recipe.seed, stage.name),
        )
        self.step = 0
        self.model.source = self.next_batch

    def restore_base(self):
        """The weights as they were on creation, bit for bit."""
        self._checkpoints.load_base(self.model)

    def next_batch(self):
        """What the model's next step trains on."""
        batch = self.batches.batch(self.step)
        self.step += 1
        return batch


def _seed(seed, name):
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:4], "little")
