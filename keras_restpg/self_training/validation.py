"""Validation: the mean reward at low temperature, task by task (§B).

Deviation: the first examples of each task are taken, where the paper draws
1,024 of them at random.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from keras_restpg.records import Example, ScoredSample


@dataclasses.dataclass(frozen=True)
class Scores:
    """Mean rewards.

    Attributes:
        tasks: `{task: mean reward}`.
        average: the mean over tasks, as in the paper's tables.
    """

    tasks: dict[str, float]
    average: float


def first_of_each_task(
    examples: Sequence[Example], count: int
) -> list[Example]:
    """At most `count` examples of each task, in their order."""
    seen, chosen = collections.Counter(), []
    for example in examples:
        seen[example.task] += 1
        if seen[example.task] <= count:
            chosen.append(example)
    return chosen


def mean_scores(
    examples: Sequence[Example], scored: Sequence[ScoredSample]
) -> Scores:
    """`Scores` of the samples of examples.

    Args:
        examples: list of `Example`.
        scored: list of `ScoredSample`, any number for each of them.
    """
    tasks = {example.id: example.task for example in examples}
    values = collections.defaultdict(list)
    for each in scored:
        values[tasks[each.sample.example_id]].append(each.score.reward)
    means = {task: float(np.mean(values[task])) for task in sorted(values)}
    return Scores(means, float(np.mean(list(means.values()))))
