"""The shared-prefix forward equals KerasHub's on the separate sequences."""

import numpy as np
import pytest
from keras import ops

from keras_restpg import backend as running
from keras_restpg.model import prefix
from tests.model import gemmas

pytestmark = pytest.mark.backend

PREFIX_LENGTHS = (9, 4)  # P = 2 prompts
ROW_LENGTHS = ((6, 3), (1, 5))  # R = 2 rows each


@pytest.fixture(params=gemmas.KINDS)
def backbone(request):
    return gemmas.KINDS[request.param]()


def sequences():
    rng = np.random.default_rng(0)
    draw = lambda n: rng.integers(1, gemmas.VOCABULARY, n)  # noqa: E731
    heads = [draw(n) for n in PREFIX_LENGTHS]
    tails = [[draw(n) for n in lengths] for lengths in ROW_LENGTHS]
    return heads, tails


def padded(rows, length, start=None):
    """Token ids, positions and mask (P, R, T) of nested lists of rows."""
    shape = (len(rows), len(rows[0]), length)
    ids, mask = np.zeros(shape, "int32"), np.zeros(shape, bool)
    for p, group in enumerate(rows):
        for r, row in enumerate(group):
            ids[p, r, : len(row)] = row
            mask[p, r, : len(row)] = True
    start = np.zeros(len(rows), int) if start is None else np.array(start)
    positions = start[:, None, None] + np.arange(length)[None, None]
    positions = np.broadcast_to(positions, shape).astype("int32")
    return (
        ops.convert_to_tensor(ids),
        ops.convert_to_tensor(positions),
        ops.convert_to_tensor(mask),
    )


def stock(backbone, rows, length=15):
    """KerasHub's hidden states of whole sequences, as a list of arrays."""
    ids = np.zeros((len(rows), length), "int32")
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1

    def run(ids, mask):
        return backbone({"token_ids": ids, "padding_mask": mask})

    out = compiled(backbone, run)(
        ops.convert_to_tensor(ids), ops.convert_to_tensor(mask)
    )
    out = ops.convert_to_numpy(out)
    return [out[index, : len(row)] for index, row in enumerate(rows)]


def compiled(backbone, function):
    return running.compiled(function, backbone.variables)


def shared(backbone, heads, tails, **options):
    def run(head, tail):
        first, memory = prefix.forward(backbone, *head, **options)
        hidden, _ = prefix.forward(
            backbone, *tail, memory.as_prefix(), **options
        )
        return first, hidden

    first, hidden = compiled(backbone, run)(
        padded([[head] for head in heads], 10),
        padded(tails, 6, start=PREFIX_LENGTHS),
    )
    return ops.convert_to_numpy(first), ops.convert_to_numpy(hidden)


@pytest.mark.parametrize("query_block", [512, 4])
def test_equals_stock(backbone, query_block):
    heads, tails = sequences()
    first, hidden = shared(backbone, heads, tails, query_block=query_block)
    pairs = [(p, r) for p in range(2) for r in range(2)]
    whole = stock(
        backbone, [np.concatenate([heads[p], tails[p][r]]) for p, r in pairs]
    )
    for (p, r), expected in zip(pairs, whole, strict=True):
        begin, length = len(heads[p]), len(tails[p][r])
        np.testing.assert_allclose(
            first[p, 0, :begin], expected[:begin], atol=1e-5
        )
        np.testing.assert_allclose(
            hidden[p, r, :length], expected[begin:], atol=1e-5
        )


def test_logits_equal_stock(backbone):
    heads, tails = sequences()
    lm = gemmas.causal_lm(backbone)
    whole = np.concatenate([heads[0], tails[0][0]])
    inputs = {
        "token_ids": whole[None].astype("int32"),
        "padding_mask": np.ones((1, len(whole)), "int32"),
    }
    expected = ops.convert_to_numpy(lm(inputs))[0, len(heads[0]) :]

    def run(head, tail):
        _, memory = prefix.forward(backbone, *head)
        hidden, _ = prefix.forward(backbone, *tail, memory.as_prefix())
        return prefix.logits(backbone, hidden)

    got = compiled(backbone, run)(
        padded([[heads[0]]], 10),
        padded([[tails[0][0]]], 6, start=[len(heads[0])]),
    )
    got = ops.convert_to_numpy(got)[0, 0]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_lora_is_used(backbone):
    heads, tails = sequences()
    backbone.enable_lora(2)
    for variable in backbone.trainable_variables:
        if "lora" in variable.path:
            value = np.random.default_rng(1).normal(size=variable.shape)
            variable.assign(0.3 * value)
    _, hidden = shared(backbone, heads, tails)
    (whole,) = stock(backbone, [np.concatenate([heads[1], tails[1][1]])])
    np.testing.assert_allclose(
        hidden[1, 1, :5], whole[len(heads[1]) :], atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize`")
def test_int8_is_used(backbone):
    backbone.quantize("int8")
    heads, tails = sequences()
    _, hidden = shared(backbone, heads, tails)
    (whole,) = stock(backbone, [np.concatenate([heads[1], tails[1][1]])])
    np.testing.assert_allclose(
        hidden[1, 1, :5], whole[len(heads[1]) :], atol=1e-5
    )


def test_cache_token_by_token(backbone):
    heads, tails = sequences()
    _, expected = shared(backbone, heads, tails)
    _, memory = compiled(backbone, as_trees(backbone))(
        *padded([[head] for head in heads], 10)
    )
    behind = prefix.Memory(*memory).as_prefix().as_tree()

    def run(ids, positions, mask, behind, cache, step):
        hidden, cache = prefix.forward(
            backbone,
            ids,
            positions,
            mask,
            prefix.Memory(*behind),
            prefix.Memory(*cache),
            write_at=step,
        )
        return hidden, cache.as_tree()

    run = compiled(backbone, run)
    tail = padded(tails, 6, start=PREFIX_LENGTHS)
    cache = prefix.empty_cache(backbone, 2, 2, 8).as_tree()
    for t in range(6):
        step = ops.convert_to_tensor(t, "int32")
        token = [part[:, :, t : t + 1] for part in tail]
        hidden, cache = run(*token, behind, cache, step)
        got = ops.convert_to_numpy(hidden)[:, :, 0]
        real = ops.convert_to_numpy(token[2])[:, :, 0]
        np.testing.assert_allclose(
            got[real], expected[:, :, t][real], atol=1e-5
        )


def as_trees(backbone):
    def run(*tokens):
        hidden, memory = prefix.forward(backbone, *tokens)
        return hidden, memory.as_tree()

    return run


def test_padding_content_never_matters(backbone):
    heads, tails = sequences()
    ids, positions, mask = padded([[head] for head in heads], 10)
    junk = ops.where(mask, ids, 7)
    run = compiled(backbone, as_trees(backbone))
    hidden, _ = run(ids, positions, mask)
    other, _ = run(junk, positions, mask)
    real = ops.convert_to_numpy(mask)
    np.testing.assert_array_equal(
        ops.convert_to_numpy(hidden)[real], ops.convert_to_numpy(other)[real]
    )
    assert np.isfinite(ops.convert_to_numpy(hidden)).all()


def test_other_families_are_not_supported():
    import keras_hub

    other = keras_hub.models.GPT2Backbone(
        vocabulary_size=20,
        num_layers=1,
        num_heads=1,
        hidden_dim=4,
        intermediate_dim=8,
    )
    assert not prefix.supports(other)
    assert prefix.supports(gemmas.gemma1())
    sees = gemmas.gemma3(vision_encoder=gemmas.vision_encoder())
    assert prefix.supports(sees)
