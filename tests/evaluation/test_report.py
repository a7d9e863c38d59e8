from keras_restpg.evaluation.report import reasoning_table, write_report
from keras_restpg.evaluation.results import Result
from keras_restpg.recipe import Recipe
from keras_restpg.records import (
    Document,
    Example,
    Sample,
    Score,
    ScoredSample,
)
from keras_restpg.store import RunDirectory

EVIL = "<script>alert('x')</script>&\"\ud800"


def test_every_text_is_escaped_and_nothing_is_loaded_from_elsewhere(tmp_path):
    examples = [
        Example(f"{i}", EVIL, "u", EVIL, EVIL, (Document(EVIL),))
        for i in range(3)
    ]
    outputs = {
        e.id: ScoredSample(
            Sample(e.id, 0, EVIL, (), True, 0.0), Score(e.id, 0, 0.5)
        )
        for e in examples
    }
    results = [Result("sft", 0, outputs), Result("rest-em", 1, outputs)]
    with RunDirectory(tmp_path).open(Recipe()) as run:
        task = {
            "samples": 3,
            "mean_reward": 0.5,
            "accept_rate": 0.1,
            "kept": 1,
            "below": 0,
            "repeated": 0,
            "beyond": 0,
            "unparsable": 0,
            "unfinished": 0,
            "examples_without": 2,
            "examples": 3,
            "histogram": {"0.5": 3},
        }
        run.log(
            "metrics.jsonl",
            {
                "kind": "expectation",
                "iteration": 1,
                "tasks": {EVIL.replace("\ud800", ""): task, "all": task},
            },
        )
        run.log(
            "metrics.jsonl",
            {"kind": "epoch", "stage": "sft", "epoch": 0, "nll": 1.0},
        )
        taught = {
            "kind": "reasoning",
            "examples": 4,
            "kept": 2,
            "generated": 6,
            "leaked": 3,
            "empty": 1,
            "mean_copied": 0.05,
        }
        for shard in ("00000", "00001", "00001"):
            run.log("metrics.jsonl", {**taught, "shard": shard})
        table = reasoning_table({"": run})
        assert table[1] == ["", "8", "4", "12", "6", "2", "0.050"]
        write_report(run, examples, results, extra=[[["a"], [EVIL]]])
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5
    assert "The teacher's reasoning" in page
    assert page.count("data:image/png;base64,") == 5
    assert "src='http" not in page and "href" not in page


def test_a_run_without_results_has_a_report(tmp_path):
    with RunDirectory(tmp_path).open(Recipe()) as run:
        write_report(run, [], [])
    assert "REST-PG run" in (tmp_path / "report.html").read_text()
