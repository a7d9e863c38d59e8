"""Runs that exist, side by side: the tables and curves of the paper.

Everything is read from the run directories. Runs of several seeds are pooled:
an example's reward is its mean over the seeds, where they have the same
examples; else the examples of all seeds stand beside each other.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_restpg._types import Path, Table
from keras_restpg.errors import InputError
from keras_restpg.evaluation import figures, paper
from keras_restpg.evaluation.figures import Panels
from keras_restpg.evaluation.report import write_report
from keras_restpg.evaluation.results import (
    NAMES,
    Result,
    load_results,
    method_of,
)
from keras_restpg.evaluation.significance import (
    effect_size,
    holm,
    interval,
    mean_draws,
    paired_p,
)
from keras_restpg.evaluation.tables import (
    AVERAGE,
    ScoreTable,
    macro_average,
    score_table,
)
from keras_restpg.identity import digest
from keras_restpg.records import Example
from keras_restpg.store import RunDirectory
from keras_restpg.store.files import Files
from keras_restpg.store.state import read_state
from keras_restpg.tables import as_csv, as_text

# How far below the given folders runs are looked for.
_DEPTH = 3


@dataclasses.dataclass(frozen=True)
class Model:
    """A model of a run on a split.

    Attributes:
        title: the method's name, and the run's where several have it.
        family: the name of its curve over the iterations.
        seed: of the run.
        result: its `Result`.
        examples: the split's examples.
        shown: whether it is the first or the last of its run.
        again: whether it is a model that another run has too.
    """

    title: str
    family: str
    seed: int
    result: Result
    examples: list[Example]
    shown: bool
    again: bool


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What several runs came to on one split.

    Attributes:
        split: `"test"` or `"validation"`.
        models: list of `Model`, in the paper's order.
        runs: `{label: RunDirectory}`.
    """

    split: str
    models: list[Model]
    runs: dict[str, RunDirectory]

    @property
    def shown(self) -> list[Model]:
        """The models of Table 1, each once."""
        return [m for m in self.models if m.shown and not m.again]

    @property
    def examples(self) -> list[Example]:
        """The examples of the first seed."""
        return self.models[0].examples

    @property
    def results(self) -> list[Result]:
        """The `Result`s of the first seed, each model once."""
        first = self.models[0].seed
        models = [m for m in self.models if m.seed == first and not m.again]
        return [dataclasses.replace(m.result, name=m.title) for m in models]

    @functools.cached_property
    def table(self) -> ScoreTable:
        """Table 1 or 3, a `ScoreTable`."""
        return score_table(*_pooled(self.shown))

    @functools.cached_property
    def pairs(self) -> Table:
        """Rows: each model against each one above it.

        Differences with 95% intervals over users, Cohen's d, p-values of the
        paired t-test, and Holm's correction over all rows.
        """
        titles, rewards, _, users = _pooled(self.shown)
        found = list(itertools.combinations(range(len(titles)), 2))
        p_values = [paired_p(rewards[j], rewards[i]) for i, j in found]
        rows = [["", "difference", "95% interval", "d", "p", "p (Holm)"]]
        for (i, j), p, corrected in zip(
            found, p_values, holm(p_values), strict=True
        ):
            difference = rewards[j] - rewards[i]
            low, high = interval(mean_draws(difference, users))
            effect = effect_size(rewards[j], rewards[i])
            cells = [f"{difference.mean():+.4f}", f"{low:+.4f} to {high:+.4f}"]
            cells += [f"{effect:.2f}", f"{p:.2g}", f"{corrected:.2g}"]
            rows.append([f"{titles[j]} over {titles[i]}", *cells])
        return rows

    @functools.cached_property
    def seeds(self) -> Table:
        """Rows: each model's average, seed by seed; none for one seed.

        `p` is of the two-tailed paired t-test over the seeds, against the
        best of the models above.
        """
        seeds = sorted({m.seed for m in self.models})
        if len(seeds) < 2:
            return []
        head = [*(f"seed {seed}" for seed in seeds), "mean", "deviation", "p"]
        rows, best = [["", *head]], None
        for title, models in _by_title(self.shown).items():
            found = {
                m.seed: macro_average(m.result, m.examples) for m in models
            }
            values = np.array([found[seed] for seed in seeds])
            mean = values.mean()
            p = "" if best is None else f"{paired_p(values, best):.2g}"
            cells = [*values, mean, values.std(ddof=1)]
            rows.append([title, *(f"{each:.4f}" for each in cells), p])
            best = values if best is None or mean > best.mean() else best
        return rows

    @functools.cached_property
    def curves(self) -> Panels:
        """Figures 3 and 11: the mean reward after each iteration.

        Returns:
            `{task: {family: {iteration: (mean, low, high)}}}`; the last task
            is the average.
        """
        panels = {}
        groups = collections.defaultdict(list)
        for model in self.models:
            groups[model.family, model.result.iteration].append(model)
        for (family, step), models in groups.items():
            alone = [dataclasses.replace(m, title=family) for m in models]
            table = score_table(*_pooled(alone))
            for task, cell in zip(table.tasks, table.cells[0], strict=True):
                points = panels.setdefault(task, {}).setdefault(family, {})
                points[step] = (cell.mean, cell.low, cell.high)
        return panels

    def text(self) -> str:
        """What is printed."""
        tables = [self.table.rows(), self.pairs, self.seeds]
        return "\n\n".join(as_text(rows) for rows in tables if rows[1:])

    def report(self, folder: Path) -> None:
        """Writes tables, plots and `report.html` into a folder."""
        self.write(Files(folder))
        extra = [self.pairs, self.seeds]
        write_report(
            RunDirectory(folder),
            self.examples,
            self.results,
            self.runs,
            [rows for rows in extra if rows[1:]],
            main=self.table,
            curves=self.curves,
        )

    def write(self, files: Files) -> None:
        """Writes tables and plots into a folder, a `Files`."""
        table, name = self.table, f"table-{self.split}"
        written = {
            f"{name}.csv": table.csv(),
            f"{name}.tex": table.latex(),
            f"{name}.md": table.markdown(),
            f"differences-{self.split}.csv": as_csv(self.pairs),
        }
        if self.seeds:
            written[f"seeds-{self.split}.csv"] = as_csv(self.seeds)
        curves = self.curves
        if any(len(points) > 1 for points in curves[AVERAGE].values()):
            written |= plots(
                f"iterations-{self.split}",
                curves,
                "iteration",
                paper.ITERATIONS if self.split == "test" else {},
            )
        write_all(files, written)


