"""The paper's experiments, each one call; what they share is computed once.

    OUT/seed-0/rest-em, rest-pg            the four methods, seed by seed
    OUT/seed-0/budget-8, start-sft, …      runs that differ from some stage on
    OUT/main, OUT/budget, …                tables, plots, texts, report

Each of the further runs begins with the folders of the run that it differs
from (`store/share.py`), and is resumed like any run.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from keras_restpg._types import Path
from keras_restpg.data import stats
from keras_restpg.errors import InputError
from keras_restpg.evaluation import paper
from keras_restpg.evaluation.cases import SHOWN, as_markdown
from keras_restpg.evaluation.human import draw_pairs, told
from keras_restpg.evaluation.judge_validation import SHARES, mixed
from keras_restpg.evaluation.results import load_results
from keras_restpg.evaluation.significance import interval, mean_draws
from keras_restpg.evaluation.tables import AVERAGE, score_table
from keras_restpg.progress import Progress
from keras_restpg.records import NO_JUDGEMENT, Reasoning
from keras_restpg.run.build import data_folder
from keras_restpg.run.compare import compare, plots, write_all
from keras_restpg.run.recipe import Recipe
from keras_restpg.run.rest_pg import RestPG
from keras_restpg.store import RunDirectory
from keras_restpg.store.files import Files
from keras_restpg.store.share import share
from keras_restpg.tables import as_csv, as_text

SPLITS = ("test", "validation")


class Experiments:
    """The experiments of one recipe in one folder.

    Args:
        recipe: a `Recipe`; its `method` is not read.
        out: the folder, a path or URL.
        seeds: how many, counted from the recipe's.
        make: from the recipe of a run to the parts that `RestPG` is handed;
            None: all is made as the recipe says.
        progress: a `Progress`.

    Example:
    ```python
    found = Experiments(recipe, "runs/paper", seeds=3)
    print(found.main())
    print(found.budget())
    ```
    """

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        seeds: int = 1,
        make: Callable[[Recipe], dict[str, Any]] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.recipe = recipe
        self.out = str(out)
        self.seeds = range(recipe.seed, recipe.seed + seeds)
        self.make = make or (lambda recipe: {})
        self.progress = progress or Progress()

    def main(self) -> str:
        """Tables 1 and 3: the four methods on test and validation users.

        Returns:
            The tables as text; so do all the others.
        """
        folders, texts = self._methods(), []
        for split in _splits(folders):
            found = compare(folders, split)
            found.write(Files(f"{self.out}/main"))
            texts.append(f"{split} users\n{found.text()}")
        compare(folders).report(f"{self.out}/main")
        return "\n\n".join([*texts, f"Report: {self.out}/main/report.html"])

    def iterations(self) -> str:
        """Figures 3 and 11: both methods after each iteration."""
        folders = self._methods()
        return "\n\n".join(
            self._curves(
                "iterations",
                split,
                compare(folders, split).curves,
                "iteration",
                paper.ITERATIONS if split == "test" else None,
            )
            for split in _splits(folders)
        )

    def budget(self, sizes: Sequence[int] = ()) -> str:
        """Figures 2 and 9: REST-PG after one iteration of m samples.

        They are drawn once, at the largest m; the others select from the
        first of them.

        Args:
            sizes: the m; empty: a quarter of the recipe's to four times it,
                the paper's 8 to 128 where that is 32.
        """
        m = self.recipe.sampling.num_samples
        sizes = sorted(set(sizes)) or [m // 4, m // 2, m, m * 2, m * 4]
        sizes = [size for size in sizes if size]
        top = sizes[-1]
        drawn = [f"sampling.num_samples={top}", "iterations=1"]
        runs = {size: [] for size in sizes}
        for seed in self.seeds:
            source = self._folder(seed, "rest-pg")
            # The largest first: the others take its samples.
            for size in reversed(sizes):
                first = f"selection.first_samples={size if size < top else 0}"
                runs[size] += [
                    self._run(
                        seed,
                        f"budget-{size}",
                        "rest-pg",
                        [*drawn, first],
                        source,
                        samples=size < top or top == m,
                    )
                ]
                source = self._folder(seed, f"budget-{top}")
        return "\n\n".join(
            self._curves(
                "budget",
                split,
                _by_size(runs, split),
                "m, samples of a prompt",
                paper.BUDGET[split],
            )
            for split in _splits(runs[top])
        )

    def start(self) -> str:
        """Figures 4 and 10: an iteration from base, and from sft."""
        runs = {"base": [], "sft": []}
        for seed in self.seeds:
            source = self._folder(seed, "rest-pg")
            for start, folders in runs.items():
                folder = self._run(
                    seed,
                    f"start-{start}",
                    "rest-pg",
                    ["iterations=1", f"training.start={start}"],
                    source,
                    # The methods' own first iteration may be from base.
                    2 if start == "base" else 1,
                    samples=start != "base",
                )
                folders.append(folder)
                source = runs["base"][-1]
        texts = []
        for split in _splits(runs["base"]):
            rows = _relative(
                *(compare(folders, split) for folders in runs.values())
            )
            self._write("start", {f"start-{split}.csv": as_csv(rows)})
            texts.append(f"{split} users\n{as_text(rows)}")
        told = f"The paper's ratio on LongLaMP: about {paper.START['sft']}."
        return "\n\n".join([*texts, told])

    def shuffle(self) -> str:
        """Figure 5: SFT, as more and more profiles are swapped."""
        found = {}
        for seed in self.seeds:
            folder = self._run(
                seed,
                "shuffle",
                "sft",
                [],
                self._folder(seed, "rest-em"),
                also=("shuffled",),
            )
            run = RunDirectory(folder)
            examples, (own, *_) = load_results(run)
            _, (other, *_) = load_results(run, "shuffled")
            # Of an answer without a judgement nobody knows what it is worth.
            examples = [
                e
                for e in examples
                if NO_JUDGEMENT
                not in (r.outputs[e.id].score.reason for r in (own, other))
            ]
            scores = mixed(
                examples, own.rewards(examples), other.rewards(examples)
            )
            for each, values in zip(SHARES, scores, strict=True):
                found.setdefault(each, []).append((examples, values))
        panels = {}
        for each, parts in found.items():
            examples = [e for part, _ in parts for e in part]
            table = score_table(
                ["SFT"],
                [np.concatenate([values for _, values in parts])],
                [e.task for e in examples],
                [e.user for e in examples],
            )
            for task, cell in zip(table.tasks, table.cells[0], strict=True):
                points = panels.setdefault(task, {}).setdefault("SFT", {})
                points[each] = (cell.mean, cell.low, cell.high)
        return self._curves(
            "shuffle",
            "test",
            panels,
            "share of profiles swapped",
            paper.SHUFFLE,
        )

    def cases(self) -> str:
        """Figures 12 to 15: the teacher's reasoning, and texts side by side.

        Of each task: where REST-PG gains most over SFT, where it loses most,
        and some at random.
        """
        folders = self._methods()
        found = compare(folders)
        theirs, *_, ours = found.results
        page = as_markdown(
            ours,
            theirs,
            found.examples,
            _teachers(RunDirectory(folders[1])),
            self.recipe.seed,
        )
        self._write("cases", {"cases.md": page})
        return f"Written: {self.out}/cases/cases.md"

    def human(self, filled: Sequence[Path] = ()) -> str:
        """Appendix A: pairs for people, and what people chose.

        Args:
            filled: paths of CSV files that people have filled in; empty: the
                pairs are drawn and written, blind, in random order.
        """
        files = Files(f"{self.out}/human")
        if filled:
            key = files.read("key.json")
            if key is None:
                raise InputError(
                    f"{self.out}/human/key.json is missing: draw the pairs "
                    "first, without --filled."
                )
            return as_text(told(list(filled), json.loads(key)))
        found = compare(self._methods())
        pairs, key = draw_pairs(found.results, found.examples, self.recipe.seed)
        self._write(
            "human",
            {"pairs.csv": as_csv(pairs), "key.json": json.dumps(key, indent=1)},
        )
        return (
            f"Written: {self.out}/human/pairs.csv, {len(key)} pairs. Have a, b "
            "or tie filled in under `choice`, by people who do not see "
            "key.json; then give the files with --filled."
        )

    def stats(self) -> str:
        """Table 2: the sizes of the data."""
        rows = stats.table_rows(data_folder(self.recipe))
        self._write("stats", {"stats.csv": as_csv(rows)})
        return as_text(rows)

    def _methods(self):
        """The folders of the runs of all four methods, which are finished."""
        folders = []
        for seed in self.seeds:
            em = self._run(seed, "rest-em", "rest-em")
            folders += [em, self._run(seed, "rest-pg", "rest-pg", [], em, 0)]
        return folders

    def _run(
        self,
        seed,
        name,
        method,
        settings=(),
        source=None,
        stages=1,
        samples=False,
        also=("validation",),
    ):
        """Runs, or continues, one run; its folder.

        Args:
            seed: of the run.
            name: of its folder.
            method: one of the four.
            settings: in which it differs from the recipe.
            source: folder of a run whose first stages are taken, where it
                has come so far.
            stages: how many.
            samples: whether the next stage's samples are taken too.
            also: as for `RestPG`.
        """
        recipe = self.recipe.with_settings(
            [f"seed={seed}", f"method={method}", *settings]
        )
        folder = self._folder(seed, name)
        if source and source != folder:
            with RunDirectory(folder).open() as target:
                share(RunDirectory(source), target, stages, samples)
        RestPG(
            recipe,
            folder,
            progress=self.progress,
            also=also,
            **self.make(recipe),
        ).run()
        return folder

    def _folder(self, seed, name):
        return f"{self.out}/seed-{seed}/{name}"

    def _write(self, name, written):
        write_all(Files(f"{self.out}/{name}"), written)

    def _curves(self, name, split, panels, x, reference=None):
        """Writes a plot and its table; the table as text."""
        rows = [["", x, *panels]]
        for label in panels[AVERAGE]:
            for at in sorted(panels[AVERAGE][label]):
                cells = [
                    "{:.4f} ({:.4f} to {:.4f})".format(*lines[label][at])
                    for lines in panels.values()
                ]
                rows.append([label, f"{at:g}", *cells])
        title = f"{name}-{split}"
        drawn = plots(title, panels, x, reference)
        self._write(name, {f"{title}.csv": as_csv(rows), **drawn})
        return f"{split} users, with 95% intervals\n{as_text(rows)}"


def _splits(folders):
    """The splits that runs have written for."""
    return [
        split
        for split in SPLITS
        if all(Files(each).exists(f"{split}.jsonl") for each in folders)
    ]


def _by_size(runs, split):
    """`{task: {"REST-PG": {m: (mean, low, high)}}}` after one iteration."""
    panels = {}
    for size, folders in runs.items():
        for task, lines in compare(folders, split).curves.items():
            lines = {label: points[1] for label, points in lines.items()}
            for label, cell in lines.items():
                line = panels.setdefault(task, {}).setdefault(label, {})
                line[size] = cell
    return panels


def _relative(base, sft):
    """Rows: the mean reward from sft, divided by that from base."""
    rows = [["", "from base", "from sft", "ratio", "95% interval"]]
    found = [
        [
            (e.task, e.user, r)
            for m in each.models
            if m.result.iteration == 1
            for e, r in zip(
                m.examples, m.result.rewards(m.examples), strict=True
            )
        ]
        for each in (base, sft)
    ]
    means, draws = [], []
    for task in sorted({task for task, *_ in found[0]}):
        part = [[each for each in rows if each[0] == task] for rows in found]
        means.append([np.mean([r for *_, r in each]) for each in part])
        # Alike for both, as the users are: the ratio's interval is paired.
        draws.append(
            [mean_draws([r for *_, r in p], [u for _, u, _ in p]) for p in part]
        )
        rows.append(_ratio(task, means[-1], draws[-1]))
    average = np.mean(means, axis=0), np.mean(draws, axis=0)
    return [*rows, _ratio(AVERAGE, *average)]


def _ratio(name, means, draws):
    low, high = interval(np.divide(draws[1], np.maximum(draws[0], 1e-12)))
    ratio = means[1] / max(means[0], 1e-12)
    cells = [*(f"{mean:.4f}" for mean in means), f"{ratio:.3f}"]
    return [name, *cells, f"{low:.3f} to {high:.3f}"]


def _teachers(run):
    """What the teacher said of a run's first examples."""
    shards = run.shards("reasoning", Reasoning)
    first = shards.keys()[:1]
    return [r for key in first for r in (shards.get(key) or ())[:SHOWN]]
