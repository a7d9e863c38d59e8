"""Presets as they were saved: quantized ones, and what is wrong with others."""

import json

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg import RewardWeightedLM
from keras_restpg.errors import InputError
from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.run.build import load_preset
from tests.model import vocabulary

IDS = np.array([[2, 5, 6, 7]], "int32")
# One prompt with one output.
BATCH = {
    "prompt_ids": IDS[None],
    "prompt_lengths": np.array([[4]], "int32"),
    "response_ids": np.array([[[[70, 71, 72]]]], "int32"),
    "response_lengths": np.array([[[3]]], "int32"),
    "rewards": np.ones((1, 1, 1), "float32"),
}


def logits(causal_lm):
    inputs = {"token_ids": IDS, "padding_mask": np.ones_like(IDS)}
    return ops.convert_to_numpy(causal_lm(inputs, training=False))


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """A preset in int8 and the logits of its model."""
    causal_lm = vocabulary.causal_lm()
    causal_lm.backbone.quantize("int8")
    folder = tmp_path_factory.mktemp("int8")
    causal_lm.save_to_preset(str(folder))
    return str(folder), logits(causal_lm)


@pytest.mark.backend
def test_a_quantized_preset_is_loaded_sampled_trained_and_saved(
    quantized, tmp_path
):
    folder, expected = quantized
    causal_lm = load_preset(folder, "float32")
    np.testing.assert_array_equal(logits(causal_lm), expected)
    engine = SamplingEngine(causal_lm, 64, 4)
    greedy = Sampling(temperature=0.0)
    (before,) = engine.sample(["the old garden"], greedy)
    assert before[0].token_ids

    causal_lm.backbone.enable_lora(2)
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=keras.optimizers.Adam(0.05))
    for _ in range(4):
        model.train_on_batch(BATCH)
    assert np.abs(logits(causal_lm) - expected).max() > 1e-4

    causal_lm.save_to_preset(str(tmp_path / "trained"))
    again = load_preset(str(tmp_path / "trained"), "bfloat16")
    # Merged into eight bits.
    np.testing.assert_allclose(logits(again), logits(causal_lm), atol=0.05)
    assert SamplingEngine(again, 64, 4).sample(["the old garden"], greedy)


def test_a_float_preset_takes_the_dtype_that_is_asked_for(tmp_path):
    vocabulary.causal_lm().save_to_preset(str(tmp_path))
    causal_lm = load_preset(str(tmp_path), "bfloat16")
    assert causal_lm.backbone.variable_dtype == "bfloat16"


def message(preset):
    with pytest.raises(InputError) as error:
        load_preset(str(preset))
    return str(error.value)


def test_what_is_wrong_with_this_preset_is_said(tmp_path):
    said = message(tmp_path)
    assert "no config.json" in said and "licence" not in said
    said = message(tmp_path / "none")
    assert "There is no such folder" in said and "licence" not in said
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x"}))
    said = message(tmp_path)
    assert "save or download it again" in said and "licence" not in said


def test_a_preset_that_is_cut_off_is_said(tmp_path):
    vocabulary.causal_lm(num_layers=1).save_to_preset(str(tmp_path))
    weights = tmp_path / "model.weights.h5"
    weights.write_bytes(weights.read_bytes()[:2000])
    said = message(tmp_path)
    assert "can't be loaded" in said and "licence" not in said


def test_a_preset_by_name_is_told_of_its_licence(monkeypatch):
    def offline(*args, **kwargs):
        raise ConnectionError("no way out")

    monkeypatch.setattr(keras_hub.models.CausalLM, "from_preset", offline)
    assert "licence, as Gemma's" in message("gemma_none_en")
