import keras
import ml_dtypes
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.recipe import Recipe
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
    with RunDirectory(tmp_path).open(recipe):
        pass
    other = recipe.with_settings(["seed=3", "sampling.num_samples=4"])
    with pytest.raises(InputError, match="seed, sampling.num_samples"):
        RunDirectory(tmp_path).open(other)
    # The refusal left no lock and no change.
    with RunDirectory(tmp_path).open(recipe) as run:
        assert run.recipe() == recipe


def test_threshold_and_judge_may_change(tmp_path, recipe):
    with RunDirectory(tmp_path).open(recipe):
        pass
    other = recipe.with_settings(["selection.tau=0.7", "reward.kind=rougeL"])
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


def model():
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(2)(inputs))


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
