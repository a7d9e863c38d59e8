import numpy as np
import pytest

from keras_restpg.rewards import combine
from tests.rewards.records import example

EXAMPLE = example(expected="three")


def constant(value):
    return combine.FunctionReward(lambda example, answer: value)


def test_any_callable_is_a_reward():
    reward = combine.as_reward(lambda e, a: float(e.expected in a))
    values = reward.score([EXAMPLE] * 2, ["one two", "two three"])
    assert values.dtype == np.float32
    assert values.tolist() == [0, 1]


def test_what_is_no_reward_is_refused():
    with pytest.raises(ValueError, match="Received: 3"):
        combine.as_reward(3)


def test_a_mix_is_the_weighted_mean():
    mix = combine.MixReward([constant(0.2), constant(0.8)], [1, 3])
    np.testing.assert_allclose(mix.score([EXAMPLE], ["a"]), [0.65], rtol=1e-6)
    even = combine.MixReward([constant(0.2), constant(0.8)])
    np.testing.assert_allclose(even.score([EXAMPLE], ["a"]), [0.5], rtol=1e-6)


@pytest.mark.parametrize(
    "weights", [[1], [1, -1], [0, 0], [1, float("nan")], [[1, 2]]]
)
def test_weights_must_fit(weights):
    with pytest.raises(ValueError, match="one weight for each reward"):
        combine.MixReward([constant(0), constant(1)], weights)


def test_a_mix_of_nothing_is_refused():
    with pytest.raises(ValueError, match="0 rewards"):
        combine.MixReward([])


@pytest.mark.parametrize(
    ("value", "step"),
    [
        (0, 0.1),
        (0.19, 0.1),
        (0.2, 0.3),
        (0.5, 0.5),
        (0.6, 0.7),
        (0.85, 1),
        (1, 1),
    ],
)
def test_steps_are_the_judges_scores(value, step):
    reward = combine.SteppedReward(constant(value))
    np.testing.assert_allclose(reward.score([EXAMPLE], ["a"]), [step])


def test_a_blank_answer_stays_at_nothing():
    reward = combine.SteppedReward(constant(1))
    assert reward.score([EXAMPLE], [" \n"]).tolist() == [0]


@pytest.mark.parametrize("cutoffs", [(0.1, 0.2), (0.1, 0.3, 0.2, 0.4)])
def test_cutoffs_must_increase(cutoffs):
    with pytest.raises(ValueError, match="four increasing"):
        combine.SteppedReward(constant(1), cutoffs)
