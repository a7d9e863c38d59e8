"""The embedded demo: all four methods in a small synthetic world.

A tiny Gemma is trained from scratch on the world's common knowledge as the
base checkpoint (`data/world`), and each method starts from it. Settings were
chosen on validation users and hold for all methods; the table is on test
users, whatever comes out.

Deviations from the paper: the sizes, the learning rate (a tiny model needs a
larger one), and Adam. The reward is the overlap of telling words cut to the
judge's five scores, or a tiny LLM judge that has learned to say it
(`demo_judge.py`).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from keras_restpg import prompts
from keras_restpg._types import Path, Table
from keras_restpg.demo.judge import agreement, train_or_load_judge
from keras_restpg.demo.world import World
from keras_restpg.demo.world.tokenizer import tokenizer_proto
from keras_restpg.evaluation.report import kept_table, write_report
from keras_restpg.evaluation.results import tasks_of
from keras_restpg.evaluation.significance import paired_p
from keras_restpg.evaluation.tables import macro_average, main_table
from keras_restpg.evaluation.timing import PythonShare
from keras_restpg.model.scratch import make_gemma
from keras_restpg.progress import Progress
from keras_restpg.run.build import SCRATCH, claim_base, train_or_load_base
from keras_restpg.run.experiments import Experiments
from keras_restpg.run.recipe import from_dict
from keras_restpg.run.rest_pg import RestPG
from keras_restpg.store import RunDirectory
from keras_restpg.tables import as_text
from keras_restpg.training.optimizer import WarmupLinearDecay

if TYPE_CHECKING:
    from keras_restpg.evaluation.results import Result
    from keras_restpg.rewards.reward import Scorer
    from keras_restpg.run.recipe import Recipe

METHODS = ("rest-em", "rest-pg")
JUDGES = ("overlap", "llm")


@dataclasses.dataclass(frozen=True)
class Size:
    """How large a demo is: users of the splits, steps, samples, rounds."""

    users: tuple[int, int, int]
    texts: int
    base_steps: int
    judge_steps: int
    steps: int
    num_samples: int
    iterations: int


QUICK = Size((240, 40, 80), 2000, 60, 60, 30, 4, 1)
DEFAULT = Size((9600, 200, 800), 30_000, 1200, 600, 600, 8, 2)


def demo_recipe(
    method: str, size: Size, seed: int, judge: str = "overlap"
) -> Recipe:
    """The `Recipe` of one method, judged by one of `JUDGES`."""
    overlap, llm = {"kind": "rouge1"}, {"kind": "judge", "preset": SCRATCH}
    return from_dict(
        {
            "method": method,
            "iterations": size.iterations,
            "seed": seed,
            "model": {
                "preset": SCRATCH,
                "num_layers": 2,
                "hidden_dim": 96,
                "intermediate_dim": 256,
                "num_heads": 4,
                "head_dim": 24,
                "base_steps": size.base_steps,
                "base_learning_rate": 5e-3,
            },
            "retrieval": {"method": "bm25", "k": 4},
            "reward": llm if judge == "llm" else overlap,
            "sampling": {
                "num_samples": size.num_samples,
                "max_prompt_tokens": 160,
                "max_new_tokens": 64,
            },
            "selection": {"tau": 1.0, "on_empty": "lower_tau"},
            "training": {
                "steps": size.steps,
                "batch_size": 64,
            },
            "optimizer": {
                "learning_rate": 3e-3,
                "warmup_steps": size.steps // 10,
                "weight_decay": 0.0,
            },
            "evaluation": {"validate_every": max(size.steps // 2, 1)},
        }
    )


class Demo:
    """One world, four methods.

    Args:
        out: folder of the run.
        seed: of the world and all training.
        size: a `Size`.
        progress: a `Progress`.
        judge: one of `JUDGES`.
    """

    def __init__(
        self,
        out: Path,
        seed: int = 0,
        size: Size = DEFAULT,
        progress: Progress | None = None,
        judge: str = "overlap",
    ) -> None:
        self.out = out
        self.seed = seed
        self.size = size
        self.progress = progress or Progress()
        self.judge = judge
        self.world = World(seed, size.users)
        self.splits = {
            "train": self.world.examples("train"),
            "val": self.world.examples("validation"),
            "test": self.world.examples("test"),
        }
        self.results = []

    def run(self) -> list[Result]:
        """Runs all methods and writes the report.

        Returns:
            list of `Result`: SFT, SFT with reasoning, then ReST-EM and
            REST-PG after each iteration.
        """
        with PythonShare() as timing:
            found = [self._method(method) for method in METHODS]
        starts = [results[0] for results in found]
        rest = [result for results in found for result in results[1:]]
        self.results = starts + rest
        self.python_share = timing.share
        self._report()
        return self.results

    @property
    def runs(self) -> dict[str, RunDirectory]:
        """The `RunDirectory` of each self-training method."""
        return {m: RunDirectory(f"{self.out}/{m}") for m in METHODS}

    def shown(self) -> list[Result]:
        """The four rows of the paper's table: each method's last model."""
        last = self.size.iterations
        return [r for r in self.results if r.iteration in (0, last)]

    def summary(self) -> str:
        """What is printed at the end, a str."""
        test = self.splits["test"]
        parts = [as_text(main_table(self.shown(), test).rows())]
        parts.append(
            f"Mean reward of {len(test)} test users, from 0 to 1. "
            "Superscripts: better than that row (two-tailed paired t-test, "
            "p < 0.05)."
        )
        tables = [self.bullets(), self.gains(), kept_table(self.runs)]
        parts += [as_text(rows) for rows in [*tables, *self.agreement]]
        parts += [self._case(example) for example in self._cases()]
        parts.append(
            f"Outside compiled model code: {self.python_share:.1%} of the "
            f"time. Report: {self.out}/report.html"
        )
        return "\n\n".join(parts)

    def bullets(self) -> Table:
        """Rows: the share of right bullets, as REST-PG goes on."""
        rows = [["right bullets", "kind", "concern", "manner", "mean"]]
        for result in self.results:
            if not result.reasons:
                continue
            right = np.array(
                [
                    self.world.right(example, result.reasoning(example))
                    for example in self.splits["test"]
                ]
            )
            shares = [*right.mean(axis=0), right.mean()]
            rows.append([result.title, *(f"{s:.3f}" for s in shares)])
        return rows

    def gains(self) -> Table:
        """Rows: each self-training method against its own start."""
        test = self.splits["test"]
        rows = [["self-training", "start", "end", "gain", "p"]]
        for start in self.results[:2]:
            end = [r for r in self.results if r.reasons == start.reasons][-1]
            before, after = (macro_average(r, test) for r in (start, end))
            p = paired_p(end.rewards(test), start.rewards(test))
            rows.append(
                [
                    f"{end.title} over {start.title}",
                    f"{before:.4f}",
                    f"{after:.4f}",
                    f"{after - before:+.4f}",
                    f"{p:.2g}",
                ]
            )
        return rows

    @functools.cached_property
    def agreement(self) -> list[Table]:
        """How an LLM judge compares with the overlap; no table without."""
        return [agreement(self.reward, self.world)] if self._llm else []

    @property
    def _llm(self):
        return self.judge == "llm"

    def _recipe(self, method):
        return demo_recipe(method, self.size, self.seed, self.judge)

    def _shared(self):
        """What the methods share: the base, and an LLM judge."""
        return RunDirectory(self.out).open()

    @functools.cached_property
    def reward(self) -> Scorer:
        """The world's overlap of telling words, or an LLM judge of it."""
        if not self._llm:
            return self.world.reward
        with self._shared() as run:
            return train_or_load_judge(
                self.world,
                self._recipe(METHODS[-1]),
                self.size.judge_steps,
                run,
                self.progress,
            )

    def _method(self, method):
        recipe = self._recipe(method)
        return RestPG(
            recipe,
            f"{self.out}/{method}",
            progress=self.progress,
            **self.parts(recipe),
        ).run()

    def parts(self, recipe: Recipe) -> dict[str, Any]:
        """The parts that `RestPG` is handed for a recipe of the demo's."""
        with self._shared() as run:
            causal_lm = self._base(recipe, run)
        optimizer = recipe.optimizer
        schedule = WarmupLinearDecay(
            optimizer.learning_rate,
            optimizer.warmup_steps,
            recipe.training.steps,
            optimizer.final_fraction,
        )
        teacher = [self.world.teacher(e) for e in self.splits["train"]]
        return {
            "splits": self.splits,
            "causal_lm": causal_lm,
            "reward": self.reward,
            "teacher": teacher if recipe.reasons else None,
            "optimizer": keras.optimizers.Adam(schedule, global_clipnorm=1.0),
        }

    def _base(self, recipe, run):
        templates = (
            prompts.PLAIN_PROMPT,
            prompts.REASONING_PROMPT,
            prompts.REASONING_OUTPUT,
        )
        causal_lm = make_gemma(
            tokenizer_proto(templates), recipe.model, self.seed
        )
        texts = self.world.base_corpus(
            self.size.texts, template=prompts.REASONING_OUTPUT
        )
        claim_base(recipe, texts, run)
        train_or_load_base(causal_lm, texts, recipe, run, self.progress)
        return causal_lm

    def _cases(self):
        """An example each of the first three tasks."""
        tasks = tasks_of(self.splits["test"])
        return [examples[0] for examples in list(tasks.values())[:3]]

    def _case(self, example):
        shown = self.shown()
        # All methods read the same documents.
        read = shown[0].documents[example.id]
        lines = [f"prompt: {example.prompt}"]
        lines += [f"  document: {d.text}" for d in read]
        lines.append(f"  the user wrote: {example.expected}")
        for result in shown:
            score = result.outputs[example.id].score.reward
            lines.append(f"  {result.title} ({score:.1f})")
            for line in result.reasoning(example).split("\n"):
                lines += [f"    {line}"] if line.strip() else []
            lines.append(f"    > {result.answer(example)}")
        return "\n".join(lines)

    def _report(self):
        write_report(
            RunDirectory(self.out),
            self.splits["test"],
            self.results,
            self.runs,
            extra=[self.bullets(), self.gains(), *self.agreement],
            notes=[
                "Outside compiled model code: "
                f"{self.python_share:.1%} of the time."
            ],
        )


