import json

import numpy as np
import pytest

from keras_restpg.evaluation.reward_check import JudgeCheck, area, check_judge
from keras_restpg.records import Document, Example
from keras_restpg.rewards import RougeReward
from keras_restpg.rewards.reward import Judging, no_judgement

WORDS = "red blue tall small warm cold old new".split()


def examples(count, users=None):
    return [
        Example(
            f"e{i}",
            "t",
            f"u{i % (users or count)}",
            "write",
            f"it is {WORDS[i % 8]} {i}",
            (Document(f"it was {WORDS[i % 8]} and {WORDS[i % 8]}"),),
        )
        for i in range(count)
    ]


class Silent(Judging):
    def judge(self, examples, answers):
        return [no_judgement("it said nothing") for _ in answers]


def test_the_area_is_the_share_of_pairs_that_are_in_order():
    own, other = np.array([3.0, 1.0, 2.0]), np.array([2.0, 0.0])
    # 3>2, 3>0, 1<2, 1>0, 2=2, 2>0
    assert area(own, other) == pytest.approx(4.5 / 6)
    assert area(own, own) == 0.5


def test_overlap_tells_own_texts_and_its_opposite_does_not():
    rouge = RougeReward("rouge1")
    found = check_judge(rouge, examples(32))
    assert (found.written.area, found.written.low) == (1.0, 1.0)
    assert found.documents.area > 0.5 > found.documents.p
    assert found.correlations["rouge1"] == pytest.approx(1.0)
    assert (found.examples, found.answers, found.unjudged) == (32, 128, 0)
    assert not found.doubt

    def opposite(example, answer):
        return 1 - float(rouge.score([example], [answer])[0])

    found = check_judge(opposite, examples(32))
    assert found.written.area == 0.0
    assert found.correlations["rouge1"] == pytest.approx(-1.0)
    assert "0.00, with the interval from 0.00 to 0.00" in found.doubt


def test_a_constant_reward_and_a_silent_judge_are_doubted():
    found = check_judge(lambda example, answer: 0.5, examples(16))
    assert found.written.area == 0.5 and found.levels == 1
    assert np.isnan(found.correlations["meteor"])
    assert "one half is a coin" in found.doubt
    again = JudgeCheck.from_json(json.loads(json.dumps(found.to_json())))
    assert again.text() == found.text()
    silent = check_judge(Silent(), examples(16))
    assert silent.unjudged == 64
    assert "without a score: 100.0%" in silent.text()


def test_one_example_of_each_user_is_drawn():
    found = check_judge(RougeReward(), examples(32, users=4))
    assert found.examples == 4
    assert check_judge(RougeReward(), examples(32), count=5).examples == 5


def test_one_user_alone_can_not_be_checked():
    found = check_judge(RougeReward(), examples(8, users=1))
    assert found.written is None and "two users" in found.doubt
