import numpy as np
import pytest

from keras_restpg.rewards import combine, scoring
from keras_restpg.rewards.reward import Judgement, Judging
from tests.rewards.records import example, sample

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


class Judge(Judging):
    """Finds all answers but blank ones alike."""

    def judge(self, examples, answers):
        sure = Judgement(0.5, (0.1, 0.1, 0.6, 0.1, 0.1), 0.48)
        return [sure if a.strip() else Judgement(0.0) for a in answers]


def test_a_judges_probabilities_stay_with_what_is_made_of_it():
    judge = Judge()
    mix = combine.MixReward([constant(0.9), judge], [1, 3])
    stepped = combine.SteppedReward(mix, (0.1, 0.2, 0.6, 0.9))
    found = [
        reward.judge([EXAMPLE] * 2, ["a", " "])
        for reward in (judge, mix, stepped)
    ]
    assert [each[0].score for each in found] == [0.5, 0.6, 0.7]
    assert [each[1].score for each in found] == [0, 0.225, 0]
    for first, blank in found:
        assert first.probabilities == (0.1, 0.1, 0.6, 0.1, 0.1)
        assert first.expected_score == 0.48
        assert blank.probabilities is None
    kept = scoring.score_samples(stepped, [EXAMPLE], [sample()], False)[0]
    assert (kept.reward, kept.expected_score) == (0.7, 0.48)


def test_of_two_judges_no_probabilities_stay():
    mix = combine.MixReward([Judge(), Judge()])
    (found,) = mix.judge([EXAMPLE], ["a"])
    assert found == Judgement(0.5)


class Silent(Judging):
    """Judges no answer."""

    def judge(self, examples, answers):
        return [Judgement(0.0, unjudged="an empty reply") for _ in answers]


def test_without_a_judgement_no_mix_has_one():
    mix = combine.MixReward([constant(0.9), Silent(), Judge()])
    stepped = combine.SteppedReward(mix)
    for reward in (mix, stepped):
        (found,) = reward.judge([EXAMPLE], ["a"])
        assert found == Judgement(0.0, unjudged="an empty reply")
        with pytest.warns(RuntimeWarning, match="1 of 1 .*an empty reply"):
            assert reward.score([EXAMPLE], ["a"]).tolist() == [0]
    kept = scoring.score_samples(stepped, [EXAMPLE], [sample()], False)[0]
    assert (kept.reward, kept.reason) == (0.0, scoring.NO_JUDGEMENT)
    assert kept.reply == "an empty reply"


def test_what_a_reward_is_names_its_parts():
    def please(example, answer):
        return float("please" in answer)

    judge = Judge()
    mix = combine.MixReward([please, judge], [1, 3])
    stepped = combine.SteppedReward(mix, (0.1, 0.2, 0.6, 0.9))
    config = stepped.get_config()
    assert config == {"reward": mix, "cutoffs": [0.1, 0.2, 0.6, 0.9]}
    config = mix.get_config()
    assert config["weights"] == [0.25, 0.75]
    assert config["rewards"][1] is judge and judge.get_config() == {}
    assert config["rewards"][0].get_config() == {"function": please}


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
