"""From samples to scores: only the final answer is judged (§3.2, Figure 1).

The reasoning never reaches the reward. An output without a final answer gets
0 and its reason, and no reward is asked about it; an answer that a judge did
not judge gets 0, its reason and what the judge said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_restpg import prompts
from keras_restpg.records import NO_JUDGEMENT, Example, Sample, Score
from keras_restpg.rewards.combine import as_reward
from keras_restpg.rewards.reward import check_aligned, judgements

if TYPE_CHECKING:
    from keras_restpg.rewards.reward import Judgement, RewardLike

NO_ANSWER_SENTENCE = "no answer sentence"
EMPTY_ANSWER = "empty answer"


def score_samples(
    reward: RewardLike,
    examples: Sequence[Example],
    samples: Sequence[Sample],
    reasoning: bool,
) -> list[Score]:
    """The score of each sample.

    Args:
        reward: a `Reward`, any object with its `score` method, or a callable
            `(example, answer) -> number`.
        examples: list of `Example` aligned with `samples`.
        samples: list of `Sample`.
        reasoning: whether outputs have Figure 8's form; else the whole
            output is the answer.

    Returns:
        list of `Score` aligned with `samples`.

    Raises:
        ValueError: lists of different lengths, or rewards outside [0, 1].
    """
    check_aligned(examples, samples)
    answers = [prompts.final_answer(s.text, reasoning) for s in samples]
    asked = {i: a for i, a in enumerate(answers) if a is not None}
    judgements = judge(
        reward, [examples[i] for i in asked], list(asked.values())
    )
    by_index = dict(zip(asked, judgements, strict=True))
    return [
        _score(sample, by_index.get(i), reasoning)
        for i, sample in enumerate(samples)
    ]


def judge(
    reward: RewardLike, examples: Sequence[Example], answers: Sequence[str]
) -> list[Judgement]:
    """A `Judgement` of each answer, from any reward or callable."""
    reward = as_reward(reward)
    return judgements(reward, examples, answers) if answers else []


def _score(sample, judgement, reasoning):
    if judgement is None:
        return Score(
            sample.example_id,
            sample.index,
            0.0,
            reason=_reason(sample.text, reasoning),
        )
    if judgement.unjudged:
        return Score(
            sample.example_id,
            sample.index,
            0.0,
            reason=NO_JUDGEMENT,
            reply=judgement.unjudged,
        )
    return Score(
        sample.example_id,
        sample.index,
        judgement.score,
        probabilities=judgement.probabilities,
        expected_score=judgement.expected_score,
    )


def _reason(text, reasoning):
    if reasoning and prompts.ANSWER_SENTENCE not in text:
        return NO_ANSWER_SENTENCE
    return EMPTY_ANSWER