def experiments(
    out: Path,
    seed: int,
    size: Size,
    progress: Progress,
    judge: str = "overlap",
    count: int = 1,
) -> Experiments:
    """The paper's `Experiments` in the embedded world, a world a seed."""

    @functools.cache
    def demo(seed):
        return Demo(f"{out}/seed-{seed}", seed, size, progress, judge)

    return Experiments(
        demo_recipe(METHODS[-1], size, seed, judge),
        out,
        count,
        lambda recipe: demo(recipe.seed).parts(recipe),
        progress,
    )


def full(
    out: Path,
    seed: int,
    progress: Progress,
    judge: str = "overlap",
    count: int = 5,
) -> str:
    """The demo on fresh seeds, and the mean over them as text.

    Args:
        out: folder; each seed has its own in it.
        seed: the seeds are the `count` after this one.
        progress: a `Progress`.
        judge: one of `JUDGES`.
        count: how many seeds.
    """
    rows, values = [], []
    for each in range(seed + 1, seed + 1 + count):
        demo = Demo(f"{out}/seed-{each}", each, DEFAULT, progress, judge)
        demo.run()
        found = demo.shown()
        test = demo.splits["test"]
        values.append([macro_average(result, test) for result in found])
        rows.append([str(each), *(f"{value:.4f}" for value in values[-1])])
    values = np.array(values)
    head = ["seed", *(result.title for result in found)]
    rows.append(["mean", *(f"{value:.4f}" for value in values.mean(axis=0))])
    lines = [as_text([head, *rows])]
    for better, worse in ((3, 2), (2, 0), (3, 1)):
        p = paired_p(values[:, better], values[:, worse])
        gain = (values[:, better] - values[:, worse]).mean()
        lines.append(
            f"{head[better + 1]} over {head[worse + 1]}: {gain:+.4f}, "
            f"p = {p:.2g} over seeds (two-tailed paired t-test)"
        )
    return "\n".join(lines)
