"""Whole runs: what they leave behind, and what they take up again."""

import dataclasses
import html
import json
import os

import fsspec
import numpy as np
import pytest

from keras_restpg import PersonalizedWriter, RestPG
from keras_restpg.cli.main import main
from keras_restpg.errors import InputError
from keras_restpg.evaluation.results import load_results
from keras_restpg.progress import Progress
from keras_restpg.prompts import PLAIN_PROMPT, REASONING_PROMPT
from keras_restpg.reasoning import Teacher
from keras_restpg.records import Document
from keras_restpg.run.build import load_preset
from keras_restpg.run.compare import compare
from keras_restpg.run.export import card, export
from keras_restpg.store import RunDirectory
from keras_restpg.store.share import share
from keras_restpg.tables import visible
from tests import small_run

RECIPE = small_run.RECIPE.with_settings(
    [
        "iterations=1",
        "model.base_steps=4",
        "sampling.max_new_tokens=16",
        "training.steps=4",
        "optimizer.warmup_steps=1",
        "training.save_every=2",
        "evaluation.validate_every=4",
    ]
)
PLAIN = RECIPE.with_settings(["method=rest-em"])


def splits():
    return {
        "train": small_run.examples("train", 8),
        "val": small_run.examples("val", 2),
        "test": small_run.examples("test", 4),
    }


def run(out, recipe=PLAIN, **options):
    options = {"splits": splits(), **options}
    if recipe.reasons:
        options["teacher"] = Teacher(small_run.explain)
    return RestPG(recipe, out, progress=Progress(quiet=True), **options).run()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    return out, run(out)


def test_a_run_leaves_its_report_its_table_and_its_model(finished):
    out, results = finished
    assert [r.title for r in results] == ["SFT", "ReST-EM, iteration 1"]
    assert (out / "report.html").stat().st_size > 10_000
    table = json.loads((out / "table.json").read_text())
    assert table[0][-1] == "average" and len(table) == 3
    assert json.loads((out / "seconds.json").read_text())["sft: training"] > 0


def test_results_are_read_from_the_run_alone(finished):
    out, results = finished
    examples, found = load_results(RunDirectory(out))
    assert found == results
    assert [e.id for e in examples] == [e.id for e in splits()["test"]]
    assert examples[0].documents == results[0].documents[examples[0].id]
    assert load_results(RunDirectory(out), "validation") == ([], [])


def test_a_run_that_differs_in_its_selection_has_only_that_to_do(
    finished, tmp_path
):
    first, second = finished[0], tmp_path / "second"
    with RunDirectory(second).open() as target:
        share(RunDirectory(first), target, 1, samples=True)
    other = ["selection.first_samples=1", "selection.tau=0.0"]
    results = run(second, PLAIN.with_settings(other))
    for name in (
        "base/base.safetensors",
        "sft/weights/best-a.safetensors",
        "sft/test/samples/00000.jsonl",
        "iteration-1/samples/00000.jsonl",
    ):
        assert os.path.samefile(first / name, second / name)
    assert results[0].outputs == finished[1][0].outputs
    spent = json.loads((second / "seconds.json").read_text())
    assert "iteration-1: training" in spent and "sft: training" not in spent
    selected = [
        line["tasks"]["all"]["samples"]
        for each in (first, second)
        for line in RunDirectory(each).read_log("metrics.jsonl")
        if line["kind"] == "expectation"
    ]
    assert selected == [16, 8]
    # The sft model is one model; the iterations are two.
    models = compare([first, second]).shown
    assert [m.title for m in models] == [
        "SFT",
        "ReST-EM, iteration 1 (run)",
        "ReST-EM, iteration 1 (second)",
    ]


def test_a_writer_goes_on_with_the_runs_model_and_settings(finished):
    out, _ = finished
    writer = PersonalizedWriter.from_run(out, temperature=0.0)
    assert not writer.reasoning and writer.k == 1
    drafts = writer.drafts("write", ["warm again"], 2)
    assert drafts[0].text == drafts[1].text and not drafts[0].reasoning
    assert drafts[0].answer == drafts[0].text.strip()
    shown = html.escape(visible(drafts[0].answer))
    assert shown in drafts[0]._repr_html_()
    with pytest.raises(InputError, match="no documents"):
        writer.write("write", [" "])
    with pytest.raises(InputError, match="prompt is empty"):
        writer.write("", ["warm again"])


def test_the_command_line_writes_from_a_finished_run(
    finished, tmp_path, capsys
):
    documents = tmp_path / "documents.txt"
    documents.write_text("warm again\n\ncold still\n")
    arguments = ["write", finished[0], "write", "--documents", documents]
    assert main([*map(str, arguments), "--quiet"]) == 0
    assert capsys.readouterr().out.strip()


def test_a_function_can_be_handed_in_as_retriever(tmp_path):
    def last(query, documents, k):
        return range(len(documents))[-k:]

    plain = PLAIN.with_settings(["method=sft", "training.steps=2"])
    (result,) = run(tmp_path / "run", plain, retriever=last)
    for example in splits()["test"]:
        assert result.documents[example.id] == example.documents[-1:]


