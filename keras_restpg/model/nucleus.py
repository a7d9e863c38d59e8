"""Exact top-p sampling with no sort of the vocabulary.

A word is in the nucleus of p exactly when the words more probable than it
hold less than p of the mass (Holtzman et al., 2020, arXiv:1904.09751). So a
word can be drawn from the whole distribution and kept or refused by one sum,
and what is kept is distributed as the renormalised nucleus. A refused word x
also shows that all words no more probable than x are outside: the next draw
leaves them out. With a uniform draw over what remains outside the nucleus,
that remainder shrinks by a uniform factor at each refusal, so n refusals in a
row have a probability below ((1 - p) / p)^n / 2^(n (n - 1) / 2): for p = 0.95
and the 8 rounds made here, 1e-18.

Words of equal probability at the edge of the nucleus all belong to it, where
a sort would cut them in an arbitrary order.
"""

from typing import Any

from keras import ops

from keras_restpg import backend

# Words are summed in blocks of this many: a draw finds its block, then its
# word within the block, so that no running sum over the vocabulary is needed.
_BLOCK = 512


def rounds(top_p: float) -> int:
    """Uniform numbers that `sample` needs for each draw."""
    return 8 if top_p >= 0.5 else 24


def draw(
    logits: Any, uniforms: Any, temperature: Any, top_p: Any, top_k: int = 0
) -> tuple[Any, Any]:
    """As `sample`, with the words' log-probabilities at temperature 1.

    Without uniform numbers (N, 0) the most probable words are taken.

    Returns:
        Word ids, int32 (N,), and log-probabilities, float32 (N,).
    """
    if uniforms.shape[-1]:
        words = sample(logits, uniforms, temperature, top_p, top_k)
    else:
        words = most_probable(logits)
    return words, backend.pick(logits, words) - ops.logsumexp(logits, axis=-1)


def sample(
    logits: Any, uniforms: Any, temperature: Any, top_p: Any, top_k: int = 0
) -> Any:
    """One word for each row of logits.

    Args:
        logits: float32 (N, vocabulary).
        uniforms: float32 (N, rounds), in [0, 1); see `rounds`.
        temperature: scalar above 0.
        top_p: scalar in (0, 1]; 1 samples from the whole distribution.
        top_k: if above 0, only the k most probable words are kept, before
            top_p is applied.

    Returns:
        Word ids, int32 (N,).
    """
    blocks = _in_blocks(_weights(logits, temperature, top_k))
    sums = ops.sum(blocks, axis=-1)
    mass = ops.sum(sums, axis=-1) * top_p
    last = uniforms.shape[1]

    def unfinished(step, word, done, floor, sums):
        del word, floor, sums
        return ops.logical_and(step < last, ops.any(ops.logical_not(done)))

    def attempt(step, word, done, floor, sums):
        drawn, weight = _draw(blocks, sums, floor, _column(uniforms, step))
        above = _sums_above(blocks, weight)
        inside = ops.sum(above, axis=-1) < mass
        word = ops.where(done, word, ops.where(inside, drawn, word))
        return step + 1, word, ops.logical_or(done, inside), weight, above

    # Should all rounds be refused, the most probable word stands.
    start = (
        ops.convert_to_tensor(0, "int32"),
        most_probable(logits),
        ops.zeros_like(mass, dtype="bool"),
        ops.zeros_like(mass),
        sums,
    )
    return ops.while_loop(unfinished, attempt, start)[1]


def most_probable(logits: Any) -> Any:
    """The first word of the highest logit in each row, int32 (N,).

    As `argmax`, which XLA does not vectorise on a CPU: the highest block is
    found by its maximum, then the word within it.
    """
    blocks = _in_blocks(logits, -float("inf"))
    block = ops.argmax(ops.max(blocks, axis=-1), axis=-1)
    word = ops.argmax(backend.pick(blocks, block), axis=-1)
    return ops.cast(block * _BLOCK + word, "int32")


def _weights(logits, temperature, top_k):
    """Unnormalised probabilities, at most 1, zero outside the top k."""
    scaled = (logits - ops.max(logits, axis=-1, keepdims=True)) / temperature
    weights = ops.exp(scaled)
    if top_k and top_k < logits.shape[-1]:
        least = ops.top_k(scaled, top_k)[0][:, -1:]
        weights = ops.where(scaled >= least, weights, 0.0)
    return weights


def _in_blocks(rows, filler=0.0):
    """(N, vocabulary) as (N, blocks, words), filled up with the filler."""
    vocabulary = rows.shape[-1]
    missing = -vocabulary % _BLOCK
    if missing:
        widths = ((0, 0), (0, missing))
        rows = ops.pad(rows, widths, constant_values=filler)
    return ops.reshape(rows, (-1, (vocabulary + missing) // _BLOCK, _BLOCK))


def _sums_above(blocks, floor):
    """Each block's sum of the weights above the row's floor: (N, blocks)."""
    above = blocks > floor[:, None, None]
    return ops.sum(ops.where(above, blocks, 0.0), axis=-1)


def _column(uniforms, step):
    """Column `step`, kept below 1 so that a draw stays below the total."""
    column = ops.take(uniforms, step, axis=1)
    return ops.minimum(column, 1.0 - 2.0**-23)


def _draw(blocks, sums, floor, uniform):
    """A word in proportion to its weight among the weights above the floor.

    Returns the word ids and their weights, both (N,).
    """
    running = ops.cumsum(sums, axis=-1)
    target = uniform * running[:, -1]
    block = _count(running <= target[:, None], sums.shape[-1])
    chosen = backend.pick(blocks, block)
    weights = ops.where(chosen > floor[:, None], chosen, 0.0)
    before = backend.pick(running, block) - backend.pick(sums, block)
    within = ops.cumsum(weights, axis=-1)
    word = _count(within <= (target - before)[:, None], _BLOCK)
    # Rounding can point past the block's last word: take its heaviest then.
    heaviest = ops.cast(ops.argmax(weights, axis=-1), "int32")
    word = ops.where(backend.pick(weights, word) > 0.0, word, heaviest)
    return block * _BLOCK + word, backend.pick(weights, word)


def _count(flags, size):
    counted = ops.sum(ops.cast(flags, "int32"), axis=-1)
    return ops.minimum(counted, size - 1)
