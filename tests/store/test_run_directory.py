import os
import uuid

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.store import RunDirectory


def test_a_stage_of_other_inputs_is_moved_aside_and_kept(tmp_path):
    run = RunDirectory(tmp_path)
    assert run.claim("iteration-1/weights", {"a": 1, "b": 2}) == []
    run.files.write("iteration-1/weights/best", b"1")
    assert run.claim("iteration-1/weights", {"a": 1, "b": 2}) == []
    assert run.files.read("iteration-1/weights/best") == b"1"
    assert run.claim("iteration-1/weights", {"a": 1, "b": 3}) == ["b"]
    assert run.files.read("iteration-1/weights/best") is None
    assert run.files.read("iteration-1/weights.old-1/best") == b"1"


@pytest.mark.parametrize("remote", [False, True])
def test_a_stage_of_unknown_inputs_is_moved_aside_and_kept(tmp_path, remote):
    run = RunDirectory(f"memory://{uuid.uuid4()}" if remote else tmp_path)
    run.files.write("sft/samples/0.jsonl", b"1")
    assert run.claimed("sft/samples") is None
    run.claim("sft/samples", {"a": 1})
    assert run.inputs("sft/samples") == {"a": 1}
    assert run.files.names("sft/samples") == ["inputs.json"]
    assert run.files.read("sft/samples.old-1/0.jsonl") == b"1"
    # A folder that is only there holds nothing to keep.
    run.claim("sft/weights", {"a": 1})
    assert not run.files.exists("sft/weights.old-1")


def test_a_checksum_is_of_the_place_and_its_inputs(tmp_path):
    run = RunDirectory(tmp_path)
    run.claim("sft/weights", {"a": 1})
    run.save_bytes("sft/weights/best", b"1")
    for name in ("best", "best.sha256"):
        data = run.files.read(f"sft/weights/{name}")
        run.files.write(f"sft/weights/{name.replace('best', 'last')}", data)
        run.files.write(f"iteration-1/weights/{name}", data)
    assert run.load_bytes("sft/weights/best") == b"1"
    assert run.load_bytes("sft/weights/last") is None
    assert run.load_bytes("iteration-1/weights/best") is None
    run.write_json("sft/weights/inputs.json", {"a": 2})
    assert run.load_bytes("sft/weights/best") is None


def test_what_a_kill_left_is_swept(tmp_path):
    with RunDirectory(tmp_path).open() as run:
        run.files.write("sft/weights/best.safetensors", b"1")
    for name in (
        "sft/weights/.writing-1-0123456789abcdef",
        ".writing-12-0123456789abcdef/config.json",
        ".writing-notes",
        "lock/probe-77",
        ".replaced-model/config.json",
        "other/.replaced-model/config.json",
        "other/model/config.json",
        "nested/recipe.toml",
        "nested/.writing-1-0123456789abcdef",
        "nested/lock/78",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    outside = tmp_path.with_name("outside")
    outside.mkdir()
    (outside / "a").write_text("")
    (tmp_path / ".writing-1-00000000000000ff").symlink_to(outside)
    with RunDirectory(tmp_path).open():
        pass
    found = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if not path.is_dir()
    }
    assert found - {"lock/gate"} == {
        # Whose it is, nobody knows.
        ".writing-notes",
        "sft/weights/best.safetensors",
        # A kill came before the new one was in place: the old one is back.
        "model/config.json",
        "other/model/config.json",
        # Another run's, which may be in hand.
        "nested/recipe.toml",
        "nested/.writing-1-0123456789abcdef",
        "nested/lock/78",
    }
    assert (outside / "a").exists()


def test_a_folder_of_something_else_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / ".DS_Store").write_text("x")
    with RunDirectory(tmp_path).open():
        pass
    other = tmp_path / "other"
    (other / "model").mkdir(parents=True)
    (other / "report.html").write_text("mine")
    with pytest.raises(InputError, match="'model' and no run. Nothing was"):
        RunDirectory(other).open()
    assert sorted(os.listdir(other)) == ["model", "report.html"]


def test_bytes_are_kept_with_their_checksum(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_bytes("base/vocabulary", b"words")
    assert run.load_bytes("base/vocabulary") == b"words"
    (tmp_path / "base/vocabulary").write_bytes(b"wordz")
    assert run.load_bytes("base/vocabulary") is None
    assert run.load_bytes("base/other") is None


def model(units=2):
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(units)(inputs))


def test_weights_come_back_bit_for_bit(tmp_path):
    run, saved, loaded = RunDirectory(tmp_path), model(), model()
    run.save_weights("w/a.safetensors", saved)
    assert run.load_weights("w/a.safetensors", loaded)
    for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_arrays_come_back_bit_for_bit(tmp_path):
    run = RunDirectory(tmp_path)
    arrays = [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.array(3, "int32"),
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
    ]
    run.save_arrays("a.safetensors", arrays)
    for ours, theirs in zip(
        run.load_arrays("a.safetensors"), arrays, strict=True
    ):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert run.load_arrays("b.safetensors") is None


def test_weights_of_another_model_are_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights("a.safetensors", model())
    with pytest.raises(InputError, match="not hold the weights of this model"):
        run.load_weights("a.safetensors", model(units=5))


def test_damaged_weights_are_not_loaded(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights("a.safetensors", model())
    path = tmp_path / "a.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not run.load_weights("a.safetensors", model())
    assert not run.load_weights("b.safetensors", model())


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "state.json").write_bytes(b"{\xff")
    with pytest.raises(InputError, match="state.json is damaged"):
        RunDirectory(tmp_path).read_json("state.json")
