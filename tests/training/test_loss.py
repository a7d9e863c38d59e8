"""The loss of hidden states, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_restpg.model import prefix
from keras_restpg.training import loss
from tests.backend.gradients import gradients_of
from tests.model import gemmas

pytestmark = pytest.mark.backend

SHAPE, HIDDEN = (2, 7), 16


def arguments():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(*SHAPE, HIDDEN)).astype("float32")
    targets = rng.integers(0, gemmas.VOCABULARY, SHAPE).astype("int32")
    weights = rng.uniform(size=SHAPE).astype("float32")
    mask = (np.arange(14).reshape(SHAPE) % 4 != 3).astype("float32")
    return hidden, targets, weights * mask, mask


def expected(embedding, hidden, targets, weights, mask, cap=None):
    logits = hidden.astype("float64") @ embedding.astype("float64").T
    if cap is not None:
        logits = cap * np.tanh(logits / cap)
    chosen = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
    nll = np.log(np.exp(logits).sum(-1)) - chosen
    return [(weights * nll).sum(), (mask * nll).sum()]


def chunks_of(places, monkeypatch):
    size = SHAPE[0] * places * 4 * gemmas.VOCABULARY
    monkeypatch.setattr(loss, "_CHUNK_BYTES", size)


def sums(backbone, arrays):
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return [
        float(ops.convert_to_numpy(ops.stop_gradient(value)))
        for value in loss.weighted_nll(backbone, *tensors)
    ]


# All in one chunk, in several with a ragged last one, a position in each.
@pytest.mark.parametrize("places", [1000, 3, 1])
@pytest.mark.parametrize("cap", [None, 3.0])
def test_sums_equal_numpy(cap, places, monkeypatch):
    chunks_of(places, monkeypatch)
    backbone = gemmas.gemma1() if cap is None else gemmas.gemma2()
    embedding = ops.convert_to_numpy(backbone.token_embedding.embeddings)
    arrays = arguments()
    # Large enough for the soft cap to bend.
    arrays = (20 * arrays[0], *arrays[1:])
    np.testing.assert_allclose(
        sums(backbone, arrays), expected(embedding, *arrays, cap), rtol=2e-5
    )


# Gemma 1; a soft cap; LoRA in the embeddings; embeddings that are fixed; in
# bfloat16 and in integers.
MODELS = {
    "gemma1": gemmas.gemma1,
    "gemma2": gemmas.gemma2,
    "lora": lambda: changed(lambda each: each.enable_lora(2)),
    "frozen": lambda: changed(lambda each: setattr(each, "trainable", False)),
}


def changed(change):
    backbone = gemmas.gemma1()
    change(backbone.token_embedding)
    return backbone


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("places", [1000, 3])
def test_gradients_equal_those_of_plain_logits(kind, places, monkeypatch):
    chunks_of(places, monkeypatch)
    backbone = MODELS[kind]()
    hidden, *others = arguments()
    others = [ops.convert_to_tensor(array) for array in others]

    def ours(hidden):
        return loss.weighted_nll(backbone, hidden, *others)[0]

    def plain(hidden):
        targets, weights, _ = others
        logits = prefix.logits(backbone, hidden)
        chosen = ops.take_along_axis(logits, targets[..., None], axis=-1)
        nll = ops.logsumexp(logits, axis=-1) - chosen[..., 0]
        return ops.sum(weights * nll)

    # Large enough for the soft cap to bend.
    variables = backbone.token_embedding.trainable_variables
    found = gradients_of(ours, 20 * hidden, variables)
    expected = gradients_of(plain, 20 * hidden, variables)
    assert len(found) == 2 + {"lora": 2, "frozen": 0}.get(kind, 1)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_a_padded_position_may_hold_anything(monkeypatch):
    chunks_of(3, monkeypatch)
    backbone = gemmas.gemma1()
    hidden, targets, weights, mask = arguments()
    before = sums(backbone, (hidden, targets, weights, mask))
    hidden[mask == 0] = np.inf
    after = sums(backbone, (hidden, targets, weights, mask))
    assert after == pytest.approx(before)
    tensors = [
        ops.convert_to_tensor(array) for array in (targets, weights, mask)
    ]
    for each in gradients_of(
        lambda hidden: loss.weighted_nll(backbone, hidden, *tensors)[0],
        hidden,
        backbone.token_embedding.trainable_variables,
    ):
        assert np.isfinite(each).all()


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
@pytest.mark.parametrize("kind", ["gemma1-multi-query", "gemma2"])
def test_a_quantised_embedding_gives_about_the_same_sums(kind):
    backbone = gemmas.KINDS[kind]()
    exact = sums(backbone, arguments())
    backbone.quantize("int8")
    assert sums(backbone, arguments()) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(
    ("normalization", "first", "second"),
    [
        ("tokens", 0.5 / 5, 1.0 / 5),
        ("sequence", 0.5 / 2 / 2, 1.0 / 3 / 2),
        ("weight", 0.5 / 4, 1.0 / 4),
    ],
)
def test_token_weights(normalization, first, second):
    rewards = ops.convert_to_tensor(np.array([0.5, 1.0, 0.0], "float32"))
    lengths = ops.convert_to_tensor(np.array([2, 3, 0], "int32"))
    weights = loss.token_weights(rewards, lengths, 4, normalization)
    np.testing.assert_allclose(
        ops.convert_to_numpy(weights),
        [[first] * 2 + [0] * 2, [second] * 3 + [0], [0] * 4],
        rtol=1e-6,
    )


def test_an_unknown_normalization_is_refused():
    with pytest.raises(ValueError, match="must be one of .* Received: 'mean'"):
        loss.token_weights(None, None, 4, "mean")