def test_a_folder_without_a_run_is_no_writer(tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        PersonalizedWriter.from_run(tmp_path)


def test_a_finished_model_is_a_preset_for_another_run(finished, tmp_path):
    out, _ = finished
    settings = [f"model.preset={json.dumps(str(out / 'model'))}"]
    results = run(tmp_path / "next", PLAIN.with_settings(settings))
    assert len(results) == 2


def test_a_finished_model_is_exported(finished, tmp_path, capsys):
    out, _ = finished
    assert main(["export", str(out), "--out", str(tmp_path / "hf")]) == 0
    names = {path.name for path in (tmp_path / "hf").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.model"} < names
    card = (tmp_path / "hf/README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "| 2 ReST-EM, iteration 1 |" in card and PLAIN_PROMPT in card
    assert "made for the run" in card and "base_model" not in card
    assert "# data: handed in" in card and str(tmp_path) not in card
    # The same model, in either form.
    export(out, tmp_path / "keras", "keras")
    models = [load_preset(str(tmp_path / name)) for name in ("hf", "keras")]
    for ours, theirs in zip(*(m.weights for m in models), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert main(["export", str(out), "--out", str(tmp_path / "hf")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_model_card_names_the_base_and_no_place(finished):
    out, _ = finished
    settings = [
        "model.preset=gemma_2b_en",
        "data.folder=/home/ann/reviews",
        "reward.kind=http",
        "reward.url=http://10.0.0.1/v1",
        "reward.model=judge-7b",
    ]
    directory = RunDirectory(str(out))
    directory.noted = dict
    text = card(directory, RECIPE.with_settings(settings), "mine", "keras")
    assert 'base_model: "gemma_2b_en"\nlicense: gemma\n' in text
    assert "Gemma Terms of Use" in text and REASONING_PROMPT in text
    assert "`reviews`" in text and "judge-7b" in text
    assert "/home/ann" not in text and "10.0.0.1" not in text


def test_another_reward_scores_the_same_samples_anew(tmp_path):
    out = tmp_path / "run"
    run(out)
    samples = (out / "sft/test/samples/00000.jsonl").read_bytes()
    called = []

    def always(example, answer):
        called.append(answer)
        return 0.5

    other = PLAIN.with_settings(["reward.kind=rouge2"])
    results = run(out, other, reward=always)
    assert called
    assert (out / "sft/test/samples/00000.jsonl").read_bytes() == samples
    for result in results:
        rewards = result.rewards(splits()["test"])
        assert set(np.round(rewards, 6)) <= {0.0, 0.5}
    for stage in ("sft/test", "iteration-1"):
        assert len(list((out / stage).glob("scores-*"))) == 2


def test_a_reward_that_tells_no_user_from_another_is_refused(tmp_path):
    # Whatever is written reaches the highest score.
    recipe = PLAIN.with_settings(["reward.cutoffs=[0.0, 0.01, 0.02, 0.03]"])
    with pytest.raises(InputError, match="curve 0.50.*reward.on_doubt = 'wa"):
        run(tmp_path / "run", recipe)
    assert not (tmp_path / "run/sft").exists()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_other_documents_are_noticed(finished, tmp_path, split):
    out = tmp_path / "run"
    run(out)
    changed = splits()
    changed[split] = [
        dataclasses.replace(e, documents=(Document("quite other"),))
        for e in changed[split]
    ]
    run(out, splits=changed)
    moved = {str(p.relative_to(out)) for p in out.rglob("*.old-1")}
    assert "sft/test/samples.old-1" in moved
    assert ("sft/weights.old-1" in moved) == (split != "test")


def test_one_more_test_user_is_no_error(tmp_path):
    out = tmp_path / "run"
    run(out)
    more = splits()
    more["test"] = small_run.examples("test", 6)
    assert len(run(out, splits=more)[0].outputs) == 6


def test_a_run_in_a_remote_store_writes_from_there():
    url = "memory://runs/remote"
    try:
        results, again = run(url), run(url)
        for ours, theirs in zip(again, results, strict=True):
            assert ours.outputs == theirs.outputs
        writer = PersonalizedWriter.from_run(url)
        assert isinstance(writer.write("write", ["warm"]).text, str)
    finally:
        fsspec.filesystem("memory").rm("/runs", recursive=True)


def test_tensorboards_logs_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path / "run", tensorboard=str(tmp_path / "logs"))
    assert list((tmp_path / "logs").rglob("events.out.tfevents.*"))


def test_reasoning_of_ones_own_is_read_before_anything_is_made(tmp_path):
    file = tmp_path / "none.jsonl"
    recipe = RECIPE.with_settings([f"reasoning.file={json.dumps(str(file))}"])
    with pytest.raises(InputError, match="none.jsonl"):
        RestPG(recipe, tmp_path / "run", splits=splits())
    assert not (tmp_path / "run").exists()


def test_a_test_prompt_that_does_not_fit_is_told_before_training(tmp_path):
    found = splits()
    long = dataclasses.replace(found["test"][0], prompt="warm " * 400)
    found["test"] = [long, *found["test"][1:]]
    with pytest.raises(InputError, match="instruction alone"):
        run(tmp_path, splits=found)
    assert not (tmp_path / "sft").exists()
