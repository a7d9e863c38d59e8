"""What else of Keras may take part in a `fit` of Algorithm 1.

Algorithm 1 is several trainings in one `fit`: each begins with a new
optimizer, and keeps its best weights. Callbacks that end a training, save it
or change its learning rate know only of one, and are refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import keras

from keras_restpg.training.optimizer import check_accumulation, inner

if TYPE_CHECKING:
    from keras_restpg.training.model import RewardWeightedLM

_LEARNING_RATE = (
    "changes the learning rate over all epochs, but each stage begins with "
    "a new optimizer. Give the optimizer a schedule as its `learning_rate`, "
    "such as `WarmupLinearDecay`: it begins anew at each stage"
)
# Callbacks that can't be right here: what they do, and what to do instead.
_REFUSED = {
    "EarlyStopping": "would end the run in the middle of a stage. Leave it "
    "out: each stage keeps its best weights anyway",
    "ReduceLROnPlateau": _LEARNING_RATE,
    "LearningRateScheduler": _LEARNING_RATE,
    "BackupAndRestore": "knows nothing of stages, samples and scores. Leave "
    "it out and give SelfTrainingCallback a `run`: a RunDirectory goes on "
    "where it was stopped",
    "SwapEMAWeights": "averages weights over stages that begin with other "
    "weights. Leave it out",
}


def check(
    model: RewardWeightedLM, callbacks: Iterable[keras.callbacks.Callback]
) -> None:
    """Refuses what would make the outcome of Algorithm 1 wrong.

    Args:
        model: a compiled `RewardWeightedLM`.
        callbacks: iterable of all `keras.callbacks.Callback` of this `fit`.

    Raises:
        ValueError: a callback or an option of the optimizer can't be right
            here; says which, why, and what to do instead.
    """
    for callback in callbacks:
        for name, reason in _REFUSED.items():
            if isinstance(callback, getattr(keras.callbacks, name)):
                raise ValueError(
                    f"{name} {reason}. Received: {type(callback).__name__} "
                    "in `callbacks`"
                )
    check_accumulation(model.optimizer)
    if getattr(inner(model.optimizer), "use_ema", False):
        raise ValueError(
            "use_ema averages weights over stages that begin with other "
            "weights. Leave it out of the optimizer. Received: use_ema=True"
        )
