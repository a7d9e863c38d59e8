"""Vectors of texts by a Keras model, in batches of like lengths.

A batch is as long as its longest text, rounded up, so that short texts don't
pay for long ones and a model compiles for few shapes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg.model.padding import padded

# Tokens of a batch: on a CPU, activations of more leave its caches, and 8,192
# take twice the time.
_BATCH_TOKENS = 2048


class BucketedEmbedder:
    """Vectors of rows of tokens of any lengths.

    Args:
        function: from a dict of arrays (rows, length) to vectors
            (rows, width), without side effects.
        variables: the Keras variables that `function` reads.
        limit: tokens of the longest row.
        rows: rows of a batch; None: as many as make a good one.
    """

    def __init__(
        self,
        function: Callable[[dict[str, Any]], Any],
        variables: Sequence[keras.Variable],
        limit: int,
        rows: int | None = None,
    ) -> None:
        self.rows, self.limit = rows, limit
        self._call = backend.compiled(function, variables)

    def __call__(
        self, inputs: Mapping[str, np.ndarray], counts: np.ndarray
    ) -> np.ndarray:
        """Vectors float32 (n, width).

        Args:
            inputs: dict of arrays (n, at most `limit`), padded at the right.
            counts: int (n,), the tokens of each row that are no padding.
        """
        order = np.argsort(counts, kind="stable")
        first, found = 0, []
        while first < len(order):
            # 16, and from there multiples of 32, beyond 512 of 64.
            length = padded(int(counts[order[first]]), 16, 32, 16, self.limit)
            rows = self.rows or max(_BATCH_TOKENS // length, 1)
            members = order[first : first + rows]
            members = members[counts[members] <= length]
            # Not waited for: the next batch is prepared meanwhile.
            found.append(self._embed(inputs, members, rows, length))
            first += len(members)
        vectors = [ops.convert_to_numpy(v)[:count] for v, count in found]
        return np.concatenate(vectors)[np.argsort(order)].astype("float32")

    def _embed(self, inputs, members, rows, length):
        # The same rows over again fill the batch up.
        filled = np.resize(members, rows)
        batch = {
            name: ops.convert_to_tensor(_cut(array[filled], length))
            for name, array in inputs.items()
        }
        return self._call(batch), len(members)


def _cut(array, length):
    """Rows of `length` tokens: cut, or with zeros at the right."""
    missing = max(length - array.shape[1], 0)
    return np.pad(array[:, :length], ((0, 0), (0, missing)))


class TextEmbedder:
    """Vectors of a KerasHub text embedder, equal to its `encode_text`.

    That pads every text to the preprocessor's `sequence_length`; here texts
    are only as long as their batch.

    Args:
        embedder: a `keras_hub.models.TextEmbedder` with a preprocessor.
    """

    def __init__(self, embedder: Any) -> None:
        self.preprocessor = embedder.preprocessor
        self._embed = BucketedEmbedder(
            lambda inputs: embedder(inputs, training=False),
            embedder.variables,
            self.preprocessor.sequence_length,
        )

    def __call__(self, texts: Iterable[str]) -> np.ndarray:
        """Vectors float32 (n, width) of n texts."""
        inputs = {
            name: ops.convert_to_numpy(array)
            for name, array in self.preprocessor(list(texts)).items()
        }
        return self._embed(inputs, _counts(inputs["padding_mask"]))


def _counts(mask):
    """How many tokens of each row come before its padding at the right."""
    mask = mask.astype(bool)
    return np.where(mask.any(1), mask.shape[1] - np.argmax(mask[:, ::-1], 1), 1)
