"""Tokens to arrays: batches of few fixed shapes, about equally many outputs.

A batch is M micro-batches of P prompts of L tokens with K outputs of T. Every
shape is compiled, so there are at most eight. Lengths are rounded up to a
ladder of fixed steps; then groups of like shape are joined pair by pair, first
the pair that adds the least work. Work is counted as L + K · T tokens for each
prompt, attention left aside, and the empty rows of a last batch count too: few
examples come in fewer shapes.

The shapes follow the data. Because of the ladder some come again in a later
iteration, whose outputs have other lengths; the others are compiled anew.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from keras_restpg import seeds
from keras_restpg.model.padding import grid, padded
from keras_restpg.training.features import Tokens

# (M, P, L, K, T).
Size = tuple[int, int, int, int, int]
# Outputs of a prompt that go together, before groups are joined.
_WIDTHS = (1, 2, 4, 6, 8, 10)
# Shapes of batches, at most.
_SHAPES = 8


class Batches:
    """Batches by number, the same for the same data and seed.

    Examples of like lengths share a batch. An epoch goes through all of them
    once, in a new order each time; a last batch that is not full is filled up
    with rows that train nothing.

    The outputs of a prompt go together, ten at most, and fewer where they
    would not fit into a micro-batch: then the prompt is there for each part,
    and the parts may be in different batches.

    Args:
        tokens: a list of `Tokens`.
        batch_size: outputs of a batch, about.
        micro_batch_tokens: tokens of a micro-batch, at most, padding
            included; an output that alone is longer, with its prompt and the
            padding up to the ladder's steps, is one of its own.
        seed: int.

    Attributes:
        groups: `((M, P, L, K, T), its list of Tokens)` for each shape.
    """

    def __init__(
        self,
        tokens: Sequence[Tokens],
        batch_size: int,
        micro_batch_tokens: int,
        seed: int = 0,
    ) -> None:
        if not tokens:
            raise ValueError("There is nothing to train on.")
        items = _split(tokens, _WIDTHS[-1])
        self.seed = seed
        self.groups = [
            _sized(shape, members, batch_size, micro_batch_tokens)
            for shape, members in _groups(items, batch_size, micro_batch_tokens)
        ]
        self._epoch: tuple[int | None, list[tuple[Size, list[Tokens]]]]
        self._epoch = None, []

    def __len__(self) -> int:
        """Batches of an epoch."""
        return sum(
            -(-len(members) // (size[0] * size[1]))
            for size, members in self.groups
        )

    def batch(self, number: int) -> dict[str, np.ndarray]:
        """Batch `number` of an endless row of epochs, a dict of arrays.

        See `training.model.RewardWeightedLM` for what it holds.
        """
        epoch, index = divmod(number, len(self))
        if self._epoch[0] != epoch:
            self._epoch = epoch, self._order(epoch)
        return arrays(*self._epoch[1][index])

    def _order(self, epoch: int) -> list[tuple[Size, list[Tokens]]]:
        rng = seeds.generator(self.seed, epoch)
        batches = []
        for size, members in self.groups:
            order = rng.permutation(len(members))
            count = size[0] * size[1]
            for first in range(0, len(order), count):
                part = order[first : first + count]
                batches.append((size, [members[index] for index in part]))
        return [batches[index] for index in rng.permutation(len(batches))]


def arrays(size: Size, items: Sequence[Tokens]) -> dict[str, np.ndarray]:
    """One batch, a dict of arrays.

    Args:
        size: (M, P, L, K, T).
        items: `Tokens` that fit, at most M · P; what is missing is filled up.
    """
    micros, prompts, length, width, places = size
    count = micros * prompts
    prompt_ids, prompt_lengths = grid(
        [item.prompt for item in items], (count,), length
    )
    outputs = {
        (line, column): output
        for line, item in enumerate(items)
        for column, output in enumerate(item.outputs)
    }
    # What isn't there has no token: it trains nothing.
    response_ids, response_lengths = grid(
        outputs, (count, width), places, empty=0
    )
    rewards = np.zeros((count, width), "float32")
    for line, item in enumerate(items):
        rewards[line, : len(item.rewards)] = item.rewards
    batch = {
        "prompt_ids": prompt_ids,
        "prompt_lengths": prompt_lengths,
        "response_ids": response_ids,
        "response_lengths": response_lengths,
        "rewards": rewards,
    }
    return {
        name: array.reshape(micros, prompts, *array.shape[1:])
        for name, array in batch.items()
    }


def _split(items: Iterable[Tokens], most: int) -> list[Tokens]:
    return [part for item in items for part in item.parts(most)]


def _sized(
    shape: tuple[int, int, int],
    items: Sequence[Tokens],
    batch_size: int,
    limit: int,
) -> tuple[Size, list[Tokens]]:
    """A group's (M, P, L, K, T) and its items, with outputs that fit."""
    length, _, places = shape
    items = _split(items, max(1, (limit - length) // places))
    outputs = [len(item.outputs) for item in items]
    width = max(outputs)
    prompts = int(_prompts(len(items), sum(outputs), batch_size))
    fitting = max(1, limit // (length + width * places))
    # Micro-batches of equal size: none is filled up with empty rows.
    micros = -(-prompts // fitting)
    prompts = -(-prompts // micros)
    return (micros, prompts, length, width, places), items


def _prompts(count, outputs, batch_size):
    """Prompts of a batch, for a group of `count` prompts with `outputs`.

    The mean is rounded to a half, so that sizes come again in later data.
    """
    mean = np.rint(2 * outputs / count) / 2
    return np.maximum(1, np.rint(batch_size / mean)).astype(int)


def _groups(
    items: Sequence[Tokens], batch_size: int, limit: int
) -> list[tuple[tuple[int, int, int], list[Tokens]]]:
    """`[((L, K, T), items)]`, at most eight."""
    longest = np.max([_lengths(item) for item in items], axis=0)
    members = {}
    for item in items:
        members.setdefault(_shape(item, longest), []).append(item)
    members = sorted(members.items(), key=lambda pair: pair[0])
    table = np.array(
        [
            (*shape, len(found), sum(len(item.outputs) for item in found))
            for shape, found in members
        ]
    )
    table, owners = _joined(table, batch_size, limit)
    groups = {owner: [] for owner in owners.tolist()}
    for (_, found), owner in zip(members, owners.tolist(), strict=True):
        groups[owner] += found
    return [
        (tuple(table[owner, :3].tolist()), found)
        for owner, found in groups.items()
    ]


def _lengths(item: Tokens) -> tuple[int, int]:
    return len(item.prompt), max(len(output) for output in item.outputs)


def _shape(item: Tokens, longest: np.ndarray) -> tuple[int, int, int]:
    """The smallest of the few shapes (L, K, T) that holds an example."""
    width = next(w for w in _WIDTHS if w >= len(item.outputs))
    # 16, 24, 32, 48, …, the last at the longest there is, rounded up to 64s.
    length, places = (
        padded(count, least=16, step=8, limit=-(-most // 64) * 64)
        for count, most in zip(_lengths(item), longest.tolist(), strict=True)
    )
    return length, width, places


def _joined(table, batch_size, limit):
    """Joins groups until there are at most eight, and on while that saves.

    Args:
        table: int (groups, 5): L, K, T, prompts and outputs of each group.
        batch_size: outputs of a batch, about.
        limit: tokens of a micro-batch.

    Returns:
        `table` with the joined groups, and (groups,) the row of `table` where
        each one is now.
    """

    def added(row):
        return _added(table[row], table, batch_size, limit)

    table, owners = table.copy(), np.arange(len(table))
    costs = np.stack([added(row) for row in owners])
    np.fill_diagonal(costs, np.inf)
    for left in range(len(table), 1, -1):
        first, second = np.unravel_index(costs.argmin(), costs.shape)
        cost = costs[first, second]
        if cost == np.inf or (left <= _SHAPES and cost > 0):
            break
        table[first] = _join(table[first], table[second])
        owners[owners == second] = first
        costs[second] = costs[:, second] = np.inf
        row = added(first)
        row[owners != np.arange(len(owners))] = row[first] = np.inf
        costs[first] = costs[:, first] = row
    return table, owners


def _added(group, table, batch_size, limit):
    """Work that joining a group with each of `table` adds; inf: not allowed.

    An output that fits into a micro-batch is not padded beyond it. At most
    eight groups remain all the same: where no two may be joined, each but a
    few has a prompt or an output above half of `limit`, and the ladder has
    two steps there and the longest, for prompts as for outputs.
    """
    both = _join(group, table)
    longer = both[:, 0] + both[:, 2] > limit
    were = (group[0] + group[2] > limit) & (table[:, 0] + table[:, 2] > limit)
    before = _work(group, batch_size) + _work(table, batch_size)
    return np.where(longer & ~were, np.inf, _work(both, batch_size) - before)


def _join(group, table):
    shapes = np.maximum(group[:3], table[..., :3])
    return np.concatenate([shapes, group[3:] + table[..., 3:]], axis=-1)


def _work(table, batch_size):
    """Tokens of a group's epoch, padding and empty rows included."""
    length, width, places, count, outputs = np.moveaxis(table, -1, 0)
    prompts = _prompts(count, outputs, batch_size)
    return -(-count // prompts) * prompts * (length + width * places)
