"""One step of training, against NumPy and against itself in other shapes."""

import functools
import warnings

import keras
import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg.training import batches, features, loss
from keras_restpg.training.model import RewardWeightedLM
from keras_restpg.training.optimizer import paper_optimizer
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


def one_layer(dtype="float32"):
    """The smallest Gemma that trains."""
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=gemmas.VOCABULARY,
        num_layers=1,
        num_query_heads=2,
        num_key_value_heads=1,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
        dtype=dtype,
    )
    return gemmas.roughen(backbone)


def trained(backbone, optimizer, steps=2, **options):
    """A model after a few steps on one batch, and its logs."""
    model = RewardWeightedLM(gemmas.causal_lm(backbone), **options)
    model.compile(optimizer=optimizer)
    return model, more(model, steps)


def more(model, steps=1):
    batch = batch_of(GROUPS)
    history = model.fit(
        ((b,) for b in [batch] * steps), steps_per_epoch=steps, verbose=0
    )
    return {name: values[0] for name, values in history.history.items()}


def values_of(variables):
    return [np.array(ops.convert_to_numpy(v), "float32") for v in variables]


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(1.0, momentum=0.9, global_clipnorm=0.5),
    "adam": lambda: "adam",
    "lion": lambda: keras.optimizers.Lion(1e-3),
    "muon": lambda: keras.optimizers.Muon(1e-2),
    "adafactor": lambda: paper_optimizer(0.01, 1, 10),
    "factor": lambda: keras.optimizers.SGD(1.0, loss_scale_factor=1024.0),
}


@functools.cache
def in_float32(name):
    """The weights before and after a step, and its logs."""
    backbone = one_layer()
    start = values_of(backbone.trainable_variables)
    _, logs = trained(backbone, OPTIMIZERS[name](), steps=1)
    return start, values_of(backbone.trainable_variables), logs


@functools.cache
def plain_gradients():
    return list(step(one_layer(), batch_of(GROUPS))[0].values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_that_of_the_optimizer_itself(name):
    start, end, logs = in_float32(name)
    gradients = plain_gradients()
    total = np.sqrt(sum((g**2).sum() for g in gradients))
    assert logs["grad_norm"] == pytest.approx(total, rel=1e-4)
    # Muon tells embeddings by their name.
    names = [v.name for v in one_layer().trainable_variables]
    variables = [
        keras.Variable(value, name=name)
        for name, value in zip(names, start, strict=True)
    ]
    optimizer = keras.optimizers.get(OPTIMIZERS[name]())
    factor = optimizer.loss_scale_factor or 1.0
    optimizer.apply(
        [ops.convert_to_tensor(factor * g) for g in gradients], variables
    )
    for ours, stock in zip(end, values_of(variables), strict=True):
        # Where a gradient is 0 but for rounding, signs of it differ.
        assert (np.abs(ours - stock) > 1e-4).mean() < 0.02


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("sgd", "mixed_float16"),
        ("adam", "mixed_float16"),
        ("muon", "mixed_float16"),
        ("adafactor", "mixed_float16"),
        ("adafactor", "mixed_bfloat16"),
    ],
)
def test_a_step_in_mixed_precision_is_that_in_float32(name, precision):
    start, exact, logs = in_float32(name)
    backbone = one_layer(dtype=precision)
    model, other = trained(backbone, OPTIMIZERS[name](), steps=1)
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert other["skipped"] == logs["skipped"] == 0
    for key in ("loss", "grad_norm"):
        assert other[key] == pytest.approx(logs[key], rel=0.02), key
    rough = values_of(backbone.trainable_variables)
    moves = [
        np.concatenate([(a - b).ravel() for a, b in zip(v, start, strict=True)])
        for v in (exact, rough)
    ]
    assert angle(*moves) > 0.9
    sizes = [np.linalg.norm(move) for move in moves]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.05)


def test_a_step_that_overflows_halves_the_scale():
    scaled = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1.0), initial_scale=2.0**70
    )
    backbone = one_layer()
    start = values_of(backbone.trainable_variables)
    model, logs = trained(backbone, scaled, steps=1)
    assert logs["skipped"] == 1
    assert float(ops.convert_to_numpy(scaled.dynamic_scale)) == 2.0**69
    for got, value in zip(
        values_of(backbone.trainable_variables), start, strict=True
    ):
        np.testing.assert_array_equal(got, value)
    # It comes down until a step is taken.
    logs = more(model, 20)
    assert 0 < logs["skipped"] < 20 and np.isfinite(logs["grad_norm"])


