"""One group of rows, from its prompts to its last output."""

import dataclasses

import numpy as np
from keras import ops

from keras_restpg.model.batching import power_of_two
from keras_restpg.model.decode import State, grown


class GroupRun:
    """Iterates over `(prompt, sample, tokens, log-probability)` as rows end.

    Args:
        decoder: a `Decoder`.
        group: the `Group` of prompts and samples.
        token_ids: the tokens of each of the group's prompts.
        uniforms: float32 (P, R, new tokens, U).
        settings: temperature and top_p.
        places: the sizes that the cache grows through.
    """

    def __init__(self, decoder, group, token_ids, uniforms, settings, places):
        self.decoder = decoder
        self.uniforms = uniforms
        self.settings = tuple(
            ops.convert_to_tensor(value, "float32") for value in settings
        )
        self.places = places
        self.rows = Rows.of(group)
        # Decoding pauses where at most half of these are left.
        self.live = self.rows.real.size
        self._read(token_ids, group.length)

    def __iter__(self):
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

    def _read(self, token_ids, length):
        ids = np.zeros((len(token_ids), length), "int32")
        for row, prompt in enumerate(token_ids):
            ids[row, : len(prompt)] = prompt
        lengths = np.array([len(prompt) for prompt in token_ids], "int32")
        self.lengths = ops.convert_to_tensor(lengths)
        self.behind, tokens, log_probs = self.decoder.prefill(
            ops.convert_to_tensor(ids),
            self.lengths,
            ops.convert_to_tensor(self.uniforms[:, :, 0]),
            *self.settings,
        )
        self.state = self.decoder.start(tokens, log_probs, self.places[0])

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
            tuple(self.state),
            self.lengths,
            ops.convert_to_tensor(prompts, "int32"),
            ops.convert_to_tensor(columns, "int32"),
        )
        state = State(*state)
        filler = ops.convert_to_tensor(~rows.real)
        self.state = state._replace(
            finished=ops.logical_or(state.finished, filler)
        )

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
    def of(cls, group):
        shape = (len(group.prompts), len(group.samples))
        return cls(
            prompt_ids=group.prompts,
            lines=np.arange(shape[0]),
            columns=np.broadcast_to(np.arange(shape[1]), shape),
            samples=np.broadcast_to(np.array(group.samples), shape),
            real=np.ones(shape, bool),
        )

    def take(self, array):
        """The rows of an array (P, R, ...) laid out as the group began."""
        return array[self.lines[:, None], self.columns]

    def without(self, ended):
        """The rows that go on in a group of at most half the size.

        Returns:
            None where no such group holds them, else the new `Rows` and the
            lines (P',) and columns (P', R') to keep of the present group.
        """
        live = self.real & ~ended
        counts = live.sum(axis=1)
        lines = np.flatnonzero(counts)
        height = _power_above(len(lines))
        width = _power_above(counts.max())
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


def _power_above(number):
    """The smallest power of two that is at least `number`."""
    power = power_of_two(number)
    return int(power if power == number else 2 * power)
