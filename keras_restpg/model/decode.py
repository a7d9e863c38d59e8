"""The compiled steps of sampling: read the prompts, then write all rows.

Shapes as in `prefix.py`; U is the number of uniform numbers for each draw, 0
where the most probable word is taken (temperature 0).
"""

import typing
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg.model import nucleus, prefix


class State(typing.NamedTuple):
    """Where the rows of a group stand.

    Attributes:
        step: int32 scalar, how many tokens each row has.
        last: int32 (P, R), each row's newest token.
        tokens: int32 (P, R, C), the tokens written; 0 after the end.
        log_probs: float32 (P, R), their log-probability so far.
        finished: bool (P, R), whether a row has ended.
        cache: the rows' keys and values, as `prefix.Memory.as_tree`.
    """

    step: Any
    last: Any
    tokens: Any
    log_probs: Any
    finished: Any
    cache: Any


class Decoder:
    """Compiled functions over one model; one compilation for each shape."""

    def __init__(
        self, backbone: Any, stop_ids: Iterable[int], top_k: int = 0
    ) -> None:
        self.backbone = backbone
        self.stop_ids = tuple(stop_ids)
        self.top_k = top_k
        variables = backbone.variables
        self.prefill = backend.compiled(self._prefill, variables)
        self.first = backend.compiled(self._first, [])
        self.advance = backend.compiled(self._advance, variables, donate=True)
        self.select = backend.compiled(_select, [])

    def start(self, tokens: Any, log_probs: Any, places: int) -> State:
        """The `State` after the first token (P, R), with room for `places`."""
        prompts, rows = tokens.shape
        cache = prefix.empty_cache(self.backbone, prompts, rows, places)
        written = ops.pad(tokens[:, :, None], ((0, 0), (0, 0), (0, places - 1)))
        return State(
            step=ops.convert_to_tensor(1, "int32"),
            last=tokens,
            tokens=written,
            log_probs=log_probs,
            finished=self._ends(tokens),
            cache=cache.as_tree(),
        )

    def _prefill(self, token_ids, lengths):
        """Reads prompts.

        Args:
            token_ids: int32 (P, L).
            lengths: int32 (P,).

        Returns:
            The prefix as a tree, and the logits (P, V) of what comes next.
        """
        prompts, length = token_ids.shape
        places = ops.arange(length, dtype="int32")[None, None]
        positions = ops.broadcast_to(places, (prompts, 1, length))
        mask = positions < lengths[:, None, None]
        hidden, memory = prefix.forward(
            self.backbone, token_ids[:, None], positions, mask
        )
        last = backend.pick(hidden[:, 0], lengths - 1)
        logits = prefix.logits(self.backbone, last)
        return memory.as_prefix().as_tree(), logits

    def _first(self, logits, temperature, top_p, uniforms):
        """Each row's first token and its log-probability, both (P, R).

        Args:
            logits: float32 (P, V).
            temperature: float32 scalar.
            top_p: float32 scalar.
            uniforms: float32 (P, R, U).
        """
        shape = (*uniforms.shape[:2], logits.shape[-1])
        logits = ops.broadcast_to(logits[:, None], shape)
        return self._draw(logits, uniforms, temperature, top_p)

    def _advance(
        self, behind, lengths, uniforms, temperature, top_p, enough, state
    ):
        """Writes tokens until the cache is full or few rows are unfinished.

        Args:
            behind: the prompts' prefix, as a tree.
            lengths: int32 (P,), of the prompts.
            uniforms: float32 (P, R, C, U).
            temperature: float32 scalar.
            top_p: float32 scalar.
            enough: int32 scalar; returns when no more rows are unfinished.
            state: a `State`.
        """
        memory = prefix.Memory(*behind)
        places = state[2].shape[2]

        def unfinished(*state):
            state = State(*state)
            live = ops.sum(ops.cast(ops.logical_not(state.finished), "int32"))
            return ops.logical_and(state.step < places, live > enough)

        def write(*state):
            state = State(*state)
            logits, cache = self._next_logits(memory, lengths, state)
            uniform = ops.take(uniforms, state.step, axis=2)
            return tuple(
                self._append(state, logits, cache, uniform, temperature, top_p)
            )

        return tuple(ops.while_loop(unfinished, write, tuple(state)))

    def _next_logits(self, memory, lengths, state):
        at = state.step - 1
        positions = ops.broadcast_to(
            (lengths + at)[:, None, None], (*state.last.shape, 1)
        )
        mask = ops.ones(positions.shape, dtype="bool")
        hidden, cache = prefix.forward(
            self.backbone,
            state.last[:, :, None],
            positions,
            mask,
            memory,
            prefix.Memory(*state.cache),
            write_at=at,
        )
        return prefix.logits(self.backbone, hidden[:, :, 0]), cache

    def _append(self, state, logits, cache, uniform, temperature, top_p):
        tokens, log_probs = self._draw(logits, uniform, temperature, top_p)
        tokens = ops.where(state.finished, 0, tokens)
        log_probs = ops.where(state.finished, 0.0, log_probs)
        return State(
            step=state.step + 1,
            last=tokens,
            tokens=backend.write_slice(
                state.tokens, tokens[:, :, None], (0, 0, state.step)
            ),
            log_probs=state.log_probs + log_probs,
            finished=ops.logical_or(state.finished, self._ends(tokens)),
            cache=cache.as_tree(),
        )

    def _draw(self, logits, uniforms, temperature, top_p):
        """Tokens and their log-probabilities at temperature 1, both (P, R)."""
        shape = logits.shape[:2]
        flat = ops.reshape(logits, (-1, logits.shape[-1]))
        uniforms = ops.reshape(uniforms, (flat.shape[0], uniforms.shape[-1]))
        tokens, log_probs = nucleus.draw(
            flat, uniforms, temperature, top_p, self.top_k
        )
        return ops.reshape(tokens, shape), ops.reshape(log_probs, shape)

    def _ends(self, tokens):
        stops = ops.reshape(np.array(self.stop_ids, "int32"), (-1,))
        return ops.any(ops.equal(tokens[..., None], stops), axis=-1)


