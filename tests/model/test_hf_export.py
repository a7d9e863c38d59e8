"""An exported Gemma gives transformers' logits, and its tokenizer's ids."""

import json

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg.model import hugging_face
from keras_restpg.model.text import Codec
from tests.model import gemmas, vocabulary

pytestmark = pytest.mark.backend

WORDS = vocabulary.tokenizer().vocabulary_size()
# Gemma 1 2B has one key/value head; in 7B there are as many as of queries,
# and heads are wider together than the model. Here all kinds are such.
KINDS = {
    **gemmas.KINDS,
    "gemma3-scaled": lambda **options: gemmas.gemma3(
        global_rope_scaling_factor=8.0, final_logit_soft_cap=4.0, **options
    ),
}


def made(kind, **options):
    backbone = KINDS[kind](vocabulary_size=WORDS, **options)
    preset = keras_hub.models
    if kind.startswith("gemma3"):
        tokens = preset.Gemma3Tokenizer(
            proto=vocabulary.proto(), has_vision_tokens=False
        )
        preprocessor = preset.Gemma3CausalLMPreprocessor(tokens)
    else:
        preprocessor = preset.GemmaCausalLMPreprocessor(vocabulary.tokenizer())
    return gemmas.causal_lm(backbone, preprocessor)


def logits(causal_lm, ids):
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    return ops.convert_to_numpy(causal_lm(inputs, training=False))


@pytest.mark.parametrize("lora", [False, True], ids=["", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_transformers(tmp_path, kind, lora):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    causal_lm = made(kind)
    if lora:
        causal_lm.backbone.enable_lora(2)
        for variable in causal_lm.backbone.trainable_variables:
            if "lora" in variable.path:
                noise = np.random.default_rng(1).normal(size=variable.shape)
                variable.assign(0.3 * noise)
        with pytest.raises(ValueError, match="merge_lora=True"):
            hugging_face.save(causal_lm, tmp_path)
    hugging_face.save(causal_lm, tmp_path, merge_lora=lora)
    loaded, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    ids = np.random.default_rng(0).integers(4, WORDS, (2, 13))
    with torch.no_grad():
        theirs = loaded.eval()(torch.tensor(ids)).logits.numpy()
    ours = logits(causal_lm, ids.astype("int32"))
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_keras_hub_loads_what_was_written(tmp_path):
    causal_lm = made("gemma2")
    hugging_face.save(causal_lm, tmp_path)
    loaded = keras_hub.models.CausalLM.from_preset(str(tmp_path))
    ids = np.arange(4, 13, dtype="int32")[None]
    np.testing.assert_allclose(
        logits(loaded, ids), logits(causal_lm, ids), atol=1e-5
    )


def test_tokens_and_prompts_are_ours(tmp_path):
    transformers = pytest.importorskip("transformers")
    causal_lm = made("gemma1-multi-query")
    hugging_face.save(causal_lm, tmp_path, generation={"temperature": 0.1})
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    codec = Codec(causal_lm.preprocessor.tokenizer)
    text = "the old garden\n  2020, Größe 你好"
    assert theirs(text)["input_ids"] == codec.encode_prompt(text)
    turns = [{"role": "user", "content": text}]
    prompt = theirs.apply_chat_template(turns, tokenize=False)
    assert prompt == "<bos>" + text
    found = json.loads((tmp_path / "generation_config.json").read_text())
    assert found == {
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "temperature": 0.1,
    }
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["GemmaForCausalLM"]
    assert not list(tmp_path.glob("*.bin"))


def test_bfloat16_weights_stay_as_they_are(tmp_path):
    causal_lm = made("gemma1-multi-head", dtype="bfloat16")
    hugging_face.save(causal_lm, tmp_path)
    loaded = keras_hub.models.CausalLM.from_preset(
        str(tmp_path), dtype="bfloat16"
    )
    pairs = zip(causal_lm.weights, loaded.weights, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(
            *(ops.convert_to_numpy(w).view("uint16") for w in (ours, theirs))
        )
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["torch_dtype"] == "bfloat16"


def test_what_these_files_can_not_hold_is_refused(tmp_path):
    half = gemmas.gemma1(use_post_ffw_norm=True)
    with pytest.raises(ValueError, match="norms after both parts"):
        hugging_face.config_of(half)
    causal_lm = made("gemma1-multi-query")
    causal_lm.backbone.quantize("int8")
    with pytest.raises(ValueError, match="Quantized weights"):
        hugging_face.save(causal_lm, tmp_path)
    assert not list(tmp_path.iterdir())
