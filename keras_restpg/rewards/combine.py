"""Rewards made of others: a weighted mix, steps, any Python callable.

Where exactly one of the others is a judge, its probabilities and expected
score stay with the combined reward. Where one of them has no judgement of an
answer, there is none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_restpg.records import Example
from keras_restpg.rewards.reward import (
    SCORES,
    Judgement,
    Judging,
    Reward,
    check_aligned,
    checked,
    judgements,
)

if TYPE_CHECKING:
    from keras_restpg.rewards.reward import RewardLike, Scorer


class FunctionReward(Reward):
    """Any callable as a reward.

    Args:
        function: called as `function(example, answer)` for each answer;
            returns a number from 0 to 1.

    Example:
        ```python
        FunctionReward(lambda example, answer: float("please" in answer))
        ```
    """

    def __init__(self, function: Callable[[Example, str], Any]) -> None:
        self.function = function

    def score(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> np.ndarray:
        check_aligned(examples, answers)
        pairs = zip(examples, answers, strict=True)
        values = [self.function(example, answer) for example, answer in pairs]
        return checked(values, len(answers)).astype("float32")

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function}


class MixReward(Judging):
    """The weighted mean of several rewards.

    Args:
        rewards: list of rewards.
        weights: non-negative numbers as many as `rewards`, normalised to sum
            to 1; None weighs all alike.

    Raises:
        ValueError: no rewards, or weights that do not fit them.
    """

    def __init__(
        self,
        rewards: Sequence[RewardLike],
        weights: Sequence[float] | None = None,
    ) -> None:
        self.rewards = [as_reward(reward) for reward in rewards]
        weights = [1.0] * len(rewards) if weights is None else weights
        self.weights = np.array(weights, "float64")
        if (
            self.weights.shape != (len(self.rewards),)
            or not np.isfinite(self.weights).all()
            or (self.weights < 0).any()
            or self.weights.sum() <= 0
        ):
            raise ValueError(
                "A mix needs one weight for each reward, none negative, not "
                f"all 0. Received: {len(self.rewards)} rewards and "
                f"weights={weights}"
            )
        self.weights = self.weights / self.weights.sum()

    def judge(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> list[Judgement]:
        parts = [judgements(r, examples, answers) for r in self.rewards]
        scores = [_scores(part, len(answers)) for part in parts]
        total = np.clip(self.weights @ np.array(scores), 0.0, 1.0)
        return [
            _rescored(_only_judge(each), round(score, 6))
            for each, score in zip(
                zip(*parts, strict=True), total.tolist(), strict=True
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {"rewards": self.rewards, "weights": self.weights.tolist()}


class SteppedReward(Judging):
    """A reward cut to the judge's five scores 0.1, 0.3, 0.5, 0.7 and 1.0.

    So that the paper's threshold means the same with any reward. A blank
    answer stays 0.

    Args:
        reward: the reward to cut.
        cutoffs: four increasing values; each one that the reward reaches
            lifts the score by one step. The default takes the nearest of the
            five scores. Real long texts seldom pass 0.5 in ROUGE: choose
            cutoffs from the quantiles of your own scores.

    Raises:
        ValueError: cutoffs that are not four increasing numbers.

    Example:
        ```python
        SteppedReward(RougeReward("rougeL"), cutoffs=(0.1, 0.2, 0.3, 0.4))
        ```
    """

    def __init__(
        self,
        reward: RewardLike,
        cutoffs: Sequence[float] = (0.2, 0.4, 0.6, 0.85),
    ) -> None:
        self.reward = as_reward(reward)
        self.cutoffs = np.array(cutoffs, "float64")
        if self.cutoffs.shape != (4,) or not (np.diff(self.cutoffs) > 0).all():
            raise ValueError(
                "`cutoffs` must be four increasing numbers. "
                f"Received: {cutoffs}"
            )

    def judge(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> list[Judgement]:
        found = judgements(self.reward, examples, answers)
        # float32 values that should equal a cutoff may fall just below it.
        values = _scores(found, len(answers)) + 1e-6
        steps = np.searchsorted(self.cutoffs, values, side="right")
        return [
            _rescored(judgement, SCORES[step] if answer.strip() else 0.0)
            for judgement, step, answer in zip(
                found, steps, answers, strict=True
            )
        ]

    def get_config(self) -> dict[str, Any]:
        return {"reward": self.reward, "cutoffs": self.cutoffs.tolist()}


def _scores(found, count):
    return checked([each.score for each in found], count)


def _only_judge(found):
    """The one of an answer's judgements with probabilities, if it is one.

    Where a judge did not judge, what it said: a mix of the others would be
    another reward than that of all other answers.
    """
    missing = [each for each in found if each.unjudged]
    if missing:
        return missing[0]
    judged = [each for each in found if each.probabilities is not None]
    return judged[0] if len(judged) == 1 else Judgement(0.0)


def _rescored(judgement, score):
    """The judgement with another score, unless there is none."""
    if judgement.unjudged:
        return judgement
    return dataclasses.replace(judgement, score=score)


def as_reward(reward: Any) -> Scorer:
    """`reward` itself, or a callable wrapped as `FunctionReward`.

    Raises:
        ValueError: neither a `score` method nor callable.
    """
    if hasattr(reward, "score"):
        return reward
    if not callable(reward):
        raise ValueError(
            "A reward must have a method `score(examples, answers)` or be "
            f"callable. Received: {reward!r}"
        )
    return FunctionReward(reward)
