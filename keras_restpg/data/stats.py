"""Sizes of a data set, as in Table 2 of the paper."""

import collections
import statistics

from keras_restpg.data.longlamp import SPLITS, load_folder
from keras_restpg.errors import InputError

COLUMNS = ("input words", "output words", "profile documents")


def rows(examples):
    """Count, mean and standard deviation of the sizes, task by task.

    Args:
        examples: list of `Example`.

    Returns:
        `{task: (count, [(mean, deviation) of each of COLUMNS])}`.
    """
    sizes = collections.defaultdict(list)
    for example in examples:
        sizes[example.task].append(
            (
                len(example.prompt.split()),
                len(example.expected.split()),
                len(example.documents),
            )
        )
    return {
        task: (
            len(values),
            [
                (statistics.fmean(column), statistics.pstdev(column))
                for column in zip(*values, strict=True)
            ],
        )
        for task, values in sorted(sizes.items())
    }


def table(folder):
    """The sizes of all splits in a folder, as text.

    Raises:
        InputError: files that do not fit, or none at all.
    """
    lines = [f"{'task':<28}{'split':<7}{'examples':>9}"]
    lines[0] += "".join(f"{name:>22}" for name in COLUMNS)
    for split in SPLITS:
        try:
            examples = load_folder(folder, split)
        except InputError as error:
            if "there is no file <task>" not in str(error):
                raise
            continue
        for task, (count, sizes) in rows(examples).items():
            cells = "".join(f"{m:>13.2f} ± {d:<6.2f}" for m, d in sizes)
            lines.append(f"{task:<28}{split:<7}{count:>9}{cells}")
    if len(lines) == 1:
        raise InputError(f"{folder}: there is no file <task>_<split>.")
    return "\n".join(lines)
