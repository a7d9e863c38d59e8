"""Tables like the paper's Tables 1 and 3, and the forms they are written in.

Superscripts name the rows above that a row improves upon, by the two-tailed
paired t-test at p < 0.05. The average is the macro average over tasks; its
test is over all examples. Beyond the paper: 95% bootstrap intervals over
users.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_restpg._types import Table
from keras_restpg.evaluation.results import tasks_of
from keras_restpg.evaluation.significance import (
    improves,
    interval,
    mean_draws,
)
from keras_restpg.tables import as_csv

if TYPE_CHECKING:
    from keras_restpg.evaluation.results import Result
    from keras_restpg.records import Example

AVERAGE = "average"
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LATEX = {c: f"\\{c}" for c in "&%$#_{}"}
_LATEX |= {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """The mean reward of a method on a task.

    Attributes:
        mean: the mean.
        low: of its 95% interval.
        high: of the same.
        over: the numbers, from 1, of the rows that it improves upon.
        best: whether no row has a higher mean.
    """

    mean: float
    low: float
    high: float
    over: tuple[int, ...]
    best: bool


@dataclasses.dataclass(frozen=True)
class ScoreTable:
    """Mean rewards, a row a method and a column a task.

    Attributes:
        tasks: the columns' names, `"average"` last.
        titles: the rows'.
        cells: `Cell`s, row by row.
    """

    tasks: list[str]
    titles: list[str]
    cells: list[list[Cell]]

    def rows(self) -> Table:
        """Rows of str for text and HTML, the head first."""
        return self._written(
            lambda n, title: f"{n} {title}",
            lambda cell: f"{cell.mean:.4f} {_marks(cell)}".rstrip(),
        )

    def markdown(self) -> str:
        """The table in Markdown, the best of each column in bold."""

        def written(cell):
            mean = f"{cell.mean:.4f}"
            mean = f"**{mean}**" if cell.best else mean
            return f"{mean} {_marks(cell)}".rstrip()

        head, *rows = self._written(
            lambda n, title: f"{n} {_cell(title)}", written
        )
        lines = [[*map(_cell, head)], ["---"] * len(head), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def latex(self) -> str:
        """A tabular for the package booktabs, the best in bold."""

        def written(cell):
            mean = f"{cell.mean:.4f}"
            mean = rf"\textbf{{{mean}}}" if cell.best else mean
            marks = ",".join(map(str, cell.over))
            return rf"{mean}$^{{{marks}}}$" if marks else mean

        head, *rows = self._written(
            lambda n, title: f"{n} {_latex(title)}", written
        )
        head = ["Model", *map(_latex, head[1:])]
        lines = [r"\begin{tabular}{l" + "c" * len(self.tasks) + "}"]
        lines += [r"\toprule", f"{' & '.join(head)} \\\\", r"\midrule"]
        lines += [f"{' & '.join(row)} \\\\" for row in rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """A line each mean, with its interval."""
        rows = [["model", "task", "mean", "low", "high", "better than"]]
        for title, cells in zip(self.titles, self.cells, strict=True):
            for task, cell in zip(self.tasks, cells, strict=True):
                over = "; ".join(self.titles[n - 1] for n in cell.over)
                values = [repr(v) for v in (cell.mean, cell.low, cell.high)]
                rows.append([title, task, *values, over])
        return as_csv(rows)

    def _written(self, title, cell):
        rows = [["", *self.tasks]]
        for number, (name, cells) in enumerate(
            zip(self.titles, self.cells, strict=True), 1
        ):
            rows.append([title(number, name), *map(cell, cells)])
        return rows


def score_table(
    titles: Sequence[str],
    rewards: Sequence[np.ndarray],
    tasks: Sequence[str],
    users: Sequence[str],
) -> ScoreTable:
    """The `ScoreTable` of some methods.

    Args:
        titles: the methods' names.
        rewards: of each method, the reward of each example, arrays (n,).
        tasks: each example's task, a list of n.
        users: each example's user.
    """
    task_of, user_of = np.asarray(tasks, str), np.asarray(users, str)
    names = sorted(set(tasks))
    columns = [task_of == name for name in names]
    cells = []
    for number, ours in enumerate(rewards):
        draws = [mean_draws(ours[part], user_of[part]) for part in columns]
        draws.append(np.mean(draws, axis=0))
        means = [float(ours[part].mean()) for part in columns]
        means.append(float(np.mean(means)))
        over = [
            tuple(
                other + 1
                for other in range(number)
                if improves(ours[part], rewards[other][part])
            )
            for part in [*columns, slice(None)]
        ]
        cells.append(
            [
                Cell(mean, *interval(drawn), above, False)
                for mean, drawn, above in zip(means, draws, over, strict=True)
            ]
        )
    best = [
        max(round(cell.mean, 4) for cell in c) for c in zip(*cells, strict=True)
    ]
    marked = [
        [
            dataclasses.replace(cell, best=round(cell.mean, 4) == highest)
            for cell, highest in zip(row, best, strict=True)
        ]
        for row in cells
    ]
    return ScoreTable([*names, AVERAGE], list(titles), marked)


def main_table(
    results: Sequence[Result], examples: Sequence[Example]
) -> ScoreTable:
    """The `ScoreTable` of a run's results.

    Args:
        results: list of `Result`.
        examples: the test examples.
    """
    return score_table(
        [result.title for result in results],
        [result.rewards(examples) for result in results],
        [example.task for example in examples],
        [example.user for example in examples],
    )


def macro_average(result: Result, examples: Sequence[Example]) -> float:
    """The mean over tasks of the mean reward."""
    parts = tasks_of(examples).values()
    return float(np.mean([result.rewards(part).mean() for part in parts]))


def _marks(cell):
    return " ".join(map(str, cell.over)).translate(_SUPERSCRIPTS)


def _cell(text):
    """A text that ends no cell of a Markdown table."""
    return re.sub(r"\s+", " ", text).replace("|", r"\|")


def _latex(text):
    text = re.sub(r"\s+", " ", text)
    return "".join(_LATEX.get(character, character) for character in text)
