import math

import numpy as np
import pytest

from keras_restpg.rewards import reward


def test_the_most_probable_criterion_wins():
    judged = reward.judgement_of(np.log([0.1, 0.1, 0.1, 0.4, 0.2]))
    assert judged.score == 0.7
    np.testing.assert_allclose(judged.probabilities, [0.1, 0.1, 0.1, 0.4, 0.2])
    expected = (0.01 + 0.03 + 0.05 + 0.28 + 0.2) / 0.9
    assert judged.expected_score == pytest.approx(expected)


def test_a_tie_goes_to_the_lower_score():
    assert reward.judgement_of([-1.0] * 5).score == 0.1


def test_small_probabilities_are_compared_all_the_same():
    judged = reward.judgement_of([-2000, -5, -3000, -math.inf, -6])
    assert judged.score == 0.3
    share = 1 / (1 + math.exp(-1))
    expected = 0.3 * share + 1.0 * (1 - share)
    assert judged.expected_score == pytest.approx(expected)


@pytest.mark.parametrize(
    "log_probs", [[-9, -9, -9, -9, -9], [-2000, -1000, -3000, -9, -1001]]
)
def test_scores_of_almost_no_probability_are_no_judgement(log_probs):
    judged = reward.judgement_of(log_probs)
    assert (judged.score, judged.probabilities) == (0.0, None)
    assert judged.unjudged.startswith("the scores have a probability of ")
    least = np.log([reward.LEAST_MASS / 5 * 1.001] * 5)
    assert not reward.judgement_of(least).unjudged


def test_what_a_judge_said_is_kept_short_and_printable():
    said = reward.no_judgement("no score", "a\x1b[2J\u202e\ud800\n\n b" * 99)
    assert len(said.unjudged) == 200 and said.unjudged.isprintable()
    assert said.unjudged.startswith('no score: "a?[2J?? b')
    assert reward.no_judgement("an empty reply", " \n").unjudged == (
        "an empty reply"
    )


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="finite log-prob.*Received"):
        reward.judgement_of([-1, -1, wrong, -1, -1])


def test_no_probability_at_all_is_no_judgement():
    assert reward.judgement_of([-math.inf] * 5).unjudged


@pytest.mark.parametrize("values", [[0.5], [0.5, math.nan], [1.1, 0], [0, -1]])
def test_what_is_no_reward_is_refused(values):
    with pytest.raises(ValueError, match="Received"):
        reward.checked(values, 2)
