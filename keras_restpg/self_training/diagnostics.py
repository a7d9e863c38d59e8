"""What the E-step of an iteration brought, task by task."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

from keras_restpg.records import ALL, NO_JUDGEMENT, ScoredSample
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
            `unparsable`, `unjudged`, `below`, `repeated` or `beyond`, each
            one of these.
        unparsable: samples without a final answer.
        unjudged: samples with an answer that the judge gave no score.
        below: judged samples that do not reach the threshold.
        repeated: accepted samples that repeat one that was kept in their
            place.
        beyond: accepted samples beyond the limit for an example.
        examples_without: examples of which none was kept.
        unfinished: samples cut at the length limit, whatever became of them.
        mean_reward: over all samples.
        histogram: `{reward, rounded to 0.1: samples}`, increasing.
        tau: the threshold that was used.
        asked_tau: the threshold that was asked for; `tau` may be lower.
        why: where no sample has a reward above 0, a sentence that says why;
            else empty.
    """

    task: str
    examples: int
    samples: int
    accepted: int
    accept_rate: float
    kept: int
    unparsable: int
    unjudged: int
    below: int
    repeated: int
    beyond: int
    examples_without: int
    unfinished: int
    mean_reward: float
    histogram: dict[str, int]
    tau: float
    asked_tau: float
    why: str


def diagnose(
    scored: Sequence[ScoredSample],
    kept: Sequence[ScoredSample],
    tasks: Mapping[str, str],
    tau: float = 1.0,
    asked_tau: float | None = None,
) -> dict[str, Diagnostics]:
    """Diagnostics of an iteration.

    Args:
        scored: list of `ScoredSample`, all of the iteration.
        kept: those of them that were selected.
        tasks: dict from example id to task.
        tau: the threshold of the selection.
        asked_tau: the threshold that was asked for; None: `tau`.

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
        task: _diagnose(
            task, part, chosen, tau, tau if asked_tau is None else asked_tau
        )
        for task, part in [*parts.items(), (ALL, list(scored))]
    }


def _diagnose(task, scored, chosen, tau, asked_tau):
    by_example = selection.by_example(scored)
    accepted = [each for each in scored if selection.passes(each, tau)]
    unique = sum(
        len(selection.drop_duplicates(group))
        for group in selection.by_example(accepted).values()
    )
    kept = sum(chosen[example_id] for example_id in by_example)
    unjudged = sum(each.score.reason == NO_JUDGEMENT for each in scored)
    unparsable = sum(bool(each.score.reason) for each in scored) - unjudged
    unfinished = sum(not each.sample.finished for each in scored)
    count = len(scored)
    return Diagnostics(
        task=task,
        examples=len(by_example),
        samples=count,
        accepted=len(accepted),
        accept_rate=len(accepted) / max(count, 1),
        kept=kept,
        unparsable=unparsable,
        unjudged=unjudged,
        below=count - unparsable - unjudged - len(accepted),
        repeated=len(accepted) - unique,
        beyond=unique - kept,
        examples_without=sum(not chosen[each] for each in by_example),
        unfinished=unfinished,
        mean_reward=sum(e.score.reward for e in scored) / max(count, 1),
        histogram=_histogram(scored),
        tau=tau,
        asked_tau=asked_tau,
        why=_why(scored, unparsable, unjudged, unfinished),
    )


def _why(scored, unparsable, unjudged, unfinished):
    """Why nothing was rewarded; empty where something was."""
    if any(each.score.reward > 0 for each in scored):
        return ""
    count = len(scored)
    found = [
        f"{number} of {count} {what}"
        for number, what in (
            (unfinished, "were cut at max_new_tokens"),
            (unparsable, "have no final answer"),
            (unjudged, "got no score from the judge"),
        )
        if number
    ]
    rest = count - unparsable - unjudged
    if rest:
        found.append(f"{rest} of {count} were judged and got 0")
    return "No sample has a reward above 0: " + ", ".join(found) + "."


def _histogram(scored):
    counts = collections.Counter(f"{e.score.reward:.1f}" for e in scored)
    return dict(sorted(counts.items()))
