import os

import numpy as np
import pytest

from keras_restpg.records import Sample
from keras_restpg.store import RunDirectory
from keras_restpg.store.checkpoints import Checkpoints
from keras_restpg.store.share import share
from keras_restpg.store.stage import Stage
from keras_restpg.store.state import read_state, write_state

SAMPLES = [Sample("e", 0, "text", (1,), True, -1.0)]


def stages_of(run, tau, said):
    sampled = {"m": 2}
    return [
        Stage(run, "sft", {"rate": 1}, say=said.append),
        Stage(run, "iteration-1", {"tau": tau}, sampled, said.append),
    ]


@pytest.fixture
def source(tmp_path):
    """A run of two stages, two epochs each, as it is when it has ended."""
    with RunDirectory(tmp_path / "source").open() as run:
        sft, first = stages_of(run, 1.0, [])
        run.write_json("run.json", {"settings": {"iterations": 1}})
        run.claim("start", {"generator": 1})
        run.save_arrays("start/weights.safetensors", [np.zeros(2)])
        first.samples().put("00000", SAMPLES)
        best, weights = {}, {}
        for number, stage in enumerate((sft, first)):
            stage.claim_weights()
            name = stage.weights("best", "a")
            weights[name] = run.save_arrays(name, [np.full(3, number)])
            best[stage.name] = name
            run.log("metrics.jsonl", {"kind": "epoch", "stage": stage.name})
        run.log("metrics.jsonl", {"kind": "base", "nll": 2.0})
        state = {"stage": "iteration-1", "epoch": 4, "epochs": 4, "best": best}
        state |= {"weights": weights, "score": None}
        prints = {each.name: each.fingerprint for each in (sft, first)}
        write_state(run, {**state, "stages": prints})
    return run


def test_a_run_begins_where_it_differs(source, tmp_path):
    said = []
    with RunDirectory(tmp_path / "target").open() as target:
        share(source, target, 1, samples=True)
        sft, first = stages_of(target, 0.5, said)
        checkpoints = Checkpoints(target, [sft, first], 2)
        assert checkpoints.epoch == 2
        name = read_state(target)["best"]["sft"]
        checksum = read_state(target)["weights"][name]
        assert target.load_arrays(name, checksum)[0].tolist() == [0, 0, 0]
        assert target.load_arrays("start/weights.safetensors") is not None
        assert first.samples().get("00000") == SAMPLES
        assert not first.is_selected and not said
        told = [line["kind"] for line in target.read_log("metrics.jsonl")]
        assert told == ["epoch", "base"]
        # Weights are there once; what is appended to is a run's own.
        for file, linked in ((name, True), ("metrics.jsonl", False)):
            same = os.path.samefile(
                source.files.path(file), target.files.path(file)
            )
            assert same == linked
        manifest = "iteration-1/samples/manifest.jsonl"
        first.samples().put("00001", SAMPLES)
        assert len(source.files.read(manifest).splitlines()) == 1
        # Once more, nothing changes.
        share(source, target, 1, samples=True)
        assert len(first.samples()) == 2 and not said


def test_what_turns_out_to_be_other_is_computed_again(source, tmp_path):
    said = []
    with RunDirectory(tmp_path / "target").open() as target:
        share(source, target, 2)
        assert Checkpoints(target, stages_of(target, 1.0, said), 2).epoch == 4
        other = stages_of(target, 0.5, said)
        assert Checkpoints(target, other, 2).epoch == 2
        other[1].claim_weights()
        assert "computed again, as these changed: tau" in said[0]


def test_no_more_is_taken_than_is_trained(source, tmp_path):
    state = read_state(source)
    write_state(source, {**state, "epoch": 3})
    with RunDirectory(tmp_path / "target").open() as target:
        share(source, target, 2)
        assert read_state(target)["stages"].keys() == {"sft"}
    with RunDirectory(tmp_path / "other").open() as target:
        share(RunDirectory(tmp_path / "none"), target, 1, samples=True)
        assert read_state(target) == {}
