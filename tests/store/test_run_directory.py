import uuid

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.run.recipe import Recipe
from keras_restpg.store import RunDirectory


@pytest.fixture
def recipe():
    return Recipe()


def test_the_same_recipe_continues(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe):
        pass
    with RunDirectory(tmp_path).open(recipe) as run:
        assert run.recipe() == recipe


def test_other_settings_are_refused_by_name(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe) as run:
        run.write_json("state.json", {})
    other = recipe.with_settings(["seed=3", "sampling.num_samples=4"])
    with pytest.raises(InputError, match="seed, sampling.num_samples") as error:
        RunDirectory(tmp_path).open(other)
    free = "May be changed: iterations, data.folder, reward, selection."
    assert str(error.value).endswith(free)
    # The refusal left no lock and no change.
    with RunDirectory(tmp_path).open(recipe) as run:
        assert run.recipe() == recipe


@pytest.mark.parametrize(
    "name",
    [
        "state.json",
        "base/vocabulary.spm",
        "reasoning/00000.jsonl",
        "sft/weights/fingerprint",
        "iteration-2/samples/fingerprint",
    ],
)
def test_anything_computed_holds_the_settings(tmp_path, recipe, name):
    with RunDirectory(tmp_path).open(recipe) as run:
        run.files.write(name, b"")
    with pytest.raises(InputError, match="other settings: seed"):
        RunDirectory(tmp_path).open(recipe.with_settings(["seed=3"]))


def test_a_start_that_computed_nothing_holds_no_settings(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe) as run:
        run.log("replies.jsonl", {})
    (tmp_path / "base").mkdir()
    other = recipe.with_settings(["seed=3"])
    with RunDirectory(tmp_path).open(other) as run:
        assert run.recipe() == other


def test_threshold_judge_and_place_of_the_data_may_change(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe) as run:
        run.write_json("state.json", {})
    other = recipe.with_settings(
        ["selection.tau=0.7", "reward.kind=rougeL", "data.folder=elsewhere"]
    )
    with RunDirectory(tmp_path).open(other) as run:
        assert run.recipe() == other


def test_a_stage_of_other_inputs_is_moved_aside_and_kept(tmp_path):
    run = RunDirectory(tmp_path)
    run.stage("iteration-1/weights", "one")
    run.files.write("iteration-1/weights/best", b"1")
    run.stage("iteration-1/weights", "one")
    assert run.files.read("iteration-1/weights/best") == b"1"
    run.stage("iteration-1/weights", "two")
    assert run.files.read("iteration-1/weights/best") is None
    assert run.files.read("iteration-1/weights.old-1/best") == b"1"


@pytest.mark.parametrize("remote", [False, True])
def test_a_stage_of_unknown_inputs_is_moved_aside_and_kept(tmp_path, remote):
    run = RunDirectory(f"memory://{uuid.uuid4()}" if remote else tmp_path)
    run.files.write("sft/samples/0.jsonl", b"1")
    assert run.claimed("sft/samples") is None
    run.stage("sft/samples", "one")
    assert run.claimed("sft/samples") == "one"
    assert run.files.names("sft/samples") == ["fingerprint"]
    assert run.files.read("sft/samples.old-1/0.jsonl") == b"1"
    # A folder that is only there holds nothing to keep.
    run.stage("sft/weights", "one")
    assert not run.files.exists("sft/weights.old-1")


def test_a_run_that_can_not_begin_leaves_no_lock(tmp_path, recipe, monkeypatch):
    run = RunDirectory(tmp_path)
    write = run.files.write

    def full(name, data):
        if name == "recipe.toml":
            raise InputError("Make space")
        write(name, data)

    monkeypatch.setattr(run.files, "write", full)
    with pytest.raises(InputError, match="Make space"):
        run.open(recipe)
    assert not (tmp_path / "lock.json").exists()


def test_what_a_kill_left_is_swept(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe) as run:
        run.files.write("sft/weights/best.h5", b"1")
    for name in (
        "sft/weights/.writing-x1",
        ".writing-model/config.json",
        "lock.json.77",
        "lock.json.after-0a",
        ".replaced-model/config.json",
        "other/.replaced-model/config.json",
        "other/model/config.json",
        "nested/recipe.toml",
        "nested/.writing-y",
        "nested/lock.json.78",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    outside = tmp_path.with_name("outside")
    outside.mkdir()
    (outside / "a").write_text("")
    (tmp_path / ".writing-link").symlink_to(outside)
    with RunDirectory(tmp_path).open(recipe):
        pass
    found = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if not path.is_dir()
    }
    assert found == {
        "recipe.toml",
        "sft/weights/best.h5",
        # A kill came before the new one was in place: the old one is back.
        "model/config.json",
        "other/model/config.json",
        # Another run's, which may be in hand.
        "nested/recipe.toml",
        "nested/.writing-y",
        "nested/lock.json.78",
    }
    assert (outside / "a").exists()


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
    run.save_weights("w/a.weights.h5", saved)
    assert run.load_weights("w/a.weights.h5", loaded)
    for ours, theirs in zip(loaded.weights, saved.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_arrays_come_back_bit_for_bit(tmp_path):
    run = RunDirectory(tmp_path)
    arrays = [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.array(3, "int32"),
        np.array([1.5, -2.0], ml_dtypes.bfloat16),
    ]
    run.save_arrays("a.h5", arrays)
    for ours, theirs in zip(run.load_arrays("a.h5"), arrays, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert run.load_arrays("b.h5") is None


def test_weights_with_a_link_to_another_file_are_not_loaded(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights("a.weights.h5", model())
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/2"] = h5py.ExternalLink("/etc/secret.h5", "/x")
    run.save_bytes("a.weights.h5", path.read_bytes())
    assert not run.load_weights("a.weights.h5", model())


def test_weights_of_another_model_are_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights("a.weights.h5", model())
    with pytest.raises(InputError, match="not hold the weights of this model"):
        run.load_weights("a.weights.h5", model(units=5))


def test_a_full_temporary_disk_is_named(tmp_path):
    class Full:
        def save_weights(self, path):
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left.*Make space"):
        RunDirectory(tmp_path).save_weights("a.weights.h5", Full())


def test_damaged_weights_are_not_loaded(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_weights("a.weights.h5", model())
    path = tmp_path / "a.weights.h5"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not run.load_weights("a.weights.h5", model())
    assert not run.load_weights("b.weights.h5", model())


def test_a_damaged_state_is_named(tmp_path):
    (tmp_path / "state.json").write_bytes(b"{\xff")
    with pytest.raises(InputError, match="state.json is damaged"):
        RunDirectory(tmp_path).read_json("state.json")
