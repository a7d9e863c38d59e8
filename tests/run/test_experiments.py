"""The experiments, with arithmetic in place of trainings."""

import csv
import json

import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.progress import Progress
from keras_restpg.run import experiments
from keras_restpg.run.experiments import Experiments
from keras_restpg.run.recipe import from_dict
from tests.run.finished import finished_run, rising

RECIPE = from_dict({"sampling": {"num_samples": 8}, "iterations": 2})


class Arithmetic:
    """A run whose rewards follow from its recipe."""

    made = []

    def __init__(self, recipe, out, progress, also):
        self.recipe, self.out, self.also = recipe, out, also

    def run(self):
        recipe = self.recipe
        self.made.append((self.out, recipe))
        step = 0.2 if recipe.reasons else 0.1
        size = recipe.selection.first_samples or recipe.sampling.num_samples
        step += 0.001 * size
        step -= 0.05 * (recipe.training.start == "sft")
        rewards = rising(recipe.seed, stages=1 + recipe.rounds, step=step)
        method = "rest-pg" if recipe.reasons else "rest-em"
        finished_run(self.out, method, rewards, recipe.seed, mark=str(self.out))
        for split in self.also:
            lost = [np.maximum(each - 0.05, 0) for each in rewards]
            finished_run(
                self.out,
                method,
                lost,
                recipe.seed,
                split=split,
                mark=str(self.out),
            )


@pytest.fixture
def lab(tmp_path, monkeypatch):
    shared = []
    monkeypatch.setattr(experiments, "RestPG", Arithmetic)
    monkeypatch.setattr(
        experiments,
        "share",
        lambda source, target, *which: shared.append(
            (source.files.url, target.files.url, *which)
        ),
    )
    monkeypatch.setattr(Arithmetic, "made", [])
    found = Experiments(RECIPE, tmp_path, progress=Progress(quiet=True))
    return found, tmp_path, shared


def names(calls, out):
    return [
        tuple(x.removeprefix(f"{out}/seed-0/") if str(x) == x else x for x in c)
        for c in calls
    ]


def table(path):
    return list(csv.reader(path.open()))


def test_main_makes_tables_1_and_3(lab):
    found, out, shared = lab
    text = found.main()
    assert "test users" in text and "validation users" in text
    assert names(shared, out) == [("rest-em", "rest-pg", 0, False)]
    made = {path.name for path in (out / "main").iterdir()}
    assert {"table-test.tex", "table-validation.tex", "report.html"} <= made
    assert {"iterations-test.svg", "iterations-validation.png"} <= made
    rows = table(out / "main/table-validation.csv")
    assert rows[-1][0] == "REST-PG, iteration 2" and len(rows) == 1 + 4 * 3


def test_a_budget_is_drawn_once(lab):
    found, out, shared = lab
    found.budget([2, 8, 4])
    sizes = [
        (r.sampling.num_samples, r.selection.first_samples, r.iterations)
        for _, r in Arithmetic.made
    ]
    assert sizes == [(8, 0, 1), (8, 4, 1), (8, 2, 1)]
    # The methods' own samples are of the same number here.
    assert names(shared, out) == [
        ("rest-pg", "budget-8", 1, True),
        ("budget-8", "budget-4", 1, True),
        ("budget-8", "budget-2", 1, True),
    ]
    head, *rows = table(out / "budget/budget-test.csv")
    assert head[1:] == ["m, samples of a prompt", "email", "review", "average"]
    means = [float(row[-1].split()[0]) for row in rows]
    assert [row[1] for row in rows] == ["2", "4", "8"]
    assert means == sorted(means) and len(set(means)) == 3


def test_starts_are_compared_with_base(lab):
    found, out, shared = lab
    text = found.start()
    assert names(shared, out) == [
        ("rest-pg", "start-base", 2, False),
        ("start-base", "start-sft", 1, True),
    ]
    average = table(out / "start/start-test.csv")[-1]
    base, sft, ratio = map(float, average[1:4])
    assert sft < base and ratio == pytest.approx(sft / base, abs=1e-3)
    low, high = map(float, average[4].split(" to "))
    assert low < ratio < high < 1 and "0.96" in text


def test_profiles_are_swapped_by_shares(lab):
    found, out, shared = lab
    found.shuffle()
    assert names(shared, out) == [("rest-em", "shuffle", 1, False)]
    rows = table(out / "shuffle/shuffle-test.csv")[1:]
    assert [row[1] for row in rows] == ["0", "0.25", "0.5", "0.75", "1"]
    means = [float(row[-1].split()[0]) for row in rows]
    falls = -np.diff(means)
    assert falls == pytest.approx(falls.mean(), abs=2e-3) and min(falls) > 0


def test_cases_are_where_it_gains_loses_and_at_random(lab):
    found, out, _ = lab
    found.cases()
    page = (out / "cases/cases.md").read_text()
    assert page.startswith("# REST-PG, iteration 2 beside SFT\n")
    gained, lost = page.index("## Most gained"), page.index("## Most lost")
    assert page[gained:lost].count("\n### ") == 2 * 3
    assert page[lost:].count("\n### ") == 2 * 3  # Nobody loses.


def test_people_are_asked_blind_and_read_back(lab, tmp_path):
    found, out, _ = lab
    with pytest.raises(InputError, match="draw the pairs first"):
        found.human([tmp_path / "filled.csv"])
    with pytest.raises(InputError, match="No two outputs"):
        Experiments(RECIPE.with_settings(["iterations=1"]), out).human()
    # A step large enough for pairs that lie half apart.
    found.recipe = RECIPE.with_settings(["sampling.num_samples=200"])
    assert "pairs. Have a, b or tie" in found.human()
    head, *rows = table(out / "human/pairs.csv")
    key = json.loads((out / "human/key.json").read_text())
    assert head[-1] == "choice" and len(rows) == len(key) > 10
    shown = " ".join(cell for row in rows for cell in row[1:3])
    assert "REST-PG" not in shown
    better = {
        k: "a" if v["a"]["reward"] > v["b"]["reward"] else "b"
        for k, v in key.items()
    }
    assert len(set(better.values())) == 2
    for name, wrong in (("one", 0), ("two", 4)):
        with open(out / f"{name}.csv", "w") as file:
            writer = csv.writer(file)
            writer.writerow(head)
            for number, row in enumerate(rows):
                choice = better[row[0]]
                if number < wrong:
                    choice = "ab".replace(choice, "")
                writer.writerow([*row[:-1], choice])
    text = found.human([out / "one.csv", out / "two.csv"])
    _, _, one, two, both = text.splitlines()
    assert one.split()[-6:-4] == ["1", "1"]
    share = f"{1 - 4 / len(rows):.3g}"
    assert share in two.split() and share in both.split()


def test_each_seed_has_its_runs(lab):
    found, out, _ = lab
    found = Experiments(RECIPE, out, seeds=2, progress=Progress(quiet=True))
    text = found.iterations()
    assert text.count("REST-PG") == 2 * 3
    made = {path.name for path in out.iterdir()}
    assert made == {"iterations", "seed-0", "seed-1"}
