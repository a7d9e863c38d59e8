"""The reward-weighted loss of Algorithm 1, line 11.

Maximising E[R · log p(ŷ | x; P)] is minimising the sum over response tokens
of `weight · nll`, where a token's weight comes from its output's reward and
the normalisation over the whole batch (`token_weights`). Logits exist for
one chunk of response positions at a time and are computed anew in the
backward pass: those of a whole batch never do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import keras
from keras import ops

from keras_restpg import backend
from keras_restpg._types import Batch, Tensor
from keras_restpg.model import prefix

if TYPE_CHECKING:
    from keras_hub.models import Backbone

NORMALIZATIONS = ("tokens", "sequence", "weight")

# Bytes of float32 logits that are kept for the backward pass, and of a chunk
# where those of all response positions are more.
_KEPT_BYTES = 2**27
_CHUNK_BYTES = 2**25


def token_weights(
    rewards: Tensor, lengths: Tensor, places: int, normalization: str = "tokens"
) -> Tensor:
    """The weight of every response token in the loss of its batch.

    Args:
        rewards: float32 (..., K), the reward of each output; 0 trains
            nothing.
        lengths: int32 (..., K), the tokens of each output; 0 for padding.
        places: T, the padded length.
        normalization: what the sum is divided by: `"tokens"`, the response
            tokens of the batch, so that rewards scale gradients;
            `"sequence"`, each output's own tokens, then the outputs;
            `"weight"`, the sum of rewards over tokens.

    Returns:
        float32 (..., K, T).

    Raises:
        ValueError: an unknown normalisation.
    """
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {NORMALIZATIONS}. "
            f"Received: {normalization!r}"
        )
    inside = ops.arange(places, dtype="int32") < lengths[..., None]
    inside = ops.cast(inside, "float32")
    counts = ops.cast(lengths, "float32")
    weights = rewards[..., None] * inside
    if normalization == "sequence":
        real = ops.sum(ops.cast(lengths > 0, "float32"))
        weights = weights / ops.maximum(counts, 1.0)[..., None]
        return weights / ops.maximum(real, 1.0)
    if normalization == "weight":
        return weights / ops.maximum(ops.sum(rewards * counts), 1e-6)
    return weights / ops.maximum(ops.sum(counts), 1.0)


def weighted_nll(
    backbone: Backbone,
    hidden: Tensor,
    targets: Tensor,
    weights: Tensor,
    mask: Tensor,
) -> tuple[Tensor, Tensor]:
    """Sums of weighted and plain negative log-likelihood.

    Args:
        backbone: the model whose embedding makes logits, Gemma 2's final
            soft cap included.
        hidden: (N, hidden), states that predict `targets`.
        targets: int32 (N,).
        weights: float32 (N,).
        mask: float32 (N,), 1 for response tokens.

    Returns:
        Two float32 scalars: the sum of `weights · nll` and of `mask · nll`.
    """
    count, word = hidden.shape[0], 4 * backbone.vocabulary_size
    whole = count * word <= _KEPT_BYTES
    rows = count if whole else max(1, _CHUNK_BYTES // word)
    chunks = -(-count // rows)
    rows = -(-count // chunks)

    def chunk_sums(hidden, targets, weights, mask):
        logits = _logits(backbone, hidden)
        chosen = ops.take_along_axis(logits, targets[:, None], axis=1)[:, 0]
        nll = ops.logsumexp(logits, axis=-1) - chosen
        # A padded position may hold anything, infinities included.
        nll = ops.where(mask > 0, nll, 0.0)
        return ops.stack(
            [ops.sum(weights * nll), ops.sum(ops.stop_gradient(nll))]
        )

    arrays = (hidden, targets, weights, mask)
    arrays = [_in_chunks(array, chunks, rows) for array in arrays]
    sums = backend.sum_over_chunks(chunk_sums, arrays)
    return sums[0], sums[1]


def _logits(backbone, hidden):
    """`prefix.logits`, with the gradients of a quantised embedding as well.

    Keras rounds the hidden states before it multiplies them with quantised
    embeddings, which stops their gradient. Here they meet the embeddings as
    the input side reads them, in floating point.
    """
    embedding = backbone.token_embedding
    if embedding.quantization_mode is None:
        return prefix.logits(backbone, hidden)
    words = ops.arange(backbone.vocabulary_size, dtype="int32")
    logits = ops.matmul(hidden, ops.transpose(embedding(words)))
    logits = ops.cast(logits, "float32")
    cap = embedding.logit_soft_cap
    return logits if cap is None else cap * ops.tanh(logits / cap)


def _in_chunks(array, chunks, rows):
    missing = chunks * rows - array.shape[0]
    if missing:
        widths = [(0, missing)] + [(0, 0)] * (len(array.shape) - 1)
        array = ops.pad(array, widths)
    return ops.reshape(array, (chunks, rows, *array.shape[1:]))


def response_loss(
    backbone: Backbone, micro: Batch, weights: Tensor, recompute: bool = False
) -> tuple[Tensor, Tensor]:
    """The loss of a micro-batch of prompts with their outputs.

    The last token of a prompt predicts an output's first, so it begins every
    row of outputs and the shared prefix is the prompt without it.

    Args:
        backbone: a Gemma that `prefix.forward` supports.
        micro: a dict of int32 `prompt_ids` (P, L), `prompt_lengths` (P,),
            `response_ids` (P, K, T), `response_lengths` (P, K).
        weights: float32 (P, K, T), see `token_weights`.
        recompute: whether layers are computed anew in the backward pass.

    Returns:
        See `weighted_nll`.
    """
    prompt_ids, lengths = micro["prompt_ids"], micro["prompt_lengths"]
    targets = micro["response_ids"]
    prompts, rows, places = targets.shape
    at = ops.arange(prompt_ids.shape[1], dtype="int32")[None, None]
    at = ops.broadcast_to(at, (prompts, 1, prompt_ids.shape[1]))
    before = (lengths - 1)[:, None, None]
    _, memory = prefix.forward(
        backbone, prompt_ids[:, None], at, at < before, recompute=recompute
    )
    last = ops.take_along_axis(prompt_ids[:, None], before, axis=2)
    last = ops.broadcast_to(last, (prompts, rows, 1))
    inputs = ops.concatenate([last, targets[:, :, :-1]], axis=2)
    steps = ops.arange(places, dtype="int32")[None, None]
    mask = steps < micro["response_lengths"][:, :, None]
    hidden, _ = prefix.forward(
        backbone,
        inputs,
        ops.broadcast_to(before + steps, targets.shape),
        mask,
        memory.as_prefix(),
        recompute=recompute,
    )
    return weighted_nll(
        backbone,
        ops.reshape(hidden, (-1, hidden.shape[-1])),
        ops.reshape(targets, (-1,)),
        ops.reshape(weights, (-1,)),
        ops.reshape(ops.cast(mask, "float32"), (-1,)),
    )


def global_norm(gradients: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, float32."""
    squares = [
        ops.sum(ops.square(ops.cast(gradient, "float32")))
        for gradient in gradients
        if gradient is not None
    ]
    return keras.ops.sqrt(sum(squares))
