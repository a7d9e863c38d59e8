import numpy as np
import pytest
from scipy import stats

from keras_restpg.evaluation.significance import (
    bootstrap,
    effect_size,
    holm,
    interval,
    mean_draws,
)


def interval_of(values, users):
    return interval(mean_draws(values, users))


def test_holm_steps_down():
    # 0.01 × 3, 0.02 × 2, then no less than the one before.
    assert holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_an_effect_is_measured_in_deviations():
    assert effect_size([2, 4, 6], [1, 2, 3]) == pytest.approx(2.0)
    assert np.isnan(effect_size([1, 2], [0, 1]))


def test_an_interval_of_a_mean_is_that_of_theory():
    values = np.random.default_rng(0).normal(size=400)
    low, high = interval_of(values, list(range(400)))
    half = stats.t.ppf(0.975, 399) * values.std(ddof=1) / 20
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert low < values.mean() < high


def test_examples_of_one_user_count_together():
    values = np.random.default_rng(0).normal(size=100)
    once = interval_of(values, list(range(100)))
    # Each user's examples say the same: a hundred, not a thousand.
    often = interval_of(np.repeat(values, 10), np.repeat(range(100), 10))
    assert often == pytest.approx(once)


def test_what_never_varies_has_no_width():
    assert interval(bootstrap(lambda x: x.mean(1), np.ones(5))) == (1.0, 1.0)
