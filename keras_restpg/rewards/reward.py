"""What a reward is, and the judgement that some rewards can explain."""

import dataclasses
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from keras_restpg.records import Example

# The judge's five criteria (Figure 6), divided by 10 (Appendix A).
CRITERIA = ("1", "3", "5", "7", "10")
SCORES = (0.1, 0.3, 0.5, 0.7, 1.0)
# The probability that the five criteria must have together for the highest of
# them to be a judgement. A real base model (Gemma 3 of 270M) gives them 0.5
# after the bare prompt and 0.005 to 0.008 in a chat turn, which it was never
# taught; a uniform guess among its 262,144 tokens would be 2e-5. Where a model
# is about to think or to write prose instead, what is left for them is noise:
# which of the five is the highest then says nothing about the answer.
LEAST_MASS = 1e-3
# Characters of a judge's words that are kept where they are no judgement.
_LONGEST_QUOTE = 200


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How a judge came to a score.

    Attributes:
        score: one of `SCORES`, or 0 where there was nothing to judge or no
            judgement.
        probabilities: the probability of each of `CRITERIA` as a whole
            string; they sum to at most 1. None where nothing was judged.
        expected_score: the mean of `SCORES` under these probabilities,
            normalised; None where nothing was judged.
        unjudged: why there is no judgement of an answer that the judge was
            asked about, or what it said instead, quoted: at most 200
            printable characters. Empty where there is one.
    """

    score: float
    probabilities: tuple[float, ...] | None = None
    expected_score: float | None = None
    unjudged: str = ""


def no_judgement(reason: str, said: str = "") -> Judgement:
    """The `Judgement` of an answer that the judge did not judge.

    Args:
        reason: why not, or what introduces the quote.
        said: the judge's words, of any length and any characters.
    """
    words = re.sub(r"\s+", " ", said).strip()
    plain = "".join(c if c.isprintable() else "?" for c in words)
    text = f'{reason}: "{plain}"' if plain else reason
    if len(text) > _LONGEST_QUOTE:
        text = text[: _LONGEST_QUOTE - 2] + '…"'
    return Judgement(0.0, unjudged=text)


def judgement_of(
    log_probs: Sequence[float] | np.ndarray, said: str = ""
) -> Judgement:
    """The judgement that follows from the criteria's log-probabilities.

    The criterion of highest probability wins (Appendix A); of equal ones the
    lowest, so that an undecided judge does not reward.

    Args:
        log_probs: five natural log-probabilities in the order of `CRITERIA`;
            -inf is allowed, NaN and +inf are not.
        said: the judge's own words, where they are known.

    Returns:
        A `Judgement`; one that is `unjudged` where the criteria's
        probabilities sum to less than `LEAST_MASS`.

    Raises:
        ValueError: a NaN or +inf among `log_probs`.
    """
    log_probs = np.asarray(log_probs, "float64")
    highest = log_probs.max()
    if np.isnan(highest) or highest == np.inf:
        raise ValueError(
            "A judge must give finite log-probabilities. Received: "
            f"{log_probs.tolist()} for the scores {CRITERIA}"
        )
    mass = np.exp(log_probs).sum()
    if mass < LEAST_MASS:
        reason = f"the scores have a probability of {mass:.1g} together"
        return no_judgement(reason, said)
    relative = np.exp(log_probs - highest)
    return Judgement(
        score=SCORES[int(log_probs.argmax())],
        probabilities=tuple(np.exp(log_probs).tolist()),
        expected_score=float(relative @ SCORES / relative.sum()),
    )


class Scorer(Protocol):
    """What the package needs of a reward; `Reward` is its base class."""

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        """See `Reward.score`."""
        ...


# A reward, or what gives one answer a number from 0 to 1.
RewardLike = Scorer | Callable[[Example, str], float]


class Reward:
    """Scores answers against the expected outputs; one method to override.

    A subclass implements `score`, and `get_config` where it has settings. It
    may also offer `judge(examples, answers) -> list[Judgement]`, whose
    probabilities and expected scores are then kept with the samples.

    Example:
        ```python
        class Length(Reward):
            def score(self, examples, answers):
                return np.array([min(1, len(a) / 1000) for a in answers])
        ```
    """

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        """Rewards of `answers`.

        Args:
            examples: list of `Example`, aligned with `answers`.
            answers: list of str, final answers only, never reasoning.

        Returns:
            float32 array (n,) of rewards from 0 to 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """What tells this reward from others of its class.

        A run directory scores its samples again where it differs.

        Returns:
            dict of JSON values and, under their keys, the parts that it is
            made of: other rewards, functions and models, as they are.
        """
        return {}


class Judging(Reward):
    """A reward whose one method to override is `judge`."""

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        """As `Reward.score`, with a warning of answers without a judgement."""
        found = self.judge(examples, answers)
        missing = [each.unjudged for each in found if each.unjudged]
        if missing:
            warnings.warn(
                f"{len(missing)} of {len(found)} answers have no judgement "
                "and get the reward 0. The first, "
                f"{missing[0]}. Is the model a judge that answers with the "
                "score alone?",
                RuntimeWarning,
                stacklevel=2,
            )
        return np.array([each.score for each in found], "float32")

    def judge(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> list[Judgement]:
        """Judgements of `answers`: list of `Judgement`, one each."""
        raise NotImplementedError


def judgements(
    reward: Scorer, examples: Sequence[Example], answers: Sequence[str]
) -> list[Judgement]:
    """A `Judgement` of each answer, from any reward.

    Rewards are rounded to six digits: a float32 0.7 must reach a threshold
    of 0.7.

    Raises:
        ValueError: rewards outside [0, 1], or not one for each answer.
    """
    judge = getattr(reward, "judge", None)
    if judge is not None:
        return judge(examples, answers)
    values = checked(reward.score(examples, answers), len(answers))
    return [Judgement(round(value, 6)) for value in values.tolist()]


def check_aligned(examples: Sequence[Any], answers: Sequence[Any]) -> None:
    """Raise ValueError unless there is one example for each answer."""
    if len(examples) != len(answers):
        raise ValueError(
            "A reward needs one example for each answer. Received: "
            f"{len(examples)} examples and {len(answers)} answers"
        )


def checked(values: Sequence[float] | np.ndarray, count: int) -> np.ndarray:
    """`values` as float64 (count,), each from 0 to 1.

    Raises:
        ValueError: wrong shape, NaN, or a value outside [0, 1].
    """
    values = np.asarray(values, "float64")
    if values.shape != (count,):
        raise ValueError(
            f"A reward must return {count} values, one for each answer. "
            f"Received: an array of shape {values.shape}"
        )
    # Written so that NaN is wrong too. A little rounding is not.
    wrong = ~((values >= -1e-6) & (values <= 1 + 1e-6))
    if wrong.any():
        raise ValueError(
            "Rewards must be from 0 to 1: they weigh the loss, and the "
            "threshold is on this scale. Rescale them. Received: "
            f"{values[wrong][0]}"
        )
    return np.clip(values, 0.0, 1.0)
