"""Algorithm 1 of the paper, line by line, and its four methods.

    sft             line 5 on (x, y, P)
    sft-reasoning   lines 1 to 5: (x, reasoning and y, P)
    rest-em         sft, then lines 7 to 12
    rest-pg         sft-reasoning, then lines 7 to 12

It is written as a generator, so that `model.fit` can train between its lines:
it yields each M-step, and goes on when `fit` has trained it. The callback does
what an `MStep` says: it puts the weights of `start` into the model, gives it a
new optimizer, and lets `fit` maximise the weighted likelihood of `data`.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from keras_restpg.records import TrainingExample
from keras_restpg.self_training.selection import (
    first_of_each,
    select,
    threshold,
)
from keras_restpg.settings import Settings


@dataclasses.dataclass(frozen=True)
class MStep:
    """One training.

    Attributes:
        number: 0 is supervised fine-tuning, t the t-th iteration.
        start: the weights it starts from: `"base"`, `"sft"`, `"previous"`.
        data: what it maximises the weighted likelihood of.
    """

    number: int
    start: str
    data: list[TrainingExample]


def algorithm_1(steps: Any, settings: Settings) -> Iterator[MStep]:
    """The trainings of Algorithm 1, each yielded when it is to begin.

    Args:
        steps: the work of the lines on real examples, as `steps.Steps`.
        settings: `iterations` is T; 0 is supervised fine-tuning alone.
            `start` is `"base"` in the paper (Figure 4 compares `"sft"`).

    Yields:
        `MStep`s.
    """
    # 1-3: the teacher explains each expected output (not in SFT and ReST-EM)
    reasoning = steps.reasoning()
    # 4-5: supervised fine-tuning, every output with the weight 1
    yield MStep(0, "base", steps.supervised(reasoning))
    # 7: for t = 1 to T
    for t in range(1, settings.iterations + 1):
        # 8-9: m outputs for each input by the best weights so far, rewarded
        scored = first_of_each(steps.sample(t), settings.first_samples)
        # 9: those that reach τ, at most `max_per_input` for an input
        tau = threshold(scored, settings.tau, settings.on_empty)
        kept = select(scored, tau, settings.max_per_input, settings.seed)
        steps.note(t, scored, kept, tau)
        # 10-11: from the base weights, maximise E[R(x, y, ŷ) log p(ŷ | x; P)]
        yield MStep(t, settings.start, steps.rewarded(kept))
