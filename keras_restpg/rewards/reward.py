"""What a reward is, and the judgement that some rewards can explain."""

import dataclasses

import numpy as np

# The judge's five criteria (Figure 6), divided by 10 (Appendix A).
CRITERIA = ("1", "3", "5", "7", "10")
SCORES = (0.1, 0.3, 0.5, 0.7, 1.0)


@dataclasses.dataclass(frozen=True)
class Judgement:
    """How a judge came to a score.

    Attributes:
        score: one of `SCORES`, or 0 where there was nothing to judge.
        probabilities: the probability of each of `CRITERIA` as a whole
            string; they sum to at most 1. None where nothing was judged.
        expected_score: the mean of `SCORES` under these probabilities,
            normalised; None where nothing was judged.
    """

    score: float
    probabilities: tuple[float, ...] | None = None
    expected_score: float | None = None


def judgement_of(log_probs):
    """The judgement that follows from the criteria's log-probabilities.

    The criterion of highest probability wins (Appendix A); of equal ones the
    lowest, so that an undecided judge does not reward.

    Args:
        log_probs: five natural log-probabilities in the order of `CRITERIA`;
            -inf is allowed, NaN and +inf are not.

    Raises:
        ValueError: a NaN or +inf among `log_probs`, or all are -inf.
    """
    log_probs = np.asarray(log_probs, "float64")
    highest = log_probs.max()
    if not np.isfinite(highest):
        raise ValueError(
            "A judge must give finite log-probabilities. Received: "
            f"{log_probs.tolist()} for the scores {CRITERIA}"
        )
    relative = np.exp(log_probs - highest)
    return Judgement(
        score=SCORES[int(log_probs.argmax())],
        probabilities=tuple(np.exp(log_probs).tolist()),
        expected_score=float(relative @ SCORES / relative.sum()),
    )


class Reward:
    """Scores answers against the expected outputs; one method to override.

    A subclass implements `score`. It may also offer
    `judge(examples, answers) -> list[Judgement]`, whose probabilities and
    expected scores are then kept with the samples.

    Attributes:
        settings: JSON values that tell it from others of its class, None
            where there is nothing to tell. A run directory scores its samples
            anew where they differ.

    Example:
        ```python
        class Length(Reward):
            def score(self, examples, answers):
                return np.array([min(1, len(a) / 1000) for a in answers])
        ```
    """

    settings = None

    def score(self, examples, answers):
        """Rewards of `answers`.

        Args:
            examples: list of `Example`, aligned with `answers`.
            answers: list of str, final answers only, never reasoning.

        Returns:
            float32 array (n,) of rewards from 0 to 1.
        """
        raise NotImplementedError


class Judging(Reward):
    """A reward whose one method to override is `judge`."""

    def score(self, examples, answers):
        scores = [each.score for each in self.judge(examples, answers)]
        return np.array(scores, "float32")

    def judge(self, examples, answers):
        """Judgements of `answers`: list of `Judgement`, one each."""
        raise NotImplementedError


def description(reward):
    """What tells a reward, or a callable, from another, JSON values."""
    named = reward if hasattr(reward, "__qualname__") else type(reward)
    name = f"{named.__module__}.{named.__qualname__}"
    settings = getattr(reward, "settings", None)
    return name if settings is None else [name, settings]


def judgements(reward, examples, answers):
    """A `Judgement` of each answer, from any reward.

    Rewards are rounded to six digits: a float32 0.7 must reach a threshold
    of 0.7.

    Raises:
        ValueError: rewards outside [0, 1], or not one for each answer.
    """
    if hasattr(reward, "judge"):
        return reward.judge(examples, answers)
    values = checked(reward.score(examples, answers), len(answers))
    return [Judgement(round(value, 6)) for value in values.tolist()]


def check_aligned(examples, answers):
    """Raise ValueError unless there is one example for each answer."""
    if len(examples) != len(answers):
        raise ValueError(
            "A reward needs one example for each answer. Received: "
            f"{len(examples)} examples and {len(answers)} answers"
        )


def checked(values, count):
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
