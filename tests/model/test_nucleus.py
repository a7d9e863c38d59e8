"""The sampled words follow the exact nucleus, found by a sort in NumPy."""

import numpy as np
import pytest
from keras import ops
from scipy import stats

from keras_restpg import backend
from keras_restpg.model import nucleus

pytestmark = pytest.mark.backend

ROWS = 4000


def exact(logits, temperature, top_p, top_k=0):
    """Probabilities of the nucleus of one row, in float64."""
    scaled = np.asarray(logits, "float64") / temperature
    p = np.exp(scaled - scaled.max())
    p /= p.sum()
    if top_k:
        p[p < np.sort(p)[-top_k]] = 0
        p /= p.sum()
    order = np.argsort(-p, kind="stable")
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= top_p]] = 0
    return p / p.sum()


def draw(logits, temperature, top_p, top_k=0, rows=ROWS, seed=0):
    rng = np.random.default_rng(seed)
    uniforms = rng.random((rows, nucleus.rounds(top_p)), dtype="float32")
    logits = np.broadcast_to(np.asarray(logits, "float32"), (rows, len(logits)))

    def run(logits, uniforms):
        return nucleus.sample(logits, uniforms, temperature, top_p, top_k)

    out = backend.compiled(run, [])(
        ops.convert_to_tensor(logits), ops.convert_to_tensor(uniforms)
    )
    return ops.convert_to_numpy(out)


@pytest.mark.parametrize(
    "vocabulary, temperature, top_p, top_k",
    [
        (40, 1.0, 0.95, 0),
        (40, 0.7, 0.95, 0),
        (40, 1.0, 0.5, 0),
        (600, 1.5, 0.1, 0),
        (1500, 1.0, 0.9, 0),
        (1500, 1.0, 1.0, 0),
        (40, 1.0, 0.8, 6),
    ],
)
def test_distribution(vocabulary, temperature, top_p, top_k):
    logits = np.random.default_rng(1).normal(size=vocabulary) * 2
    expected = exact(logits, temperature, top_p, top_k)
    words = draw(logits, temperature, top_p, top_k)
    counts = np.bincount(words, minlength=vocabulary)
    assert counts[expected == 0].sum() == 0
    # Cells of few expected draws are joined, as the test requires.
    order = np.argsort(-expected)
    cells, seen, want = [], 0, 0.0
    for word in order[expected[order] > 0]:
        seen, want = seen + counts[word], want + expected[word] * ROWS
        if want >= 8:
            cells.append((seen, want))
            seen, want = 0, 0.0
    if want:
        cells[-1] = (cells[-1][0] + seen, cells[-1][1] + want)
    if len(cells) > 1:
        observed, wanted = np.array(cells).T
        assert stats.chisquare(observed, wanted).pvalue > 1e-3


def test_flat_distribution_over_a_large_vocabulary():
    vocabulary = 256_000
    logits = np.linspace(0, 1e-3, vocabulary)
    words = draw(logits, 1.0, 0.5, rows=64)
    assert words.min() >= vocabulary * 0.49
    assert len(set(words.tolist())) > 60


def test_one_word_holds_the_mass():
    logits = np.zeros(1000)
    logits[777] = 50.0
    assert (draw(logits, 1.0, 0.95, rows=50) == 777).all()


def test_masked_words_are_never_drawn():
    logits = np.zeros(700)
    logits[::2] = -np.inf
    assert (draw(logits, 1.0, 1.0, rows=500) % 2 == 1).all()


def test_top_k_of_one_is_argmax():
    logits = np.random.default_rng(2).normal(size=300)
    assert (draw(logits, 2.0, 1.0, top_k=1, rows=50) == logits.argmax()).all()


def test_a_row_does_not_depend_on_its_batch():
    logits = np.random.default_rng(3).normal(size=300)
    many, few = draw(logits, 1.0, 0.9, rows=50), draw(logits, 1.0, 0.9, rows=9)
    np.testing.assert_array_equal(many[:9], few)
