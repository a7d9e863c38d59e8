"""Language modelling on plain texts: a base for models made from scratch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_restpg.records import TrainingExample
from keras_restpg.training.batches import Batches
from keras_restpg.training.features import tokenize
from keras_restpg.training.model import RewardWeightedLM, tickets
from keras_restpg.training.optimizer import WarmupLinearDecay

if TYPE_CHECKING:
    from keras_hub.models import CausalLM

    from keras_restpg.model.text import Codec
    from keras_restpg.progress import Progress
    from keras_restpg.training.features import Tokens

_BATCH = 64
_MICRO_BATCH_TOKENS = 2**14


class _Line(keras.callbacks.Callback):
    def __init__(self, line, progress):
        super().__init__()
        self.line = line
        self.progress = progress

    def on_train_batch_end(self, batch, logs=None):
        # Nothing is lost but this training, which is made again as a whole.
        self.progress.saved()
        self.line.advance(1)


def train_base(
    causal_lm: CausalLM,
    codec: Codec,
    texts: Sequence[str],
    steps: int,
    rate: float,
    seed: int,
    progress: Progress,
    longest: int = 256,
) -> float:
    """Trains all weights to continue texts.

    Args:
        causal_lm: a KerasHub Gemma.
        codec: text to tokens.
        texts: list of str.
        steps: how many, of 64 texts each; 0 trains nothing.
        rate: the highest learning rate.
        seed: int, of the order of the data.
        progress: a `Progress`.
        longest: tokens of a text; what is longer is cut.

    Returns:
        The mean negative log-likelihood of a token over the last steps.
    """
    if not steps:
        return float("nan")
    data = [
        TrainingExample(str(i), "base", "", (text,), (1.0,))
        for i, text in enumerate(texts)
    ]
    return fit_tokens(
        causal_lm,
        tokenize(data, codec, 16, longest),
        steps,
        rate,
        seed,
        progress,
        "base: language modelling",
    )


def fit_tokens(
    causal_lm: CausalLM,
    tokens: Sequence[Tokens],
    steps: int,
    rate: float,
    seed: int,
    progress: Progress,
    title: str,
) -> float:
    """Trains all weights on outputs, with Adam, for models from scratch.

    Args:
        causal_lm: a KerasHub Gemma.
        tokens: list of `Tokens`.
        steps: how many, of 64 outputs each.
        rate: the highest learning rate.
        seed: int, of the order of the data.
        progress: a `Progress`.
        title: of its line.

    Returns:
        The mean negative log-likelihood of a token over the steps.
    """
    batches = Batches(tokens, _BATCH, _MICRO_BATCH_TOKENS, seed)
    model = RewardWeightedLM(causal_lm)
    schedule = WarmupLinearDecay(rate, min(100, steps // 10), steps)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=1.0)
    )
    model.source = map(batches.batch, itertools.count()).__next__
    with progress.stage(title, steps, "steps") as line:
        history = model.fit(
            tickets(),
            steps_per_epoch=steps,
            shuffle=False,
            verbose=0,
            callbacks=[_Line(line, progress)],
        )
    return float(np.mean(history.history["nll"]))
