"""Sampling through a model's own `generate`, for families that share no prefix.

The prompt is repeated for each sample. A sample here depends on the number of
samples drawn with it, unlike in the engine.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras_hub
import numpy as np
from keras import ops

from keras_restpg.model.text import Codec

# The engine imports this file.
if TYPE_CHECKING:
    from keras_restpg.model.engine import Sampling


def generate(
    causal_lm: Any,
    token_ids: Sequence[int],
    sampling: "Sampling",
    seed: int,
    new_tokens: int,
    codec: Codec,
) -> list[tuple[list[int], float]]:
    """Samples of one prompt.

    Args:
        causal_lm: any KerasHub `CausalLM`.
        token_ids: list of the prompt's tokens.
        sampling: a `Sampling`.
        seed: int.
        new_tokens: where an output is cut.
        codec: the `Codec` of the model.

    Returns:
        A list of `(token ids, log-probability)`.
    """
    length = len(token_ids)
    shape = (sampling.num_samples, length + new_tokens)
    ids, mask = np.full(shape, codec.pad_id, "int32"), np.zeros(shape, "int32")
    ids[:, :length], mask[:, :length] = token_ids, 1
    causal_lm.compile(sampler=_sampler(sampling, seed))
    preprocessor, causal_lm.preprocessor = causal_lm.preprocessor, None
    try:
        out = causal_lm.generate(
            {"token_ids": ids, "padding_mask": mask},
            stop_token_ids=list(codec.stop_ids),
        )
    finally:
        causal_lm.preprocessor = preprocessor
    ids = ops.convert_to_numpy(out["token_ids"])
    rows = [_cut(row[length:].tolist(), codec.stop_ids) for row in ids]
    log_probs = _log_probs(causal_lm, ids, length)
    return [
        (row, float(scores[: len(row)].sum()))
        for row, scores in zip(rows, log_probs, strict=True)
    ]


def _sampler(sampling, seed):
    if sampling.temperature == 0:
        return keras_hub.samplers.GreedySampler()
    return keras_hub.samplers.TopPSampler(
        p=sampling.top_p,
        k=sampling.top_k or None,
        temperature=sampling.temperature,
        seed=seed,
    )


def _cut(token_ids, stop_ids):
    for index, token_id in enumerate(token_ids):
        if token_id in stop_ids:
            return token_ids[: index + 1]
    return token_ids


def _log_probs(causal_lm, ids, length):
    """Log-probabilities (rows, new tokens) of the tokens after `length`."""
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    logits = causal_lm.predict(inputs, batch_size=1, verbose=0)
    logits = np.asarray(logits[:, length - 1 : -1], "float32")
    logits = logits - logits.max(axis=-1, keepdims=True)
    logits -= np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return np.take_along_axis(logits, ids[:, length:, None], axis=2)[..., 0]