def compare(folders: Sequence[Path], split: str = "test") -> Comparison:
    """Compares runs that exist.

    Args:
        folders: run directories, or folders with run directories below them.
        split: `"test"`, or `"validation"` where the runs have written for it.

    Returns:
        A `Comparison`.

    Raises:
        InputError: a folder without a tested run, or runs that can't be
            compared: other examples or rewards than the others of their
            seed, or methods that lack seeds.
    """
    runs = {}
    for folder in folders:
        found = dict(_runs_below(str(folder)))
        if not found:
            raise InputError(
                f"{folder} holds no run. Give run directories, or folders "
                "with run directories in them."
            )
        runs |= found
    if len(runs) > 1:
        # What they do not have in common says which is which.
        above = f"{posixpath.commonpath(runs)}/"
        runs = {n.removeprefix(above): run for n, run in runs.items()}
    tested = {label: _tested(run, split) for label, run in runs.items()}
    tested = {label: each for label, each in tested.items() if each.results}
    if not tested:
        raise InputError(
            f"No run in {', '.join(map(str, folders))} has outputs for the "
            f"{split} users yet. Finish one with `keras-restpg run`."
        )
    _check_alike(tested)
    models = _models(tested)
    _check_seeds(models)
    return Comparison(split, models, runs)


def _runs_below(folder, depth=_DEPTH):
    """`(label, RunDirectory)` of a run, or of the runs below a folder."""
    run = RunDirectory(folder)
    names = run.files.names()
    if "state.json" in names:
        yield folder, run
    elif depth:
        for name in names:
            if ".old-" not in name and not name.startswith("."):
                yield from _runs_below(f"{folder}/{name}", depth - 1)


def plots(
    name: str,
    panels: Panels,
    x: str,
    reference: Mapping[str, Mapping[Any, float]] | None = None,
    y: str = "mean reward",
) -> dict[str, bytes]:
    """`{file name: bytes}` of curves, as PNG and as SVG."""
    forms = ("png", "svg")
    drawn = figures.curves(panels, x, y, reference, forms)
    return {f"{name}.{f}": file for f, file in zip(forms, drawn, strict=True)}


