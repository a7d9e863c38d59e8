"""The reward-weighted loss of Algorithm 1, line 11.

Maximising E[R · log p(ŷ | x; P)] is minimising the sum over response tokens
of `weight · nll`, where a token's weight comes from its output's reward and
the normalisation over the whole batch (`token_weights`). Logits exist for
one chunk of response positions at a time, and so do their gradients: the
weights are known before, so the gradients by hidden states and embeddings are
computed right where the logits are, and no logit is computed twice.
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

# Bytes of the float32 logits of a chunk. Each chunk reads all embeddings and
# adds to all their gradients, so it must not be small.
_CHUNK_BYTES = 2**27


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

    The gradient of the first sum, by `hidden` and by the embeddings, is
    taken; the second has none, nor have `weights`.

    Args:
        backbone: the model whose embedding makes logits, Gemma 2's final
            soft cap included.
        hidden: (P, N, hidden), states that predict `targets`.
        targets: int32 (P, N).
        weights: float32 (P, N).
        mask: (P, N), 1 for response tokens.

    Returns:
        Two float32 scalars: the sum of `weights · nll` and of `mask · nll`.
    """
    embedding = backbone.token_embedding
    prompts, places = targets.shape
    bytes_each = 4 * prompts * backbone.vocabulary_size
    chunks = -(-places // max(1, _CHUNK_BYTES // bytes_each))
    sums = backend.sum_over_chunks(
        _Chunk(
            embedding.logit_soft_cap,
            any(variable.trainable for variable in embedding.variables),
        ),
        _words(backbone),
        [
            _in_chunks(array, chunks)
            for array in (hidden, targets, weights, ops.cast(mask, "float32"))
        ],
    )
    return sums[0], sums[1]


def _words(backbone):
    """The embeddings as the output reads them (vocabulary, hidden)."""
    embedding = backbone.token_embedding
    if embedding.quantization_mode is not None:
        # Keras would round the hidden states, which stops their gradient.
        return embedding(ops.arange(backbone.vocabulary_size, dtype="int32"))
    dtype = embedding.reverse_dtype or embedding.compute_dtype
    return ops.cast(embedding.embeddings, dtype)


class _Chunk:
    """The sums of one chunk, and their gradients in closed form.

    Args:
        soft_cap: of the logits, or None.
        learns: whether the embeddings have a gradient.
    """

    def __init__(self, soft_cap, learns):
        self.soft_cap = soft_cap
        self.learns = learns

    def value(self, words, hidden, targets, weights, mask):
        """float32 (2,): the sums of `weights · nll` and of `mask · nll`."""
        return self._forward(words, hidden, targets, weights, mask)[0]

    def gradients(self, words, hidden, targets, weights, mask):
        """The value, and the first sum's gradients.

        Returns:
            The value; the gradient by `hidden`, as `hidden`; and by `words`,
            float32 (vocabulary, hidden), or None where they don't learn.
        """
        value, logits, normalizer = self._forward(
            words, hidden, targets, weights, mask
        )
        gradient = ops.exp(logits - normalizer[:, None])
        token = ops.arange(words.shape[0], dtype="int32")
        chosen = token[None] == ops.reshape(targets, (-1, 1))
        gradient = ops.where(chosen, gradient - 1.0, gradient)
        gradient = gradient * ops.reshape(weights * mask, (-1, 1))
        if self.soft_cap is not None:
            gradient *= 1.0 - ops.square(logits / self.soft_cap)
        gradient = ops.cast(gradient, words.dtype)
        by_hidden = ops.reshape(ops.matmul(gradient, words), hidden.shape)
        by_hidden = ops.cast(by_hidden, hidden.dtype)
        if not self.learns:
            return value, by_hidden, None
        states = _states(hidden, mask, words.dtype)
        by_words = ops.matmul(ops.transpose(gradient), states)
        return value, by_hidden, ops.cast(by_words, "float32")

    def _forward(self, words, hidden, targets, weights, mask):
        states = _states(hidden, mask, words.dtype)
        logits = ops.matmul(states, ops.transpose(words))
        if self.soft_cap is not None:
            logits = ops.tanh(logits / self.soft_cap) * self.soft_cap
        logits = ops.cast(logits, "float32")
        normalizer = ops.logsumexp(logits, axis=-1)
        targets = ops.reshape(targets, (-1, 1))
        chosen = ops.take_along_axis(logits, targets, axis=1)[:, 0]
        nll = ops.reshape(normalizer - chosen, mask.shape) * mask
        value = ops.stack([ops.sum(weights * nll), ops.sum(nll)])
        return value, logits, normalizer


def _states(hidden, mask, dtype):
    """(P · N, hidden); a padded position may hold anything, even infinity."""
    states = ops.where(mask[..., None] > 0, hidden, 0.0)
    return ops.cast(ops.reshape(states, (-1, hidden.shape[-1])), dtype)


def _in_chunks(array, chunks):
    """(P, N, …) as (chunks, P, n, …), padded with 0.

    Chunks run over the positions of all prompts, so that prompts may lie on
    several devices.
    """
    prompts, places, *others = array.shape
    each = -(-places // chunks)
    missing = chunks * each - places
    if missing:
        widths = [(0, 0), (0, missing)] + [(0, 0)] * len(others)
        array = ops.pad(array, widths)
    array = ops.reshape(array, (prompts, chunks, each, *others))
    return ops.moveaxis(array, 1, 0)


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
        *(
            ops.reshape(array, (prompts, rows * places, *array.shape[3:]))
            for array in (hidden, targets, weights, mask)
        ),
    )


def global_norm(gradients: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, float32."""
    squares = [
        ops.sum(ops.square(ops.cast(gradient, "float32")))
        for gradient in gradients
        if gradient is not None
    ]
    return keras.ops.sqrt(sum(squares))
