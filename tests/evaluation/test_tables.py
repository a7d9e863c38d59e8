import csv

import numpy as np
import pytest
from scipy import stats

from keras_restpg.evaluation.results import Result, method_of
from keras_restpg.evaluation.significance import improves, paired_p
from keras_restpg.evaluation.tables import main_table, score_table
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
    rows = main_table([result(low), result(high, 1)], EXAMPLES).rows()
    assert rows[0] == ["", "a", "b", "average"]
    assert rows[2][0] == "2 ReST-EM, iteration 1"
    assert rows[2][1] == f"{low[::2].mean():.4f}"
    assert rows[2][2] == f"{high[1::2].mean():.4f} ¹"
    average = (high[::2].mean() + high[1::2].mean()) / 2
    assert rows[2][3] == f"{average:.4f} ¹"
    assert "¹" not in "".join(rows[1])


def test_a_table_is_written_for_papers_and_programs():
    tasks, users = ["a_b", "a_b", "c|d", "c|d"], ["u", "v", "u", "v"]
    low, high = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.2, 0.3, 0.2, 0.3])
    table = score_table(["SFT", "x & y"], [low, high], tasks, users)
    assert table.latex() == (
        "\\begin{tabular}{lccc}\n\\toprule\n"
        "Model & a\\_b & c|d & average \\\\\n\\midrule\n"
        "1 SFT & 0.1500 & \\textbf{0.3500} & \\textbf{0.2500} \\\\\n"
        "2 x \\& y & \\textbf{0.2500}$^{1}$ & 0.2500 & \\textbf{0.2500} \\\\\n"
        "\\bottomrule\n\\end{tabular}\n"
    )
    head, _, first, second = table.markdown().splitlines()
    assert head == "|  | a_b | c\\|d | average |"
    assert second == "| 2 x & y | **0.2500** ¹ | 0.2500 | **0.2500** |"
    rows = list(csv.DictReader(table.csv().splitlines()))
    assert rows[3]["better than"] == "SFT" and rows[5]["task"] == "average"
    assert float(rows[0]["low"]) == pytest.approx(0.1)
    assert float(rows[0]["mean"]) == pytest.approx(0.15)
    assert float(rows[0]["high"]) == pytest.approx(0.2)
