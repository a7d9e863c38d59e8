"""Token lists to arrays of few sizes: every shape is compiled once.

Lengths are rounded up to a ladder, whose steps double with the length; numbers
of prompts and rows are powers of two, or a size and its quarters.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np


def padded(
    length: int, least: int, step: int, parts: int = 2, limit: int | None = None
) -> int:
    """The first rung of a ladder that holds `length` tokens.

    `least` is the lowest rung, `limit` the highest. Between them are the
    multiples of `step`, which doubles so that each octave has `parts` rungs:
    with two, at most a third of what is padded is padding.
    """
    if length <= least:
        rung = least
    else:
        while 2 * parts * step < length:
            step *= 2
        rung = -(-length // step) * step
    return rung if limit is None else min(rung, limit)


def stages(limit: int) -> list[int]:
    """Sizes that a row's cache grows through: 128, 512, … up to `limit`."""
    sizes, size = [], 128
    while size < limit:
        sizes.append(size)
        size *= 4
    return [*sizes, limit]


def quarters(size: int) -> list[int]:
    """Sizes from `size` down to 1, each a quarter of the one before."""
    found = [size]
    while found[-1] > 1:
        found.append(-(-found[-1] // 4))
    return found


def least_quarter(size: int, needed: int) -> int:
    """The smallest of `quarters(size)` that is at least `needed`."""
    return min(each for each in quarters(size) if each >= needed)


def power_of_two(number: int) -> int:
    """The largest power of two that is at most `number`, at least 1."""
    return 1 << max(int(number).bit_length() - 1, 0)


def grid(
    rows: Sequence[Sequence[int]] | Mapping[tuple[int, ...], Sequence[int]],
    shape: tuple[int, ...],
    length: int,
    empty: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Token ids (*shape, length), zeros at the right, and lengths `shape`.

    Both int32.

    Args:
        rows: lists of tokens, or a dict from place in `shape` to such a list.
        shape: of the grid.
        length: what each place is padded to.
        empty: the length of places without a list. With 1, their first zero
            counts as a token, so that none has nothing to attend to.
    """
    items: Iterable = (
        rows.items() if isinstance(rows, Mapping) else (enumerate(rows))
    )
    token_ids = np.zeros((*shape, length), "int32")
    lengths = np.full(shape, empty, "int32")
    for place, tokens in items:
        token_ids[place][: len(tokens)] = tokens
        lengths[place] = len(tokens)
    return token_ids, lengths
