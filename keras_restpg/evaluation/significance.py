"""The paper's test: two-tailed paired t-test over examples (Table 1)."""

import numpy as np
from scipy import stats

LEVEL = 0.05


def paired_p(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The p-value of the difference between two methods.

    Args:
        ours: rewards of one method (n,), in the order of the examples.
        theirs: of the other, aligned.

    Returns:
        A float from 0 to 1; 1 where there are fewer than two examples or the
        two never differ.
    """
    difference = np.asarray(ours, "float64") - np.asarray(theirs, "float64")
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
