"""The loss of hidden states, against NumPy."""

import numpy as np
import pytest
from keras import ops

from keras_restpg.training import loss
from tests.model import gemmas

pytestmark = pytest.mark.backend

ROWS, HIDDEN = 13, 16


def arguments():
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(ROWS, HIDDEN)).astype("float32")
    targets = rng.integers(0, gemmas.VOCABULARY, ROWS).astype("int32")
    weights = rng.uniform(size=ROWS).astype("float32")
    mask = (np.arange(ROWS) % 4 != 3).astype("float32")
    return hidden, targets, weights * mask, mask


def expected(embedding, hidden, targets, weights, mask, cap=None):
    logits = hidden.astype("float64") @ embedding.astype("float64").T
    if cap is not None:
        logits = cap * np.tanh(logits / cap)
    nll = np.log(np.exp(logits).sum(-1)) - logits[np.arange(ROWS), targets]
    return [(weights * nll).sum(), (mask * nll).sum()]


def sums(backbone, arrays):
    tensors = [ops.convert_to_tensor(array) for array in arrays]
    return [
        float(ops.convert_to_numpy(ops.stop_gradient(value)))
        for value in loss.weighted_nll(backbone, *tensors)
    ]


# All in one chunk, in several with a ragged last one, a position in each.
@pytest.mark.parametrize("rows", [1000, 5, 1])
@pytest.mark.parametrize("cap", [None, 3.0])
def test_sums_equal_numpy(cap, rows, monkeypatch):
    monkeypatch.setattr(loss, "_CHUNK_BYTES", rows * 4 * gemmas.VOCABULARY)
    monkeypatch.setattr(loss, "_KEPT_BYTES", 0)
    backbone = gemmas.gemma1() if cap is None else gemmas.gemma2()
    embedding = ops.convert_to_numpy(backbone.token_embedding.embeddings)
    arrays = arguments()
    # Large enough for the soft cap to bend.
    arrays = (20 * arrays[0], *arrays[1:])
    np.testing.assert_allclose(
        sums(backbone, arrays), expected(embedding, *arrays, cap), rtol=2e-5
    )


def test_a_padded_position_may_hold_anything(monkeypatch):
    monkeypatch.setattr(loss, "_CHUNK_BYTES", 5 * 4 * gemmas.VOCABULARY)
    monkeypatch.setattr(loss, "_KEPT_BYTES", 0)
    backbone = gemmas.gemma1()
    hidden, targets, weights, mask = arguments()
    before = sums(backbone, (hidden, targets, weights, mask))
    hidden[mask == 0] = np.inf
    after = sums(backbone, (hidden, targets, weights, mask))
    assert after == pytest.approx(before)


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
