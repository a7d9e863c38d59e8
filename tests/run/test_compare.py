import csv

import numpy as np
import pytest

from keras_restpg.cli import main as cli
from keras_restpg.errors import InputError
from keras_restpg.run.compare import compare
from keras_restpg.store.files import Files
from tests.run.finished import examples, finished_run, rising


@pytest.fixture
def two(tmp_path):
    """ReST-EM and REST-PG, below one folder."""
    em, pg = rising(0), rising(1, step=0.2)
    finished_run(tmp_path / "rest-em", "rest-em", em)
    finished_run(tmp_path / "rest-pg", "rest-pg", pg)
    return tmp_path, em, pg


def test_the_papers_table_is_made_of_two_runs(two):
    out, em, pg = two
    found = compare([out])
    table = found.table
    assert table.titles == [
        "SFT",
        "SFT w/ Reasoning-Enhancement",
        "ReST-EM, iteration 1",
        "REST-PG, iteration 1",
    ]
    order = (em[0], pg[0], em[1], pg[1])
    for row, rewards in zip(table.cells, order, strict=True):
        means = [rewards[::2].mean(), rewards[1::2].mean()]
        means.append(np.mean(means))
        assert [cell.mean for cell in row] == pytest.approx(means)
    assert 1 in table.cells[3][-1].over
    pairs = found.pairs
    assert len(pairs) == 1 + 6 and pairs[-1][0].startswith("REST-PG, iter")
    difference = (pg[1] - em[1]).mean()
    assert pairs[-1][1] == f"{difference:+.4f}"
    assert float(pairs[-1][5]) >= float(pairs[-1][4])
    assert not found.seeds


def test_tables_and_plots_are_written(two):
    out, _, pg = two
    compare([out]).write(Files(out / "made"))
    names = {path.name for path in (out / "made").iterdir()}
    assert names == {
        "table-test.csv",
        "table-test.tex",
        "table-test.md",
        "differences-test.csv",
        "iterations-test.png",
        "iterations-test.svg",
    }
    rows = list(csv.DictReader((out / "made/table-test.csv").open()))
    assert len(rows) == 4 * 3
    points = compare([out]).curves["average"]["REST-PG"]
    assert sorted(points) == [0, 1]
    mean, low, high = points[1]
    assert mean == pytest.approx(pg[1].mean()) and low < mean < high


def test_runs_of_one_method_are_told_apart_and_a_shared_model_counts_once(
    tmp_path,
):
    first, second = rising(0), rising(0, step=0.3)
    finished_run(tmp_path / "m-8", "rest-pg", first, mark="8")
    finished_run(tmp_path / "m-16", "rest-pg", [first[0], second[1]], mark="16")
    found = compare([tmp_path])
    assert [m.title for m in found.shown] == [
        "SFT w/ Reasoning-Enhancement",
        "REST-PG, iteration 1 (m-16)",
        "REST-PG, iteration 1 (m-8)",
    ]
    curves = found.curves["average"]
    assert {name: len(each) for name, each in curves.items()} == {
        "REST-PG (m-16)": 2,
        "REST-PG (m-8)": 2,
    }


def test_seeds_are_pooled(tmp_path):
    runs = {}
    for seed in (0, 1, 2):
        for method in ("rest-em", "rest-pg"):
            step = 0.2 if method == "rest-pg" else 0.1
            runs[method, seed] = rising(seed, step=step)
            folder = tmp_path / f"seed-{seed}" / method
            finished_run(folder, method, runs[method, seed], seed)
    found = compare([tmp_path])
    means = np.mean([runs["rest-pg", seed][1] for seed in (0, 1, 2)], axis=0)
    assert found.table.cells[3][-1].mean == pytest.approx(means.mean())
    head, *rows = found.seeds
    assert head[1:] == ["seed 0", "seed 1", "seed 2", "mean", "deviation", "p"]
    assert rows[0][-1] == "" and float(rows[3][-1]) < 0.05
    assert float(rows[3][4]) == pytest.approx(means.mean(), abs=1e-4)
    # Other worlds have other users under the same names.
    for method in ("rest-em", "rest-pg"):
        finished_run(
            tmp_path / "seed-9" / method,
            method,
            rising(9, 20),
            9,
            found=examples(20),
        )
    assert "seed 9" in compare([tmp_path]).seeds[0]


def test_what_is_no_comparison_is_refused(two):
    out, em, _ = two
    with pytest.raises(InputError, match="holds no run"):
        compare([out / "none"])
    with pytest.raises(InputError, match="outputs for the validation users"):
        compare([out], "validation")
    finished_run(out / "x", "rest-em", em, reward="judge", mark="x")
    with pytest.raises(InputError, match="scored by other rewards"):
        compare([out])
    finished_run(out / "x", "rest-em", [each[:8] for each in em], mark="x")
    with pytest.raises(InputError, match="tested on other examples"):
        compare([out / "x", out / "rest-em"])
    finished_run(out / "y", "rest-em", em, 5)
    with pytest.raises(InputError, match="was not run with the seed 5"):
        compare([out / "y", out / "rest-em", out / "rest-pg"])


def test_the_command_prints_and_writes(two, capsys):
    out, *_ = two
    made = out / "made"
    assert cli.main(["compare", str(out), "--out", str(made)]) == 0
    text = capsys.readouterr().out
    assert "4 REST-PG, iteration 1" in text and "p (Holm)" in text
    assert (made / "table-test.tex").read_text().startswith("\\begin{tabular}")
    assert "<html" in (made / "report.html").read_text()
