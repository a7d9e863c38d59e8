import numpy as np
import pytest
from scipy import stats

from keras_restpg.evaluation.results import Result, method_of
from keras_restpg.evaluation.significance import improves, paired_p
from keras_restpg.evaluation.tables import main_table
from keras_restpg.records import Example, Sample, Score, ScoredSample

TASKS = ("a", "b")
EXAMPLES = [Example(str(i), TASKS[i % 2], "u", "x", "y", ()) for i in range(60)]


def result(rewards, iteration=0, reasons=False):
    outputs = {
        example.id: ScoredSample(
            Sample(example.id, 0, "text", (), True, 0.0),
            Score(example.id, 0, float(reward)),
        )
        for example, reward in zip(EXAMPLES, rewards, strict=True)
    }
    return Result(method_of(reasons, iteration), iteration, outputs)


def test_the_test_is_scipys_paired_t_test():
    rng = np.random.default_rng(0)
    ours, theirs = rng.random(40), rng.random(40)
    assert paired_p(ours, theirs) == pytest.approx(
        stats.ttest_rel(ours, theirs).pvalue
    )


def test_equal_methods_never_differ():
    same = np.array([0.1, 0.7])
    assert paired_p(same, same) == 1.0
    assert paired_p([0.1], [0.7]) == 1.0
    assert paired_p(same + 0.1, same) < 1e-6
    assert improves(same + 0.1, same) and not improves(same, same + 0.1)


def test_superscripts_name_the_rows_that_are_improved_upon():
    rng = np.random.default_rng(1)
    low = rng.random(60) * 0.5
    high = low + 0.3 * (np.arange(60) % 2)
    rows = main_table([result(low), result(high, 1)], EXAMPLES)
    assert rows[0] == ["", "a", "b", "average"]
    assert rows[2][0] == "2 ReST-EM, iteration 1"
    assert rows[2][1] == f"{low[::2].mean():.4f}"
    assert rows[2][2] == f"{high[1::2].mean():.4f} ¹"
    average = (high[::2].mean() + high[1::2].mean()) / 2
    assert rows[2][3] == f"{average:.4f} ¹"
    assert "¹" not in "".join(rows[1])
