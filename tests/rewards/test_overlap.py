import numpy as np
import pytest

from keras_restpg.rewards.overlap import RougeReward
from tests.rewards.records import example

REFERENCE = example(expected="the cat sat on the mat\nand slept")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # 4 of 5 answer words and 4 of 8 reference words: 2 · 4 / 13.
        ("rouge1", 8 / 13),
        # Of 4 and 7 pairs only "the cat" is shared: 2 · 1 / 11.
        ("rouge2", 2 / 11),
        # The longest common subsequence is "the cat on mat".
        ("rougeL", 8 / 13),
        ("rougeLsum", 8 / 13),
    ],
)
def test_known_values(kind, expected):
    values = RougeReward(kind).score([REFERENCE], ["The cat lay on mat"])
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [expected], rtol=1e-6)


def test_precision_and_recall():
    answers = ["the cat"]
    precision = RougeReward("rouge1", "precision").score([REFERENCE], answers)
    recall = RougeReward("rouge1", "recall").score([REFERENCE], answers)
    np.testing.assert_allclose([precision[0], recall[0]], [1, 2 / 8])


def test_an_empty_answer_is_worth_nothing():
    assert RougeReward().score([REFERENCE], [""]).tolist() == [0]


def test_an_answer_without_an_example_is_refused():
    with pytest.raises(ValueError, match="1 examples and 2 answers"):
        RougeReward().score([REFERENCE], ["a", "b"])


@pytest.mark.parametrize("setting", [{"kind": "bleu"}, {"measure": "mean"}])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match="must be one of.*Received"):
        RougeReward(**setting)
