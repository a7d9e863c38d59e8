"""The engine gives what the stock model gives, however work is grouped."""

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg import backend
from keras_restpg.model import batching
from keras_restpg.model.engine import Sampling, SamplingEngine
from tests.model import gemmas, vocabulary

pytestmark = pytest.mark.backend

PROMPTS = [
    "the old garden",
    "a letter from the quiet river",
    "my train",
    "this warm question and your answer, but so near",
]
GREEDY = Sampling(temperature=0.0)


@pytest.fixture(scope="module")
def causal_lm():
    """A Gemma whose words differ enough for outputs of unequal lengths."""
    lm = vocabulary.causal_lm()
    gemmas.roughen(lm.backbone)
    table = lm.backbone.token_embedding.embeddings
    table.assign(table * 4.0)
    return lm


@pytest.fixture(scope="module")
def engine(causal_lm):
    return SamplingEngine(causal_lm, 64, 16)


def stock(causal_lm, prompt, new):
    """KerasHub's own greedy output of one prompt, as token ids."""
    ids = np.zeros((1, len(prompt) + new), "int32")
    ids[0, : len(prompt)] = prompt
    mask = np.zeros_like(ids)
    mask[0, : len(prompt)] = 1
    causal_lm.compile(sampler="greedy")
    preprocessor, causal_lm.preprocessor = causal_lm.preprocessor, None
    inputs = {"token_ids": ids, "padding_mask": mask}
    try:
        out = causal_lm.generate(inputs, stop_token_ids=None)
    finally:
        causal_lm.preprocessor = preprocessor
    return ops.convert_to_numpy(out["token_ids"])[0, len(prompt) :].tolist()


