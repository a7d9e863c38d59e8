"""The paper's test, two-tailed paired t (Table 1), and what stands beside it.

Beyond the paper: intervals, effect sizes, and p-values corrected for how many
comparisons were made.
"""

import numpy as np
from scipy import stats

LEVEL = 0.05
# Draws of a bootstrap.
_DRAWS = 2000


def paired_p(ours, theirs):
    """The p-value of the difference between two methods.

    Args:
        ours: rewards of one method (n,), in the order of the examples.
        theirs: of the other, aligned.

    Returns:
        A float from 0 to 1; 1 where there are fewer than two examples or the
        two never differ.
    """
    difference = _difference(ours, theirs)
    if len(difference) < 2 or not difference.any():
        return 1.0
    if np.ptp(difference) == 0:
        return 0.0
    return float(stats.ttest_1samp(difference, 0.0).pvalue)


def improves(ours, theirs, level=LEVEL):
    """Whether one method is better than another, not by chance."""
    better = np.mean(ours) > np.mean(theirs)
    return bool(better) and paired_p(ours, theirs) < level


def effect_size(ours, theirs):
    """Cohen's d of paired values: the mean difference over its deviation.

    NaN where there are fewer than two, or the difference never varies.
    """
    difference = _difference(ours, theirs)
    if len(difference) < 2 or np.ptp(difference) == 0:
        return float("nan")
    return float(difference.mean() / difference.std(ddof=1))


def holm(p_values):
    """Holm's correction: p-values that hold for all comparisons together.

    Args:
        p_values: of each comparison (n,).

    Returns:
        float array (n,), in the same order; each at least what was given.
    """
    p_values = np.asarray(p_values, "float64")
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def bootstrap(statistic, *samples, seed=0):
    """Draws of a statistic of paired samples, float array.

    Args:
        statistic: from as many arrays (n,) as there are samples to a float.
        *samples: arrays of one length; their places are drawn together.
        seed: of the draws.
    """
    samples = [np.asarray(each) for each in samples]
    random = np.random.default_rng(seed)
    count = len(samples[0])
    drawn = (random.integers(count, size=count) for _ in range(_DRAWS))
    return np.array(
        [statistic(*(each[place] for each in samples)) for place in drawn]
    )


def mean_draws(values, users):
    """Bootstrap draws of a mean, users being drawn with all their examples.

    Args:
        values: rewards (n,).
        users: whose example each one is, a list of n.
    """
    _, place = np.unique(np.asarray(users, str), return_inverse=True)
    sums = np.bincount(place, np.asarray(values, "float64"))
    counts = np.bincount(place)
    return bootstrap(lambda s, c: s.sum() / c.sum(), sums, counts)


def interval(draws, level=0.95):
    """The percentile interval of a bootstrap's draws, `(low, high)`."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def _difference(ours, theirs):
    return np.asarray(ours, "float64") - np.asarray(theirs, "float64")