def _select(behind, lengths, prompts, rows, state):
    """The group that keeps `rows` (P', R') of `prompts` (P',)."""
    state = State(*state)

    def of_prompts(array):
        return ops.take(array, prompts, axis=0)

    def of_rows(array, axis=1):
        kept = of_prompts(array)
        shape = [1] * len(array.shape)
        shape[0], shape[axis] = rows.shape
        index = ops.reshape(rows, shape)
        return ops.take_along_axis(kept, index, axis=axis)

    keys, values, positions = state.cache
    cache = (
        tuple(of_rows(key, axis=2) for key in keys),
        tuple(of_rows(value, axis=2) for value in values),
        of_rows(positions),
    )
    selected = State(
        state.step,
        of_rows(state.last),
        of_rows(state.tokens),
        of_rows(state.log_probs),
        of_rows(state.finished),
        cache,
    )
    behind = keras.tree.map_structure(of_prompts, behind)
    return behind, tuple(selected), of_prompts(lengths)


def grown(state: State, places: int) -> State:
    """`state` with room for `places` tokens in each row."""
    state = State(*state)
    more = places - state.tokens.shape[2]

    def pad(array, axis, value=0):
        widths = [(0, 0)] * len(array.shape)
        widths[axis] = (0, more)
        return ops.pad(array, widths, constant_values=value)

    keys, values, positions = state.cache
    cache = (
        tuple(pad(key, 3) for key in keys),
        tuple(pad(value, 3) for value in values),
        pad(positions, 2, prefix.FAR),
    )
    return state._replace(tokens=pad(state.tokens, 2), cache=cache)