def stock_forward(causal_lm, prompt, new):
    """As `stock`, the whole sequence read anew for each token."""
    ids = np.zeros((1, len(prompt) + new), "int32")
    ids[0, : len(prompt)] = prompt
    backbone = causal_lm.backbone

    def run(ids, mask):
        hidden = backbone({"token_ids": ids, "padding_mask": mask})
        return backbone.token_embedding(hidden, reverse=True)

    run = backend.compiled(run, backbone.variables)
    for place in range(len(prompt), len(prompt) + new):
        mask = np.arange(ids.shape[1])[None] < place
        logits = run(
            ops.convert_to_tensor(ids),
            ops.convert_to_tensor(mask.astype("int32")),
        )
        ids[0, place] = ops.convert_to_numpy(logits)[0, place - 1].argmax()
    return ids[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", gemmas.KINDS)
def test_greedy_equals_stock_generate(kind):
    backbone = gemmas.KINDS[kind]()
    lm = gemmas.causal_lm(backbone)
    engine = SamplingEngine(lm, 16, 8, codec=Codeless())
    rng = np.random.default_rng(0)
    prompts = [rng.integers(4, gemmas.VOCABULARY, n).tolist() for n in (9, 5)]
    outputs = engine.sample(prompts, GREEDY)
    # KerasHub's Gemma 3 does not generate from token ids alone.
    expected = stock_forward if kind == "gemma3" else stock
    for prompt, (output,) in zip(prompts, outputs, strict=True):
        assert list(output.token_ids) == expected(lm, prompt, 8)
        assert not output.finished


class Codeless:
    """Token ids in, token ids out; nothing ends an output."""

    stop_ids, pad_id = (), 0

    def decode(self, token_ids):
        return ""


def draw(engine, prompts, keys, **options):
    sampling = Sampling(**{"num_samples": 4, "temperature": 1.0} | options)
    return dict(zip(keys, engine.sample(prompts, sampling, keys), strict=True))


def test_prompts_of_a_group_may_be_read_one_by_one(engine, monkeypatch):
    keys = list("abcd")
    together = draw(engine, PROMPTS, keys)
    monkeypatch.setattr(batching, "_READ", 1)
    apart = draw(engine, PROMPTS, keys)
    for key in keys:
        for one, other in zip(together[key], apart[key], strict=True):
            assert one.token_ids == other.token_ids
            np.testing.assert_allclose(one.log_prob, other.log_prob, 1e-4)


def test_a_sample_does_not_depend_on_the_group_it_shared(causal_lm, engine):
    keys = list("abcd")
    together = draw(engine, PROMPTS, keys)
    texts = {key: [g.token_ids for g in row] for key, row in together.items()}
    alone = draw(engine, PROMPTS[1:2], ["b"])
    assert [g.token_ids for g in alone["b"]] == texts["b"]
    turned = draw(engine, PROMPTS[::-1], keys[::-1])
    assert {k: [g.token_ids for g in v] for k, v in turned.items()} == texts
    small = SamplingEngine(causal_lm, 64, 16, max_rows=2)
    parts = draw(small, PROMPTS, keys)
    assert {k: [g.token_ids for g in v] for k, v in parts.items()} == texts
    # More samples leave the first ones as they are.
    more = draw(engine, PROMPTS, keys, num_samples=6)
    assert [g.token_ids for g in more["a"][:4]] == texts["a"]


def test_seed_key_and_number_change_a_sample(engine):
    rows = [
        draw(engine, PROMPTS[:1], ["a"], seed=seed)["a"] for seed in ("0", "1")
    ]
    other = draw(engine, PROMPTS[:1], ["z"])["z"]
    texts = [tuple(g.token_ids for g in row) for row in (*rows, other)]
    assert len(set(texts)) == 3
    assert len(set(texts[0])) > 1


def test_outputs_end_at_different_lengths_and_say_so(engine):
    keys = [str(i) for i in range(4)]
    found = draw(engine, PROMPTS, keys, num_samples=16, temperature=1.5)
    generations = [g for row in found.values() for g in row]
    end = engine.codec.stop_ids
    for each in generations:
        assert each.finished == (each.token_ids[-1] in end)
        assert each.finished or len(each.token_ids) == 16
        assert not set(each.token_ids[:-1]) & set(end)
        assert each.text == engine.codec.decode(each.token_ids)
    assert 0 < sum(g.finished for g in generations) < len(generations)


def test_log_probabilities_are_the_stock_models(causal_lm, engine):
    prompt = engine.codec.encode_prompt(PROMPTS[0])
    for each in engine.sample([prompt], Sampling(3, 1.0, top_p=1.0))[0]:
        ids = np.array([[*prompt, *each.token_ids]], "int32")
        inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
        logits = ops.convert_to_numpy(causal_lm(inputs))[0, len(prompt) - 1 :]
        logits = logits[:-1].astype("float64")
        top = logits.max(axis=-1, keepdims=True)
        norms = np.log(np.exp(logits - top).sum(axis=-1)) + top[:, 0]
        places = np.arange(len(each.token_ids))
        expected = (logits[places, list(each.token_ids)] - norms).sum()
        assert each.log_prob == pytest.approx(expected, abs=1e-3)


def test_new_weights_give_new_outputs_with_no_new_decoder(causal_lm, engine):
    before = engine.sample(PROMPTS[:1], GREEDY)[0][0]
    decoders = dict(engine._decoders)
    norm = causal_lm.backbone.trainable_variables[-1]
    table = causal_lm.backbone.token_embedding.embeddings
    old = np.array(ops.convert_to_numpy(table.value))
    try:
        table.assign(np.roll(old, 1, axis=0))
        after = engine.sample(PROMPTS[:1], GREEDY)[0][0]
    finally:
        table.assign(old)
    assert norm is not None and after.token_ids != before.token_ids
    assert engine._decoders == decoders
    assert engine.sample(PROMPTS[:1], GREEDY)[0][0] == before


def test_new_layers_are_seen_by_an_engine_that_ran_before():
    lm = vocabulary.causal_lm()
    engine = SamplingEngine(lm, 64, 4)
    engine.sample(PROMPTS[:1], GREEDY)
    lm.backbone.enable_lora(2)
    for variable in lm.backbone.trainable_variables:
        if "lora" in variable.path:
            value = np.random.default_rng(1).normal(size=variable.shape)
            variable.assign(value)
    other = SamplingEngine(lm, 64, 4).sample(PROMPTS[:1], GREEDY)
    assert engine.sample(PROMPTS[:1], GREEDY) == other


def test_rows_of_a_growing_cache_are_those_of_a_whole_one(causal_lm):
    """140 tokens need two stages of the cache; a row may end in any."""
    engine = SamplingEngine(causal_lm, 64, 140)
    found = draw(engine, PROMPTS, list("abcd"), num_samples=3)
    alone = draw(engine, PROMPTS[2:3], ["c"], num_samples=3)
    for ours, theirs in zip(alone["c"], found["c"], strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.log_prob == pytest.approx(theirs.log_prob, abs=1e-3)
    assert any(len(g.token_ids) > 128 for row in found.values() for g in row)


def test_a_prompt_is_read_once_for_all_parts_of_its_samples(causal_lm):
    engine = SamplingEngine(causal_lm, 64, 8, max_rows=2)
    decoder, reads = engine._decoder(0), []
    prefill = decoder.prefill
    decoder.prefill = lambda *args: reads.append(args) or prefill(*args)
    rows = engine.sample(PROMPTS[:1], Sampling(5, 1.0))
    assert len(rows[0]) == 5 and len(reads) == 1


def test_prompts_that_do_not_fit_are_refused(engine):
    with pytest.raises(ValueError, match="1 to 64 tokens"):
        engine.sample(["the old garden " * 40], GREEDY)
    with pytest.raises(ValueError, match="num_samples"):
        Sampling(num_samples=0)
    with pytest.raises(ValueError, match="top_p"):
        Sampling(top_p=0.0)
    with pytest.raises(ValueError, match="temperature"):
        Sampling(temperature=-1.0)


def test_other_families_go_through_their_own_generate():
    tokenizer = vocabulary.tokenizer()
    backbone = keras_hub.models.MistralBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=1,
        num_query_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        num_key_value_heads=1,
    )
    lm = keras_hub.models.MistralCausalLM(backbone=backbone)
    with pytest.warns(UserWarning, match="is no Gemma"):
        engine = SamplingEngine(lm, 64, 4, codec=engine_codec(tokenizer))
    (row,) = engine.sample(PROMPTS[:1], Sampling(2, 0.7))
    assert len(row) == 2 and all(1 <= len(g.token_ids) <= 4 for g in row)
    assert all(g.log_prob < 0 for g in row)


def test_a_gemma_3_that_sees_writes_as_one_that_does_not():
    """Here with the same weights, but for those that see."""
    codec = engine_codec(vocabulary.tokenizer())
    options = {"vocabulary_size": vocabulary.tokenizer().vocabulary_size()}
    plain = gemmas.gemma3(**options)
    sees = gemmas.gemma3(vision_encoder=gemmas.vision_encoder(), **options)
    for layer in plain.layers:
        sees.get_layer(layer.name).set_weights(layer.get_weights())
    written = [
        SamplingEngine(gemmas.causal_lm(each), 64, 8, codec=codec).sample(
            PROMPTS[:2], GREEDY
        )
        for each in (plain, sees)
    ]
    assert written[0] == written[1]


def engine_codec(tokenizer):
    from keras_restpg.model.text import Codec

    return Codec(tokenizer)
