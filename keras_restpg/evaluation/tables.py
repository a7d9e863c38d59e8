"""Tables like the paper's Table 1, as rows for text and HTML alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_restpg._types import Table
from keras_restpg.evaluation.results import tasks_of
from keras_restpg.evaluation.significance import improves
from keras_restpg.records import Example

if TYPE_CHECKING:
    from keras_restpg.evaluation.results import Result

_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def main_table(results: Sequence[Result], examples: Sequence[Example]) -> Table:
    """Mean rewards by task, with the paper's superscripts.

    Superscripts name the rows above that a row improves upon, by the
    two-tailed paired t-test at p < 0.05. The average is the macro average
    over tasks; its test is over all examples.

    Args:
        results: list of `Result`.
        examples: the test examples.

    Returns:
        list of rows of str, the first one the head.
    """
    tasks = tasks_of(examples)
    rows = [["", *tasks, "average"]]
    for number, result in enumerate(results):
        cells = [f"{number + 1} {result.title}"]
        for part in [*tasks.values(), examples]:
            mean = np.mean(
                [result.rewards(each).mean() for each in tasks.values()]
                if part is examples
                else result.rewards(part)
            )
            marks = [
                str(other + 1)
                for other in range(number)
                if improves(result.rewards(part), results[other].rewards(part))
            ]
            marks = " ".join(marks).translate(_SUPERSCRIPTS)
            cells.append(f"{mean:.4f} {marks}".rstrip())
        rows.append(cells)
    return rows


def macro_average(result: Result, examples: Sequence[Example]) -> float:
    """The mean over tasks of the mean reward."""
    parts = tasks_of(examples).values()
    return float(np.mean([result.rewards(part).mean() for part in parts]))
