"""The paper's test, two-tailed paired t (Table 1), and what stands beside it.

Beyond the paper: intervals, effect sizes, and p-values corrected for how many
comparisons were made.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.05
# Draws of a bootstrap, and numbers that are drawn at once.
_DRAWS = 2000
_NUMBERS = 1 << 20


def paired_p(ours: np.ndarray, theirs: np.ndarray) -> float:
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


def improves(
    ours: np.ndarray, theirs: np.ndarray, level: float = LEVEL
) -> bool:
    """Whether one method is better than another, not by chance."""
    better = np.mean(ours) > np.mean(theirs)
    return bool(better) and paired_p(ours, theirs) < level


def effect_size(ours: ArrayLike, theirs: ArrayLike) -> float:
    """Cohen's d of paired values: the mean difference over its deviation.

    NaN where there are fewer than two, or the difference never varies.
    """
    difference = _difference(ours, theirs)
    if len(difference) < 2 or np.ptp(difference) == 0:
        return float("nan")
    return float(difference.mean() / difference.std(ddof=1))


def holm(p_values: ArrayLike) -> np.ndarray:
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


def bootstrap(
    statistic: Callable[..., np.ndarray], *samples: ArrayLike, seed: int = 0
) -> np.ndarray:
    """Draws of a statistic of paired samples, float array (draws,).

    Args:
        statistic: from as many arrays (draws, n) as there are samples to an
            array (draws,).
        *samples: arrays (n,); their places are drawn together.
        seed: of the draws.
    """
    arrays = [np.asarray(each) for each in samples]
    random = np.random.default_rng(seed)
    count = len(arrays[0])
    at_once = max(1, _NUMBERS // count)
    found = []
    for first in range(0, _DRAWS, at_once):
        shape = min(at_once, _DRAWS - first), count
        places = random.integers(count, size=shape)
        found.append(statistic(*(each[places] for each in arrays)))
    return np.concatenate(found)


def mean_draws(values: ArrayLike, users: ArrayLike) -> np.ndarray:
    """Bootstrap draws of a mean, users being drawn with all their examples.

    Args:
        values: rewards (n,).
        users: whose example each one is, a list of n.
    """
    _, place = np.unique(np.asarray(users, str), return_inverse=True)
    sums = np.bincount(place, np.asarray(values, "float64"))
    counts = np.bincount(place)
    return bootstrap(lambda s, c: s.sum(1) / c.sum(1), sums, counts)


def interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval of a bootstrap's draws, `(low, high)`."""
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(draws, [tail, 100 - tail])
    return float(low), float(high)


def _difference(ours, theirs):
    return np.asarray(ours, "float64") - np.asarray(theirs, "float64")