def write_all(files: Files, written: Mapping[str, str | bytes]) -> None:
    """Writes `{name: str or bytes}` into a folder, a `Files`."""
    for name, content in written.items():
        data = content.encode() if isinstance(content, str) else content
        files.write(name, data)


@dataclasses.dataclass(frozen=True)
class _Tested:
    """What is read of a run."""

    examples: list[Example]
    results: list[Result]
    seed: int
    reward: str
    fingerprints: dict[str, str]


def _tested(run, split):
    examples, results = load_results(run, split)
    noted = run.noted()
    return _Tested(
        examples,
        results,
        noted["settings"]["seed"] if results else 0,
        digest(noted["parts"]["reward"]) if results else "",
        read_state(run).get("stages", {}),
    )


def _check_alike(tested):
    """Refuses to compare what is no comparison."""
    first = {}
    for label, each in tested.items():
        other, one = first.setdefault(each.seed, (label, each))
        if _mark(one.examples) != _mark(each.examples):
            raise InputError(
                f"{other} and {label} can't be compared: they were tested on "
                "other examples. Give both the same data, and data.max_test."
            )
        if one.reward != each.reward:
            raise InputError(
                f"{other} and {label} can't be compared: their outputs were "
                "scored by other rewards. Run one of them again with the "
                "reward of the other: samples and models are kept."
            )


def _check_seeds(models):
    seeds = {m.seed for m in models}
    for title, group in _by_title([m for m in models if m.shown]).items():
        missing = seeds - {m.seed for m in group}
        if missing:
            raise InputError(
                f"{title} was not run with the seed {min(missing)}, as others "
                "were. Run it, or compare fewer runs: means over other seeds "
                "are no comparison."
            )


def _mark(examples):
    """What tells sets of examples apart, whichever documents were read."""
    return [(e.id, e.task, e.user, e.prompt, e.expected) for e in examples]


def _models(tested):
    """The `Model`s of all runs, in the paper's order."""
    models, seen = [], set()
    rivals = collections.Counter(
        (each.seed, each.results[0].reasons) for each in tested.values()
    )
    names = collections.Counter(
        (each.seed, each.results[0].reasons, _last_part(label))
        for label, each in tested.items()
    )
    for label, each in tested.items():
        first = each.results[0]
        suffix = ""
        if rivals[each.seed, first.reasons] > 1:
            name = _last_part(label)
            alone = names[each.seed, first.reasons, name] == 1
            suffix = f" ({name if alone else label})"
        for result in each.results:
            mark = each.fingerprints.get(result.stage)
            models.append(
                Model(
                    result.title + (suffix if result.iteration else ""),
                    NAMES[method_of(first.reasons, 1)] + suffix,
                    each.seed,
                    result,
                    each.examples,
                    result in (first, each.results[-1]),
                    mark in seen,
                )
            )
            seen.add(mark)
    order = list(NAMES)
    return sorted(models, key=lambda m: order.index(m.result.method))


def _last_part(label):
    return label.rstrip("/").rpartition("/")[2]


def _by_title(models):
    groups = collections.defaultdict(list)
    for model in models:
        groups[model.title].append(model)
    return groups


def _pooled(models):
    """Titles, their rewards, tasks and users, over all seeds.

    Where all seeds have the same examples, an example's reward is its mean
    over the seeds; else the examples of all seeds stand beside each other.
    """
    groups = _by_title(models)
    sets = {m.seed: m.examples for m in models}
    first, *others = sets.values()
    same = all(_mark(first) == _mark(other) for other in others)
    examples = first if same else [e for each in sets.values() for e in each]
    rewards = []
    for group in groups.values():
        by_seed = {m.seed: m.result.rewards(m.examples) for m in group}
        found = [by_seed[seed] for seed in sets if seed in by_seed]
        rewards.append(
            np.mean(found, axis=0) if same else np.concatenate(found)
        )
    tasks, users = ([getattr(e, n) for e in examples] for n in ("task", "user"))
    if not same:
        # Users of other data are others, whatever their names.
        users = [f"{s}/{e.user}" for s, each in sets.items() for e in each]
    return list(groups), rewards, tasks, users
