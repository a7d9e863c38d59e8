"""Log-probabilities of a few tokens after each of many token sequences.

`SharedScorer` computes what the sequences of a group have in common once
(the prefix's keys and values) and lets all of them attend to it; hidden
states become logits at the scored places only. `StockScorer` calls the
KerasHub model as it is, for the families that `model/prefix.py` does not
know. Both take and return the same.

Sequences are padded to a few lengths, so that a compiling backend compiles
few programs.
"""

import collections
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg.model import prefix
from keras_restpg.model.padding import grid, padded


class SharedScorer:
    """Scores groups of sequences with a shared prefix each.

    Args:
        causal_lm: a KerasHub causal LM whose backbone `prefix` supports.
        wanted: ids of the tokens to score.
        depth: at how many last places of each sequence they are scored.
        rows: how many sequences are computed at once.
        max_tokens: bounds the tokens of the prefixes computed at once.
    """

    def __init__(
        self,
        causal_lm: Any,
        wanted: Sequence[int],
        depth: int,
        rows: int = 8,
        max_tokens: int = 8192,
    ) -> None:
        self.rows, self.depth, self.max_tokens = rows, depth, max_tokens
        backbone = causal_lm.backbone
        ids = np.array(wanted, "int32")

        def read(token_ids, lengths):
            """(P, L) and (P,) to the prefixes' keys and values."""
            inputs = _padded(token_ids[:, None], lengths[:, None], 0)
            _, memory = prefix.forward(backbone, *inputs)
            return memory.as_prefix().as_tree()

        def ask(memory, token_ids, lengths, starts):
            """(P, R, T), (P, R), (P,) to log-probs (P, R, depth, wanted)."""
            start = starts[:, None, None]
            hidden, _ = prefix.forward(
                backbone,
                *_padded(token_ids, lengths, start),
                prefix=prefix.Memory(*memory),
            )
            places = _last_places(lengths, depth)
            hidden = ops.take_along_axis(hidden, places[..., None], axis=2)
            return _log_probs(prefix.logits(backbone, hidden), ids)

        self._read = backend.compiled(read, backbone.variables)
        self._ask = backend.compiled(ask, backbone.variables)

    def log_probs(
        self, groups: Sequence[Sequence[Sequence[int]]]
    ) -> list[np.ndarray]:
        """Log-probabilities of the wanted tokens.

        Args:
            groups: list of lists of token sequences, each longer than
                `depth`; those of a group begin alike.

        Returns:
            list of float32 arrays (sequences, depth, wanted), one a group.
        """
        shared = [self._shared_length(group) for group in groups]
        shapes = collections.defaultdict(list)
        for i, group in enumerate(groups):
            rows = padded(len(group), 1, 1, parts=1, limit=self.rows)
            shapes[rows, padded(shared[i], 32, 32)].append(i)
        tables: list[Any] = [None] * len(groups)
        for (rows, length), members in shapes.items():
            size = max(1, min(self.rows // rows, self.max_tokens // length))
            for begin in range(0, len(members), size):
                batch = members[begin : begin + size]
                found = self._batch(
                    [groups[i] for i in batch],
                    [shared[i] for i in batch],
                    (size, rows, length),
                )
                for i, table in zip(batch, found, strict=True):
                    tables[i] = table
        return tables

    def _shared_length(self, group):
        """Up to where a group is shared; scored places are each row's own."""
        shortest = min(len(tokens) for tokens in group)
        return min(common_length(group), shortest - self.depth)

    def _batch(self, groups, shared, shape):
        """The tables of up to P groups, R rows of each at a time."""
        prompts, rows, length = shape
        starts = np.array(shared + [0] * (prompts - len(shared)), "int32")
        heads = [group[0][:n] for group, n in zip(groups, shared, strict=True)]
        memory = self._read(
            *map(ops.convert_to_tensor, grid(heads, (prompts,), length))
        )
        # Longest first, so that rows computed together are of like length.
        orders = [
            sorted(range(len(g)), key=lambda i: -len(g[i])) for g in groups
        ]
        tables: list[list[Any]] = [[None] * len(group) for group in groups]
        for begin in range(0, max(map(len, groups)), rows):
            chunk = [order[begin : begin + rows] for order in orders]
            tails = {
                (p, r): groups[p][i][shared[p] :]
                for p, order in enumerate(chunk)
                for r, i in enumerate(order)
            }
            found = self._chunk(memory, tails, (prompts, rows), starts)
            for p, r in tails:
                tables[p][chunk[p][r]] = found[p, r]
        return [np.stack(table) for table in tables]

    def _chunk(self, memory, tails, shape, starts):
        length = padded(max(map(len, tails.values())), 32, 32, 4)
        token_ids, lengths = grid(tails, shape, length)
        arrays = map(ops.convert_to_tensor, (token_ids, lengths, starts))
        return ops.convert_to_numpy(self._ask(memory, *arrays))


class StockScorer:
    """Scores sequences by calling the KerasHub model on each whole.

    Args: as `SharedScorer`; `rows` bounds the logits, which the stock model
        computes at every place.

    Raises:
        ValueError: a model that reads more than text, images say.
    """

    def __init__(
        self, causal_lm: Any, wanted: Sequence[int], depth: int, rows: int = 4
    ) -> None:
        if more := sorted(set(causal_lm.input) - {"token_ids", "padding_mask"}):
            raise ValueError(
                "A judge reads text alone. Received: "
                f"{type(causal_lm).__name__}, which also needs "
                f"{', '.join(more)}"
            )
        self.rows = rows
        ids = np.array(wanted, "int32")

        def ask(token_ids, lengths):
            mask = ops.arange(token_ids.shape[1])[None] < lengths[:, None]
            inputs = {
                "token_ids": token_ids,
                "padding_mask": ops.cast(mask, "int32"),
            }
            logits = causal_lm(inputs, training=False)
            places = _last_places(lengths, depth)[..., None]
            logits = ops.take_along_axis(logits, places, axis=1)
            return _log_probs(ops.cast(logits, "float32"), ids)

        self._ask = backend.compiled(ask, causal_lm.variables)

    def log_probs(
        self, groups: Sequence[Sequence[Sequence[int]]]
    ) -> list[np.ndarray]:
        """As `SharedScorer.log_probs`."""
        flat = [
            (g, i) for g, group in enumerate(groups) for i in range(len(group))
        ]
        flat.sort(key=lambda at: len(groups[at[0]][at[1]]))
        tables: list[list[Any]] = [[None] * len(group) for group in groups]
        for begin in range(0, len(flat), self.rows):
            batch = flat[begin : begin + self.rows]
            tokens = [groups[g][i] for g, i in batch]
            length = padded(len(tokens[-1]), 32, 32, 4)
            arrays = grid(tokens, (self.rows,), length)
            found = self._ask(*map(ops.convert_to_tensor, arrays))
            found = ops.convert_to_numpy(found)
            for (g, i), table in zip(batch, found, strict=False):
                tables[g][i] = table
        return [np.stack(table) for table in tables]


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """How many first tokens all `sequences` (lists of int) share."""
    return len(os.path.commonprefix([list(each) for each in sequences]))


def _padded(token_ids, lengths, start):
    """What `prefix.forward` takes: token ids, positions, mask (P, R, T)."""
    place = ops.arange(token_ids.shape[-1], dtype="int32")[None, None]
    positions = ops.broadcast_to(start + place, token_ids.shape)
    mask = ops.broadcast_to(place < lengths[..., None], token_ids.shape)
    return token_ids, positions, mask


def _last_places(lengths, depth):
    """Indices (..., depth) of the last `depth` places of each row."""
    back = ops.arange(depth, dtype="int32") - depth
    return ops.maximum(lengths[..., None] + back, 0)


def _log_probs(logits, wanted):
    """Log-probabilities of the `wanted` tokens from logits (..., V)."""
    total = ops.logsumexp(logits, axis=-1, keepdims=True)
    return ops.take(logits, wanted, axis=-1) - total
