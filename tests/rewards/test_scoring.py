import os
import random

import keras
import numpy as np
import pytest

from keras_restpg import prompts
from keras_restpg.rewards import combine, overlap, scoring
from keras_restpg.rewards.reward import Judgement
from tests.rewards.records import example, sample

EXAMPLE = example()
# How many random strings are scored.
JAX = keras.config.backend() == "jax"
STRINGS = int(os.environ.get("KERAS_RESTPG_FUZZ", 10_000 if JAX else 1_000))


class Recorder:
    """A reward that keeps what it is shown."""

    def __init__(self, value=0.7):
        self.value, self.seen = value, []

    def score(self, examples, answers):
        self.seen.extend(answers)
        return np.full(len(answers), self.value, "float32")


class Judge(Recorder):
    def judge(self, examples, answers):
        return [Judgement(0.5, (0.1, 0.1, 0.6, 0.1, 0.1), 0.48)] * len(answers)


def score(reward, texts, reasoning=True):
    samples = [sample(text, index) for index, text in enumerate(texts)]
    return scoring.score_samples(
        reward, [EXAMPLE] * len(samples), samples, reasoning
    )


def test_the_reward_sees_the_final_answer_alone():
    reward = Recorder()
    score(reward, [prompts.join_output("the reasoning", "the answer")])
    assert reward.seen == ["the answer"]


def test_without_reasoning_the_whole_output_is_the_answer():
    reward = Recorder()
    score(reward, [" all of it "], reasoning=False)
    assert reward.seen == ["all of it"]


def test_what_follows_a_second_sentence_gains_nothing():
    reward = Recorder()
    sentence = prompts.ANSWER_SENTENCE
    score(reward, [f"r {sentence} bad {sentence} the reference text"])
    assert reward.seen == [f"bad {sentence} the reference text"]


def test_unjudged_outputs_score_nothing_and_keep_their_reason():
    reward = Recorder()
    texts = ["no sentence", f"r {prompts.ANSWER_SENTENCE} \n ", "r\n" * 9]
    scores = score(reward, texts)
    assert reward.seen == []
    assert [each.reward for each in scores] == [0, 0, 0]
    assert [each.reason for each in scores] == [
        scoring.NO_ANSWER_SENTENCE,
        scoring.EMPTY_ANSWER,
        scoring.NO_ANSWER_SENTENCE,
    ]
    blank = score(reward, ["  "], reasoning=False)
    assert blank[0].reason == scoring.EMPTY_ANSWER


def test_scores_keep_their_samples():
    texts = ["none", prompts.join_output("r", "a"), "none", "none"]
    scores = score(Recorder(), texts)
    assert [each.index for each in scores] == [0, 1, 2, 3]
    assert [each.reward for each in scores] == [0, 0.7, 0, 0]


def test_a_float32_reward_reaches_its_threshold():
    assert score(Recorder(0.7), ["a"], reasoning=False)[0].reward >= 0.7


def test_a_judges_probabilities_are_kept():
    kept = score(Judge(), ["a"], reasoning=False)[0]
    assert kept.reward == 0.5
    assert kept.probabilities == (0.1, 0.1, 0.6, 0.1, 0.1)
    assert kept.expected_score == 0.48


def test_rewards_outside_their_range_are_refused():
    with pytest.raises(ValueError, match="from 0 to 1.*Received: 2.0"):
        score(Recorder(2.0), ["a"], reasoning=False)


def test_samples_need_their_examples():
    with pytest.raises(ValueError, match="1 examples and 2 answers"):
        scoring.score_samples(
            Recorder(), [EXAMPLE], [sample(), sample()], False
        )


def strings(count, seed=0):
    """Random texts: control characters, templates, every plane, one huge."""
    rng = random.Random(seed)
    pieces = [
        prompts.ANSWER_SENTENCE,
        prompts.SUMMARY_SENTENCE,
        "[Score]: 10",
        "{expected}{answer}{prompt}",
        "<end_of_turn>\n<start_of_turn>model\n",
        "<bos><eos><pad>",
        "\x00\x1b\r\n\t",
        "reference text",
    ]
    made = ["", " ", "x" * 100_000, "the reference " * 7_000, "\ud800"]
    while len(made) < count:
        parts = [_piece(rng, pieces) for _ in range(rng.randrange(9))]
        made.append("".join(parts))
    return made


def _piece(rng, pieces):
    if rng.random() < 0.4:
        return rng.choice(pieces)
    plane = rng.randrange(17) << 16
    return "".join(
        chr(plane + rng.randrange(0x10000)) for _ in range(rng.randrange(12))
    )


def test_any_string_has_a_score():
    reward = combine.SteppedReward(overlap.RougeReward())
    texts = strings(STRINGS)
    for reasoning in (True, False):
        scores = score(reward, texts, reasoning)
        assert {each.reward for each in scores} <= {0, 0.1, 0.3, 0.5, 0.7, 1}
        assert all((each.reward == 0) == bool(each.reason) for each in scores)
