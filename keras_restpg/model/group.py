"""One group of rows, from its prompts to its last output."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_restpg.model.batching import Group, read_together
from keras_restpg.model.decode import Decoder, State, grown
from keras_restpg.model.padding import grid, least_quarter


class GroupRun:
    """Iterates over `(prompt, sample, tokens, log-probability)` as rows end.

    The prompts are read once, also where their samples go in several parts.

    Args:
        decoder: a `Decoder`.
        group: the `Group` of prompts and samples.
        token_ids: the tokens of each of the group's prompts.
        uniforms: from a range of sample numbers to their uniform numbers,
            float32 (P, R, new tokens, U).
        settings: temperature and top_p.
        places: the sizes that the cache grows through.
    """

    def __init__(
        self,
        decoder: Decoder,
        group: Group,
        token_ids: Sequence[Sequence[int]],
        uniforms: Callable[[range], np.ndarray],
        settings: tuple[float, float],
        places: Sequence[int],
    ) -> None:
        self.decoder = decoder
        self.group = group
        self.draw = uniforms
        self.settings = tuple(
            ops.convert_to_tensor(value, "float32") for value in settings
        )
        self.places = places
        self.read = self._read(token_ids)

    def __iter__(self) -> Iterator[tuple[int, int, list[int], float]]:
        for samples in self.group.parts:
            self._begin(samples)
            if samples is self.group.parts[-1]:
                del self.read
            yield from self._part()

    def _part(self):
        while True:
            self._advance()
            ended = ops.convert_to_numpy(self.state.finished)
            room = self.state.tokens.shape[2]
            full = int(self.state.step) == room
            if ended.all() or (full and room == self.places[-1]):
                yield from self._results(self.rows.real)
                return
            if full:
                bigger = next(size for size in self.places if size > room)
                self.state = grown(self.state, bigger)
            self.live = int((self.rows.real & ~ended).sum())
            smaller = self.rows.without(ended)
            if smaller is not None:
                yield from self._results(self.rows.real & ended)
                self._keep(*smaller)

    def _read(self, token_ids):
        """The prompts' prefix, what comes next, and their lengths."""
        shape = (self.group.size, self.group.length)
        ids, lengths = grid(token_ids, shape[:1], shape[1])
        # Few prompts at once, whose activations are small.
        step = read_together(*shape)
        parts = [
            self.decoder.prefill(
                ops.convert_to_tensor(ids[first : first + step]),
                ops.convert_to_tensor(lengths[first : first + step]),
            )
            for first in range(0, shape[0], step)
        ]
        behind, logits = keras.tree.map_structure(_joined, *parts)
        return behind, logits, ops.convert_to_tensor(lengths)

    def _begin(self, samples):
        """Draws the first token of each row of a part."""
        self.behind, logits, self.lengths = self.read
        self.rows = Rows.of(self.group, samples)
        # Decoding pauses where at most half of these are left.
        self.live = int(self.rows.real.sum())
        self.uniforms = self.draw(samples)
        first = ops.convert_to_tensor(self.uniforms[:, :, 0])
        tokens, log_probs = self.decoder.first(logits, *self.settings, first)
        state = self.decoder.start(tokens, log_probs, self.places[0])
        self.state = self._without_fillers(state)

    def _advance(self):
        room = self.state.tokens.shape[2]
        uniforms = self.rows.take(self.uniforms[:, :, :room])
        self.state = State(
            *self.decoder.advance(
                self.behind,
                self.lengths,
                ops.convert_to_tensor(uniforms),
                *self.settings,
                ops.convert_to_tensor(self.live // 2, "int32"),
                tuple(self.state),
            )
        )

    def _keep(self, rows, prompts, columns):
        self.rows = rows
        self.behind, state, self.lengths = self.decoder.select(
            self.behind,
            self.lengths,
            ops.convert_to_tensor(prompts, "int32"),
            ops.convert_to_tensor(columns, "int32"),
            tuple(self.state),
        )
        self.state = self._without_fillers(State(*state))

    def _without_fillers(self, state):
        filler = ops.convert_to_tensor(~self.rows.real)
        finished = ops.logical_or(state.finished, filler)
        return state._replace(finished=finished)

    def _results(self, which):
        tokens = ops.convert_to_numpy(self.state.tokens)
        log_probs = ops.convert_to_numpy(self.state.log_probs)
        for p, r in np.argwhere(which):
            yield (
                self.rows.prompt_ids[p],
                int(self.rows.samples[p, r]),
                tokens[p, r].tolist(),
                float(log_probs[p, r]),
            )


def _joined(first: Any, *others: Any) -> Any:
    return ops.concatenate([first, *others]) if others else first


@dataclasses.dataclass(frozen=True)
class Rows:
    """Which prompt and sample each place of a group holds.

    Attributes:
        prompt_ids: the prompt of each of the P lines.
        lines: int (P,), the line of each in the group as it began.
        columns: int (P, R), the column of each row in the group as it began.
        samples: int (P, R), sample numbers.
        real: bool (P, R), False where a place is only filled up.
    """

    prompt_ids: tuple[int, ...]
    lines: np.ndarray
    columns: np.ndarray
    samples: np.ndarray
    real: np.ndarray

    @classmethod
    def of(cls, group: Group, samples: range) -> "Rows":
        """The rows of a group as it begins a part of its samples."""
        shape = (group.size, len(samples))
        filled = group.size - len(group.prompts)
        real = np.arange(group.size) < len(group.prompts)
        return cls(
            prompt_ids=(*group.prompts, *group.prompts[:1] * filled),
            lines=np.arange(shape[0]),
            columns=np.broadcast_to(np.arange(shape[1]), shape),
            samples=np.broadcast_to(np.array(samples), shape),
            real=np.broadcast_to(real[:, None], shape),
        )

    def take(self, array: np.ndarray) -> np.ndarray:
        """The rows of an array (P, R, ...) laid out as the group began."""
        return array[self.lines[:, None], self.columns]

    def without(
        self, ended: np.ndarray
    ) -> tuple["Rows", np.ndarray, np.ndarray] | None:
        """The rows that go on in a group of at most half the size.

        Lines and columns shrink to a quarter at a time: each pair of them is
        a shape that is compiled.

        Returns:
            None where no such group holds them, else the new `Rows` and the
            lines (P',) and columns (P', R') to keep of the present group.
        """
        live = self.real & ~ended
        counts = live.sum(axis=1)
        lines = np.flatnonzero(counts)
        height, width = (
            least_quarter(size, needed)
            for size, needed in zip(
                self.real.shape, (len(lines), counts.max()), strict=True
            )
        )
        if 2 * height * width > self.real.size:
            return None
        # Unfinished rows first, in order; lines are filled up with the first.
        columns = np.argsort(~live, axis=1, kind="stable")[:, :width]
        filler = np.full(height - len(lines), lines[0])
        kept = np.concatenate([lines, filler])
        columns = columns[kept]
        real = np.take_along_axis(live[kept], columns, axis=1)
        real[len(lines) :] = False
        rows = Rows(
            prompt_ids=tuple(self.prompt_ids[line] for line in kept),
            lines=self.lines[kept],
            columns=np.take_along_axis(self.columns[kept], columns, axis=1),
            samples=np.take_along_axis(self.samples[kept], columns, axis=1),
            real=real,
        )
        return rows, kept, columns