@pytest.mark.parametrize("kind", ["lora", "frozen"])
def test_what_is_trained_may_change_between_compile_and_fit(kind):
    def change(backbone):
        if kind == "lora":
            with_lora(backbone)
        else:
            backbone.token_embedding.trainable = False

    before, after = one_layer(), one_layer()
    change(before)
    trained(before, "adam", steps=1)
    model = RewardWeightedLM(gemmas.causal_lm(after))
    model.compile(optimizer="adam")
    change(after)
    more(model)
    for a, b in zip(
        values_of(before.variables), values_of(after.variables), strict=True
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_what_is_trained_may_not_change_after_a_step():
    model, _ = trained(one_layer(), "adam", steps=1)
    model.causal_lm.backbone.enable_lora(2)
    with pytest.raises(ValueError, match="call `compile` again with a new"):
        more(model)
    with pytest.raises(ValueError, match="call `compile` again with a new"):
        model.train_on_batch(batch_of(GROUPS))
    model.compile(optimizer="adam")
    assert more(model)["skipped"] == 0


def test_nothing_to_train_is_refused():
    model = RewardWeightedLM(gemmas.causal_lm(one_layer()))
    model.compile(optimizer="adam")
    model.causal_lm.backbone.trainable = False
    with pytest.raises(ValueError, match="No weight is trainable"):
        more(model)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("whole", [False, True])
def test_an_int8_model_trains_lora_and_only_that(whole):
    causal_lm = gemmas.causal_lm(one_layer())
    (causal_lm if whole else causal_lm.backbone).quantize("int8")
    model = RewardWeightedLM(causal_lm)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    with pytest.raises(ValueError, match="would not learn. Call `causal_lm.b"):
        more(model)
    with_lora(causal_lm.backbone)
    first = more(model, 1)
    assert more(model, 3)["loss"] < first["loss"]


@pytest.mark.parametrize("rate", [5e-6, 0.01])
def test_steps_that_bfloat16_rounds_away_are_warned_of(rate):
    model = RewardWeightedLM(gemmas.causal_lm(one_layer("bfloat16")))
    model.compile(optimizer=paper_optimizer(rate))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        more(model)
        more(model)
    advice = [c for c in caught if "dtype='mixed_bfloat16'" in str(c.message)]
    assert len(advice) == (rate == 5e-6)


SAVED = {
    "float32": one_layer,
    "mixed_float16": lambda: one_layer("mixed_float16"),
    "frozen": lambda: frozen(one_layer()),
}


def frozen(backbone):
    backbone.token_embedding.trainable = False
    return backbone


@pytest.mark.parametrize("kind", SAVED)
def test_a_saved_model_goes_on_as_if_it_had_not_stopped(kind, tmp_path):
    model, _ = trained(SAVED[kind](), keras.optimizers.Adam(0.01), steps=2)
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Skipping variable loading")
        warnings.filterwarnings("error", ".*was not called as part of")
        again = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(
        values_of(again.optimizer.variables),
        values_of(model.optimizer.variables),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    logs, other = more(model, 2), more(again, 2)
    assert other["loss"] == pytest.approx(logs["loss"], rel=1e-5)
    for a, b in zip(
        values_of(again.trainable_variables),
        values_of(model.trainable_variables),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for layer, same in zip(
        again.causal_lm.backbone._flatten_layers(),
        model.causal_lm.backbone._flatten_layers(),
        strict=True,
    ):
        assert layer.trainable == same.trainable


def test_a_model_with_lora_is_not_saved_as_if_it_could_go_on(tmp_path):
    model = RewardWeightedLM(gemmas.causal_lm(with_lora(one_layer())))
    model.compile(optimizer="adam")
    with pytest.raises(ValueError, match="Keras merges LoRA weights"):
        model.save(tmp_path / "model.keras")


def test_a_model_saved_before_its_first_step_loads(tmp_path):
    model = RewardWeightedLM(gemmas.causal_lm(one_layer()))
    model.compile(optimizer="adam")
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Skipping variable loading")
        again = keras.saving.load_model(tmp_path / "model.keras")
    assert more(again)["loss"] == pytest.approx(more(model)["loss"], rel=1e-5)


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
    # There is no gradient, and nothing to skip.
    assert set(logs) == {"loss", "nll", "tokens", "reward"}


def test_bad_arguments_are_refused():
    lm = gemmas.causal_lm(gemmas.gemma1())
    with pytest.raises(ValueError, match="normalization must be one of"):
        RewardWeightedLM(lm, normalization="mean")
    for wrong in ({"loss": "mse"}, {"metrics": ["accuracy"]}):
        with pytest.raises(ValueError, match="has its own loss and metrics"):
            RewardWeightedLM(lm).compile(**wrong)
    for optimizer in (
        keras.optimizers.SGD(1.0, gradient_accumulation_steps=2),
        keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
        ),
    ):
        with pytest.raises(ValueError, match="take a larger `batch_size`"):
            RewardWeightedLM(lm).compile(optimizer)
    model = RewardWeightedLM(lm)
    model.compile(optimizer=None)
    with pytest.raises(ValueError, match="no optimizer to train with"):
        more(model)
    sees = gemmas.gemma3(vision_encoder=gemmas.vision_encoder())
    with pytest.raises(ValueError, match="Gemma3Backbone with a vision"):
        RewardWeightedLM(gemmas.causal_lm(sees))
    with pytest.raises(ValueError, match="lacks 'prompt_ids'"):
        RewardWeightedLM(lm).draw(({"token_ids": 1},))
