"""Sampling through a model's own `generate`, for families that share no prefix.

The model runs as KerasHub wrote it; only its sampler is ours. So words are
drawn as in the engine, from each sample's own random numbers, and their
log-probabilities are kept as they are drawn.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras_hub
import numpy as np
from keras import ops

from keras_restpg import backend
from keras_restpg.model import nucleus
from keras_restpg.model.padding import grid, padded
from keras_restpg.model.text import Codec

# Rows of one call. A step of `generate` copies the caches of all its rows, so
# more of them at once gain little.
_ROWS = 8


def check(causal_lm: Any, max_prompt_tokens: int, max_new_tokens: int) -> None:
    """Raises ValueError where `StockSampler` can't run the model, and why."""
    name = type(causal_lm).__name__
    if not isinstance(causal_lm, keras_hub.models.CausalLM):
        raise ValueError(
            "Sampling needs a keras_hub.models.CausalLM: a decoder that goes "
            f"on from a prompt. Received: {name}"
        )
    places = getattr(causal_lm.backbone, "max_sequence_length", None)
    if places is not None and max_prompt_tokens + max_new_tokens > places:
        raise ValueError(
            f"{name} reads and writes {places} tokens at most. Lower "
            "max_prompt_tokens or max_new_tokens. Received: "
            f"{max_prompt_tokens} and {max_new_tokens}"
        )


class StockSampler:
    """The compiled `generate` of one model, for one way to draw words.

    Args:
        causal_lm: any KerasHub `CausalLM` for which `check` passes.
        codec: the `Codec` of the model.
        max_prompt_tokens: the longest prompt.
        max_new_tokens: where an output is cut.
        sampling: a `Sampling`.
    """

    def __init__(
        self,
        causal_lm: Any,
        codec: Codec,
        max_prompt_tokens: int,
        max_new_tokens: int,
        sampling: Any,
    ) -> None:
        self._longest = max_prompt_tokens
        self._new = max_new_tokens

        def generate(token_ids, lengths, uniforms):
            """(N, L + C), (N,) and (N, C, U) to (N, L + C) and (N,)."""
            places = ops.arange(token_ids.shape[1], dtype="int32")[None]
            mask = ops.cast(places < lengths[:, None], "int32")
            drawing = _Drawing(sampling, codec, uniforms)
            before = getattr(causal_lm, "sampler", None)
            causal_lm.sampler = drawing
            try:
                inputs = {"token_ids": token_ids, "padding_mask": mask}
                written = causal_lm.generate_step(inputs)["token_ids"]
            finally:
                causal_lm.sampler = before
            return written, drawing.log_probs

        self._generate = backend.compiled(generate, causal_lm.variables)

    def stream(
        self,
        rows: Sequence[Sequence[int]],
        uniforms: Callable[[int], np.ndarray],
    ) -> Iterator[tuple[int, list[int], float]]:
        """Samples, a few rows at a time, rows of like length together.

        Args:
            rows: the tokens of each row's prompt.
            uniforms: from a row's index to its random numbers, float32
                (max_new_tokens, U).

        Yields:
            `(index of the row, token ids, log-probability)`; what comes
            after the token that ended a row is padding.
        """
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        for first in range(0, len(order), _ROWS):
            members = order[first : first + _ROWS]
            # The last rows repeat one, so that all calls have one shape.
            filled = (members * _ROWS)[:_ROWS]
            longest = padded(
                len(rows[members[-1]]), 64, 32, limit=self._longest
            )
            ids, lengths = grid(
                [rows[row] for row in filled], (_ROWS,), longest + self._new
            )
            random = np.stack([uniforms(row) for row in filled])
            found = self._generate(
                *map(ops.convert_to_tensor, (ids, lengths, random))
            )
            ids, log_probs = map(ops.convert_to_numpy, found)
            for line, row in enumerate(members):
                begin = len(rows[row])
                written = ids[line, begin : begin + self._new].tolist()
                yield row, written, float(log_probs[line])


class _Drawing:
    """Stands in for a KerasHub sampler, and keeps the log-probabilities.

    `generate` begins where the shortest prompt ends: rows whose prompts go on
    are read there, not written. `log_probs` (N,) is there after the call.
    """

    def __init__(self, sampling, codec, uniforms):
        self.sampling, self.codec, self.uniforms = sampling, codec, uniforms
        self.log_probs = None

    def __call__(self, next, prompt, cache, index, mask, **kwargs):
        mask = ops.cast(mask, "bool")
        lengths = ops.sum(ops.cast(mask, "int32"), axis=-1)
        new = self.uniforms.shape[1]

        def unfinished(prompt, cache, index, log_probs, finished):
            return ops.logical_and(
                index < prompt.shape[1],
                ops.logical_not(ops.all(finished)),
            )

        def write(prompt, cache, index, log_probs, finished):
            logits, _, cache = next(prompt, cache, index)
            step = index - lengths
            tokens, scores = self._draw(logits, step)
            given = step < 0
            waits = ops.logical_or(given, finished)
            tokens = ops.where(waits, self.codec.pad_id, tokens)
            tokens = ops.where(given, ops.take(prompt, index, axis=1), tokens)
            ended = ops.logical_or(self._ends(tokens), step == new - 1)
            return (
                backend.write_slice(prompt, tokens[:, None], (0, index)),
                cache,
                index + 1,
                log_probs + ops.where(waits, 0.0, scores),
                ops.logical_or(finished, ops.where(given, False, ended)),
            )

        start = (
            prompt,
            cache,
            ops.cast(index, "int32"),
            ops.zeros(lengths.shape, "float32"),
            ops.zeros(lengths.shape, "bool"),
        )
        prompt, _, _, self.log_probs, _ = ops.while_loop(
            unfinished, write, start
        )
        return prompt

    def _draw(self, logits, step):
        place = ops.maximum(step, 0)[:, None, None]
        uniforms = ops.take_along_axis(self.uniforms, place, axis=1)[:, 0]
        return nucleus.draw(
            ops.cast(logits, "float32"),
            uniforms,
            self.sampling.temperature,
            self.sampling.top_p,
            self.sampling.top_k,
        )

    def _ends(self, tokens):
        stops = np.array(self.codec.stop_ids, "int32")
        return ops.any(ops.equal(tokens[:, None], stops), axis=-1)
