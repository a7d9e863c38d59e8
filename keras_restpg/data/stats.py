"""Sizes of a data set, as in Table 2 of the paper."""

import dataclasses
import math
from collections.abc import Iterable

from keras_restpg._types import Path, Table
from keras_restpg.data.longlamp import SPLITS, stream_longlamp, tasks_of
from keras_restpg.errors import InputError
from keras_restpg.records import Example
from keras_restpg.tables import as_text

COLUMNS = ("input words", "output words", "profile documents")
# Table 2: examples of train, val and test, and the sizes (of which split the
# paper does not say).
PAPER = {
    "email completion": (
        (3286, 958, 823),
        ((46.45, 21.45), (92.59, 60.68), (85.65, 51.67)),
    ),
    "abstract generation": (
        (13693, 4560, 4560),
        ((33.82, 5.71), (144.28, 68.40), (120.30, 118.81)),
    ),
    "review writing": (
        (14745, 1826, 1822),
        ((119.39, 73.06), (304.54, 228.61), (34.39, 57.31)),
    ),
    "topic writing": (
        (11442, 2452, 2453),
        ((28.36, 36.08), (263.03, 243.34), (50.39, 2898.60)),
    ),
}


@dataclasses.dataclass
class _Sums:
    """Running sums of whole numbers, so that no example is kept."""

    count: int = 0
    total: int = 0
    squares: int = 0

    def add(self, value):
        self.count += 1
        self.total += value
        self.squares += value * value

    def moments(self):
        """Mean and standard deviation."""
        spread = self.count * self.squares - self.total**2
        return self.total / self.count, math.sqrt(spread) / self.count


def rows(
    examples: Iterable[Example],
) -> dict[str, tuple[int, list[tuple[float, float]]]]:
    """Count, mean and standard deviation of the sizes, task by task.

    Args:
        examples: of `Example`s, anything that can be gone through once.

    Returns:
        `{task: (count, [(mean, deviation) of each of COLUMNS])}`.
    """
    sizes = {}
    for example in examples:
        sums = sizes.setdefault(example.task, [_Sums() for _ in COLUMNS])
        sums[0].add(len(example.prompt.split()))
        sums[1].add(len(example.expected.split()))
        sums[2].add(len(example.documents))
    return {
        task: (sums[0].count, [each.moments() for each in sums])
        for task, sums in sorted(sizes.items())
    }


def table(folder: Path) -> str:
    """The sizes of all splits in a folder, as text; as `table_rows`."""
    return as_text(table_rows(folder))


def table_rows(folder: Path) -> Table:
    """The sizes of all splits in a folder, rows of str with the head first.

    Raises:
        InputError: files that do not fit, or none at all.
    """
    lines = [["task", "split", "examples", *COLUMNS]]
    for number, split in enumerate(SPLITS):
        examples = (
            example
            for task in tasks_of(folder, split)
            for example in stream_longlamp(task, split, folder)
        )
        for task, (count, sizes) in rows(examples).items():
            lines.append([task, split, str(count), *_cells(sizes)])
            # A split of the paper's size is taken to be the paper's.
            for name, (counts, sizes) in PAPER.items():
                if counts[number] == count:
                    name = f"  the paper's {name}"
                    lines.append([name, split, str(count), *_cells(sizes)])
    if len(lines) == 1:
        raise InputError(f"{folder}: there is no file <task>_<split>.")
    return lines


def _cells(sizes):
    return [f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in sizes]
