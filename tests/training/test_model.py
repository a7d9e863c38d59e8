"""One step of training, against NumPy and against itself in other shapes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_restpg.training import batches, features, loss
from keras_restpg.training.model import RewardWeightedLM
from tests.model import gemmas
from tests.training import reference

pytestmark = pytest.mark.backend

RNG = np.random.default_rng(0)


def words(length):
    return tuple(RNG.integers(1, gemmas.VOCABULARY, length).tolist())


GROUPS = [
    features.Tokens(words(7), (words(3), words(5)), (1.0, 0.3)),
    features.Tokens(words(4), (words(1),), (0.7,)),
    features.Tokens(words(12), (words(4), words(2), words(6)), (1.0, 0.5, 0.9)),
]
APART = [
    features.Tokens(group.prompt, (output,), (reward,))
    for group in GROUPS
    for output, reward in zip(group.outputs, group.rewards, strict=True)
]

FAMILIES = {"1": gemmas.gemma1, "2": gemmas.gemma2, "3": gemmas.gemma3}


def batch_of(groups, micro=None):
    """All groups as one batch, in micro-batches of `micro` prompts."""
    micro = micro or len(groups)
    width = max(len(group.outputs) for group in groups)
    size = (-(-len(groups) // micro), micro, 16, width, 8)
    return batches.arrays(size, groups)


def step(backbone, batch, **options):
    """Gradients by variable path, from the update of SGD, and the logs."""
    start = [ops.convert_to_numpy(v) for v in backbone.trainable_variables]
    model = RewardWeightedLM(gemmas.causal_lm(backbone), **options)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    history = model.fit(
        ((b,) for b in [batch]), steps_per_epoch=1, epochs=1, verbose=0
    )
    end = [ops.convert_to_numpy(v) for v in backbone.trainable_variables]
    for variable, value in zip(
        backbone.trainable_variables, start, strict=True
    ):
        variable.assign(value)
    gradients = {
        variable.path: a - b
        for variable, a, b in zip(
            backbone.trainable_variables, start, end, strict=True
        )
    }
    return gradients, {k: v[0] for k, v in history.history.items()}


def assert_same(got, expected, scale=1.0):
    for path, value in expected.items():
        np.testing.assert_allclose(
            got[path], scale * value, atol=2e-5, err_msg=path
        )


@pytest.mark.parametrize("normalization", ["tokens", "sequence", "weight"])
def test_loss_and_gradient_equal_numpy(normalization):
    backbone = gemmas.gemma1(kv_heads=2)
    gradients, logs = step(
        backbone, batch_of(GROUPS), normalization=normalization
    )
    variables = reference.weights_of(backbone)
    values = {
        name: np.array(ops.convert_to_numpy(v), "float64")
        for name, v in variables.items()
    }
    sequences = [(item.prompt, item.outputs[0]) for item in APART]
    rewards = [item.rewards[0] for item in APART]

    def value(values):
        return reference.loss(values, 2, sequences, rewards, normalization)

    assert logs["loss"] == pytest.approx(value(values), rel=1e-5)
    rng = np.random.default_rng(1)
    for name, variable in variables.items():
        direction = rng.normal(size=variable.shape)
        ahead, behind = dict(values), dict(values)
        ahead[name] = values[name] + 1e-5 * direction
        behind[name] = values[name] - 1e-5 * direction
        slope = (value(ahead) - value(behind)) / 2e-5
        got = (gradients[variable.path] * direction).sum()
        assert got == pytest.approx(slope, rel=1e-3, abs=2e-5), name


@pytest.mark.parametrize("kind", gemmas.KINDS)
def test_shared_prompt_equals_separate_sequences(kind):
    backbone = gemmas.KINDS[kind]()
    shared, logs = step(backbone, batch_of(GROUPS))
    separate, other = step(backbone, batch_of(APART))
    assert_same(shared, separate)
    assert logs["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert logs["tokens"] == other["tokens"] == 21
    assert logs["reward"] == pytest.approx(4.4 / 6)


@pytest.mark.parametrize(
    ("kind", "sizes"), [("1", [4]), ("2", [1, 2, 5]), ("3", [4])]
)
def test_micro_batches_give_the_same_update(kind, sizes):
    backbone = FAMILIES[kind]()
    whole, _ = step(backbone, batch_of(APART))
    for prompts in sizes:
        batch = batch_of(APART, prompts)
        assert batch["prompt_ids"].shape[1] == prompts
        assert_same(step(backbone, batch)[0], whole)


@pytest.mark.parametrize("kind", FAMILIES)
def test_recomputing_gives_the_same_update(kind):
    backbone = FAMILIES[kind]()
    plain, _ = step(backbone, batch_of(GROUPS))
    recomputed, _ = step(backbone, batch_of(GROUPS), recompute=True)
    assert_same(recomputed, plain)


@pytest.mark.parametrize("micro", [1, 3])
def test_chunks_of_the_loss_give_the_same_update(micro, monkeypatch):
    backbone = gemmas.gemma2()
    whole, _ = step(backbone, batch_of(GROUPS, micro))
    monkeypatch.setattr(loss, "_CHUNK_BYTES", 5 * 4 * gemmas.VOCABULARY)
    monkeypatch.setattr(loss, "_KEPT_BYTES", 0)
    chunks, _ = step(backbone, batch_of(GROUPS, micro))
    assert_same(chunks, whole)


def test_prompts_of_one_token():
    groups = [
        features.Tokens(words(1), group.outputs, group.rewards)
        for group in GROUPS[:2]
    ]
    apart = [
        features.Tokens(group.prompt, (output,), (reward,))
        for group in groups
        for output, reward in zip(group.outputs, group.rewards, strict=True)
    ]
    backbone = gemmas.gemma2()
    shared, logs = step(backbone, batch_of(groups))
    assert np.isfinite(logs["loss"]) and logs["skipped"] == 0
    assert_same(step(backbone, batch_of(apart))[0], shared)


def test_mixed_bfloat16_trains_float32_variables():
    exact, logs = step(gemmas.gemma2(), batch_of(GROUPS))
    backbone = gemmas.gemma2(dtype="mixed_bfloat16")
    rough, other = step(backbone, batch_of(GROUPS, 1))
    assert all(v.dtype == "float32" for v in backbone.trainable_variables)
    assert other["loss"] == pytest.approx(logs["loss"], rel=0.01)
    for name, value in by_place(exact).items():
        assert angle(by_place(rough)[name], value) > 0.99, name


def test_frozen_embeddings_leave_the_other_gradients(monkeypatch):
    monkeypatch.setattr(loss, "_CHUNK_BYTES", 5 * 4 * gemmas.VOCABULARY)
    monkeypatch.setattr(loss, "_KEPT_BYTES", 0)
    backbone = gemmas.gemma1()
    all_gradients, _ = step(backbone, batch_of(GROUPS))
    embeddings = backbone.token_embedding.embeddings
    before = ops.convert_to_numpy(embeddings)
    backbone.token_embedding.trainable = False
    gradients, _ = step(backbone, batch_of(GROUPS))
    assert set(all_gradients) - set(gradients) == {embeddings.path}
    assert_same(gradients, {name: all_gradients[name] for name in gradients})
    np.testing.assert_array_equal(ops.convert_to_numpy(embeddings), before)


def test_padding_content_never_matters():
    backbone = gemmas.gemma1()
    batch = batch_of(GROUPS)
    junk = {name: array.copy() for name, array in batch.items()}
    length = batch["prompt_ids"].shape[-1]
    after = np.arange(length) >= batch["prompt_lengths"][..., None]
    junk["prompt_ids"][after] = 9
    places = batch["response_ids"].shape[-1]
    after = np.arange(places) >= batch["response_lengths"][..., None]
    junk["response_ids"][after] = 9
    assert_same(step(backbone, junk)[0], step(backbone, batch)[0])


def test_rewards_scale_gradients():
    backbone = gemmas.gemma1()
    batch = batch_of(GROUPS)
    once, _ = step(backbone, batch)
    twice, _ = step(backbone, {**batch, "rewards": 2 * batch["rewards"]})
    assert_same(twice, once, scale=2.0)
    none, _ = step(backbone, {**batch, "rewards": 0 * batch["rewards"]})
    assert all(not value.any() for value in none.values())


def test_lora_trains_only_its_weights():
    backbone = gemmas.gemma1()
    before = ops.convert_to_numpy(backbone.token_embedding.embeddings)
    backbone.enable_lora(2)
    gradients, _ = step(backbone, batch_of(GROUPS))
    assert all("lora" in path for path in gradients)
    assert any(value.any() for value in gradients.values())
    after = ops.convert_to_numpy(backbone.token_embedding.embeddings)
    np.testing.assert_array_equal(before, after)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_lora_on_int8_has_about_the_same_gradients(monkeypatch):
    monkeypatch.setattr(loss, "_CHUNK_BYTES", 5 * 4 * gemmas.VOCABULARY)
    monkeypatch.setattr(loss, "_KEPT_BYTES", 0)
    exact, logs = step(with_lora(gemmas.gemma2()), batch_of(GROUPS))
    backbone = gemmas.gemma2()
    backbone.quantize("int8")
    rough, other = step(with_lora(backbone), batch_of(GROUPS))
    assert all("lora" in name for name in rough)
    assert other["loss"] == pytest.approx(logs["loss"], rel=0.01)
    for name, value in by_place(exact).items():
        assert angle(by_place(rough)[name], value) > 0.95, name


def with_lora(backbone):
    """LoRA weights that are not zero: each of them has a gradient."""
    backbone.enable_lora(2)
    rng = np.random.default_rng(0)
    for variable in backbone.trainable_variables:
        variable.assign(0.1 * rng.normal(size=variable.shape))
    return backbone


def by_place(gradients):
    """Without the names of layers that differ from backbone to backbone."""
    return dict(enumerate(gradients.values()))


def angle(a, b):
    """The cosine of two arrays."""
    return (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)


def test_a_step_that_is_not_finite_is_skipped():
    backbone = gemmas.gemma1()
    scale = backbone.layer_norm.scale
    scale.assign(np.full(scale.shape, np.inf))
    gradients, logs = step(backbone, batch_of(GROUPS))
    assert logs["skipped"] == 1
    others = [v for p, v in gradients.items() if p != scale.path]
    assert all(not value.any() for value in others)


def test_evaluate_gives_the_loss_without_training():
    backbone = gemmas.gemma1()
    batch = batch_of(APART, 2)
    model = RewardWeightedLM(gemmas.causal_lm(backbone))
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    logs = model.evaluate(
        ((b,) for b in [batch]), steps=1, verbose=0, return_dict=True
    )
    _, trained = step(backbone, batch)
    assert logs["loss"] == pytest.approx(trained["loss"], rel=1e-5)
    assert logs["nll"] == pytest.approx(trained["nll"], rel=1e-5)


def test_bad_arguments_are_refused():
    lm = gemmas.causal_lm(gemmas.gemma1())
    with pytest.raises(ValueError, match="normalization must be one of"):
        RewardWeightedLM(lm, normalization="mean")
    with pytest.raises(ValueError, match="has its own loss"):
        RewardWeightedLM(lm).compile(loss="mse")
    sees = gemmas.gemma3(vision_encoder=gemmas.vision_encoder())
    with pytest.raises(ValueError, match="Gemma3Backbone with a vision"):
        RewardWeightedLM(gemmas.causal_lm(sees))
    with pytest.raises(ValueError, match="lacks 'prompt_ids'"):
        RewardWeightedLM(lm).draw(({"token_ids": 1},))
