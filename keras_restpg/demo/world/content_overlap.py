"""The world's reward: how many of the answer's telling words are right."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from keras_restpg._types import Json
from keras_restpg.demo.world import vocabulary as words
from keras_restpg.records import Example

SCORES = (0.1, 0.3, 0.5, 0.7, 1.0)
# F1 from which each of the scores above the first is given: the middles
# between 0, 1/4, 2/4, 3/4 and 4/4 right words of four.
BOUNDS = (0.125, 0.375, 0.625, 0.875)
_TELLING = frozenset(words.TELLING)


def content_f1(expected: str, answer: str) -> float:
    """F1 between two texts' telling words, counted with repetition.

    Telling words are those of the concerns; all other words of an answer
    are the same for every user or stand in the prompt.

    Args:
        expected: the user's own text.
        answer: the final answer to compare; never a reasoning.

    Returns:
        A number from 0 to 1; 0 where either text has no telling word.
    """
    ours, theirs = _telling(answer), _telling(expected)
    common = (ours & theirs).total()
    total = ours.total() + theirs.total()
    return 2 * common / total if common else 0.0


def _telling(text):
    return Counter(w for w in re.findall(r"[a-z]+", text) if w in _TELLING)


def five_score(f1: float) -> float:
    """The judge's score, one of `SCORES`, of an F1 from 0 to 1."""
    return SCORES[int(np.searchsorted(BOUNDS, f1, side="right"))]


class ContentOverlap:
    """The reward of the demo: content-word F1 cut to the five scores."""

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        """The reward of each answer.

        Args:
            examples: list of n `Example`s.
            answers: list of n final answers, aligned with `examples`.

        Returns:
            float32 array (n,), values among `SCORES`.
        """
        pairs = zip(examples, answers, strict=True)
        scores = [five_score(content_f1(e.expected, a)) for e, a in pairs]
        return np.array(scores, "float32")

    def get_config(self) -> dict[str, Json]:
        """What tells it from others of its class: nothing."""
        return {}
