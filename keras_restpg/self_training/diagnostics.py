"""What the E-step of an iteration brought, task by task."""

import collections
import dataclasses

from keras_restpg.records import ALL
from keras_restpg.self_training import selection


@dataclasses.dataclass(frozen=True)
class Diagnostics:
    """Counts over the samples of one task in one iteration.

    Attributes:
        task: the task's name, `"all"` for all of them.
        examples: examples with at least one sample.
        samples: samples of these examples.
        accepted: samples that reach the threshold, duplicates included.
        accept_rate: `accepted` divided by `samples`.
        kept: samples that were selected for training. The others are
            `unparsable`, `below`, `repeated` or `beyond`, each one of these.
        unparsable: samples without a final answer.
        below: judged samples that do not reach the threshold.
        repeated: accepted samples that repeat one that was kept in their
            place.
        beyond: accepted samples beyond the limit for an example.
        examples_without: examples of which none was kept.
        unfinished: samples cut at the length limit, whatever became of them.
        mean_reward: over all samples.
        histogram: `{reward, rounded to 0.1: samples}`, increasing.
    """

    task: str
    examples: int
    samples: int
    accepted: int
    accept_rate: float
    kept: int
    unparsable: int
    below: int
    repeated: int
    beyond: int
    examples_without: int
    unfinished: int
    mean_reward: float
    histogram: dict[str, int]


def diagnose(scored, kept, tasks, tau=1.0):
    """Diagnostics of an iteration.

    Args:
        scored: list of `ScoredSample`, all of the iteration.
        kept: those of them that were selected.
        tasks: dict from example id to task.
        tau: the threshold of the selection.

    Returns:
        dict from task to `Diagnostics`, tasks in order of their names, then
        `"all"`.
    """
    groups = {}
    for each in scored:
        groups.setdefault(tasks[each.sample.example_id], []).append(each)
    chosen = collections.Counter(each.sample.example_id for each in kept)
    parts = {task: groups[task] for task in sorted(groups)}
    return {
        task: _diagnose(task, part, chosen, tau)
        for task, part in [*parts.items(), (ALL, list(scored))]
    }


def _diagnose(task, scored, chosen, tau):
    by_example = selection.by_example(scored)
    accepted = [each for each in scored if selection.passes(each, tau)]
    unique = sum(
        len(selection.drop_duplicates(group))
        for group in selection.by_example(accepted).values()
    )
    kept = sum(chosen[example_id] for example_id in by_example)
    unparsable = sum(bool(each.score.reason) for each in scored)
    count = len(scored)
    return Diagnostics(
        task=task,
        examples=len(by_example),
        samples=count,
        accepted=len(accepted),
        accept_rate=len(accepted) / max(count, 1),
        kept=kept,
        unparsable=unparsable,
        below=count - unparsable - len(accepted),
        repeated=len(accepted) - unique,
        beyond=unique - kept,
        examples_without=sum(not chosen[each] for each in by_example),
        unfinished=sum(not each.sample.finished for each in scored),
        mean_reward=sum(e.score.reward for e in scored) / max(count, 1),
        histogram=_histogram(scored),
    )


def _histogram(scored):
    counts = collections.Counter(f"{e.score.reward:.1f}" for e in scored)
    return dict(sorted(counts.items()))
