"""The one forward function: a prefix computed once, attended to by many.

`forward` runs a KerasHub Gemma by calling the backbone's own sub-layers, so
loaded weights, LoRA and quantisation work unchanged. Each prompt `p` has `R`
rows of tokens (its continuations) that see the keys and values of the
prompt's prefix and their own. Prefix keys and values exist once a prompt and
are never repeated for its rows: the rows of a prompt are queries of one
matrix product with them. Sampling, judging and training all call this
function, and its gradients are those of the separate sequences.

Shapes are written with P prompts, R rows a prompt, T tokens a row, L tokens
of prefix, C places in a cache, K key/value heads, G query heads for each of
them, D dimensions a head.

Who may attend to whom follows from positions alone: a query at position i
sees the keys at positions j <= i, in layers with a sliding window those with
i - j < window, and padding has a position that no query reaches.
"""

import dataclasses
from typing import Any

import keras
import keras_hub
from keras import ops

from keras_restpg import backend

# The position of padding: after every query.
FAR = 2**30


def supports(backbone: Any) -> bool:
    """Whether `forward` can run texts through this backbone: Gemma 1, 2 or 3.

    A Gemma 3 that also sees reads a text as one that does not: its vision
    encoder then has nothing to do.
    """
    if isinstance(backbone, keras_hub.models.Gemma3Backbone):
        return not (
            backbone.use_bidirectional_attention or backbone.is_embedding_model
        )
    return isinstance(backbone, keras_hub.models.GemmaBackbone)


@dataclasses.dataclass(frozen=True)
class Memory:
    """What queries attend to besides themselves: keys, values, positions.

    Attributes:
        keys: one array a layer, (P, K, L, D) for a prefix shared by the rows
            of a prompt, (P, K, R, C, D) for the rows' own tokens.
        values: like `keys`.
        positions: int32, (P, L) or (P, R, C); `FAR` where there is nothing.
    """

    keys: tuple[Any, ...]
    values: tuple[Any, ...]
    positions: Any

    def as_prefix(self) -> "Memory":
        """The tokens of one row a prompt, as the prefix of other rows."""
        return Memory(
            keys=tuple(key[:, :, 0] for key in self.keys),
            values=tuple(value[:, :, 0] for value in self.values),
            positions=self.positions[:, 0],
        )

    def as_tree(self) -> tuple[tuple, tuple, Any]:
        """As nested tuples, which every backend passes to compiled code."""
        return (tuple(self.keys), tuple(self.values), self.positions)


def forward(
    backbone: Any,
    token_ids: Any,
    positions: Any,
    mask: Any,
    prefix: Memory | None = None,
    cache: Memory | None = None,
    write_at: Any = None,
    recompute: bool = False,
    query_block: int = 512,
) -> tuple[Any, Memory]:
    """Hidden states of rows of tokens, given their prompts' prefixes.

    Args:
        backbone: a KerasHub Gemma for which `supports` is true.
        token_ids: int32 (P, R, T).
        positions: int32 (P, R, T), each token's place in its sequence, the
            prefix counted. Increasing along T.
        mask: bool (P, R, T), False for padding.
        prefix: a `Memory` shared by the rows of a prompt, or None.
        cache: a `Memory` of the rows' earlier tokens, into which these are
            written, or None.
        write_at: int scalar, the place in the cache where they are written.
        recompute: whether a layer's activations are computed anew in the
            backward pass instead of being kept.
        query_block: queries of a row handled at once, which bounds the
            memory of attention scores to `query_block` x keys a row.

    Returns:
        Hidden states (P, R, T, hidden) after the final norm, and a `Memory`:
        the updated cache where one was given, else of these tokens.
    """
    prompts, rows, length = token_ids.shape
    own = ops.where(mask, positions, FAR)
    if cache is not None:
        own = backend.write_slice(cache.positions, own, (0, 0, write_at))
    view = _View(
        shape=(prompts, rows, length),
        positions=positions,
        own=own,
        prefix=None if prefix is None else prefix.positions,
        write_at=write_at,
        query_block=query_block,
    )
    x = _embed(backbone, backend.reshape(token_ids, (prompts * rows, length)))
    keys, values = [], []
    for index, layer in enumerate(backbone.transformer_layers):
        step = _layer_step(layer, view, prefix is not None)
        if recompute:
            step = backend.recomputed(step)
        memories = [memory for memory in (prefix, cache) if memory is not None]
        past = [m[index] for p in memories for m in (p.keys, p.values)]
        x, key, value = step(x, *past)
        keys.append(key)
        values.append(value)
    x = backbone.layer_norm(x)
    hidden = backend.reshape(x, (prompts, rows, length, x.shape[-1]))
    return hidden, Memory(tuple(keys), tuple(values), own)


def logits(backbone: Any, hidden: Any) -> Any:
    """Logits (..., vocabulary), Gemma 2's final soft cap included, float32."""
    return ops.cast(backbone.token_embedding(hidden, reverse=True), "float32")


def empty_cache(backbone: Any, prompts: int, rows: int, places: int) -> Memory:
    """A cache `Memory` of `places` tokens for each row."""
    kv_heads, dim = backbone.num_key_value_heads, backbone.head_dim
    shape = (prompts, kv_heads, rows, places, dim)
    layers = backbone.transformer_layers
    dtype = backbone.compute_dtype
    return Memory(
        keys=tuple(backend.spread_zeros(shape, dtype) for _ in layers),
        values=tuple(backend.spread_zeros(shape, dtype) for _ in layers),
        positions=FAR + backend.spread_zeros((prompts, rows, places), "int32"),
    )


@dataclasses.dataclass(frozen=True)
class _View:
    """What all layers of one call share: sizes and positions."""

    shape: tuple[int, int, int]  # (P, R, T)
    positions: Any  # (P, R, T), of the queries
    own: Any  # (P, R, T or C), of the rows' own keys
    prefix: Any  # (P, L), of the prefix's keys
    write_at: Any
    query_block: int


def _embed(backbone, token_ids):
    x = backbone.token_embedding(token_ids)
    return x * ops.cast(backbone.hidden_dim**0.5, x.dtype)


def _layer_step(layer, view, has_prefix):
    """A decoder block as a function of arrays, so it can be recomputed."""

    def step(x, *past):
        prefix, cache = (past[:2], past[2:]) if has_prefix else ((), past)
        mixed, key, value = _attention(
            layer.attention, layer.pre_attention_norm(x), view, prefix, cache
        )
        if layer.use_post_attention_norm:
            mixed = layer.post_attention_norm(mixed)
        x = x + mixed
        return x + _feed_forward(layer, x), key, value

    return step


def _feed_forward(layer, x):
    x = layer.pre_ffw_norm(x)
    gate = _dense(layer.gating_ffw, x)
    gate = keras.activations.gelu(gate, approximate=True)
    x = _dense(layer.ffw_linear, gate * _dense(layer.gating_ffw_2, x))
    return layer.post_ffw_norm(x) if layer.use_post_ffw_norm else x


def _dense(layer, x):
    """`layer(x)` as one product of two matrices.

    In the gradient of its kernel, an einsum over batch and tokens has XLA
    copy transposed arrays: a fifth of a training step on a CPU.
    """
    if layer.quantization_mode is not None:
        return layer(x)
    kernel = ops.cast(layer.kernel, layer.compute_dtype)
    product = ops.matmul(backend.reshape(x, (-1, x.shape[-1])), kernel)
    return backend.reshape(product, (*x.shape[:-1], -1))


def _attention(layer, x, view, prefix, cache):
    """Attention over the prompt's prefix and the row's own tokens.

    Returns the mixed values (P * R, T, hidden), and the rows' keys and
    values (P, K, R, T or C, D).
    """
    query, key, value = _project(layer, x, view)
    if cache:
        start = (0, 0, 0, view.write_at, 0)
        key = backend.write_slice(cache[0], key, start)
        value = backend.write_slice(cache[1], value, start)
    length = view.shape[2]
    blocks = []
    for begin in range(0, length, view.query_block):
        end = min(begin + view.query_block, length)
        # Without a cache, keys after the block are after all its queries.
        seen = key.shape[3] if cache else end
        blocks.append(
            _attend(
                layer,
                query[:, :, :, begin:end],
                view.positions[:, :, begin:end],
                (key[:, :, :, :seen], value[:, :, :, :seen]),
                view.own[:, :, :seen],
                prefix,
                view.prefix,
            )
        )
    mixed = blocks[0] if len(blocks) == 1 else ops.concatenate(blocks, axis=3)
    mixed = ops.transpose(mixed, (0, 2, 3, 1, 4, 5))
    heads, dim = layer.num_query_heads, layer.head_dim
    mixed = backend.reshape(mixed, (-1, length, heads, dim))
    return layer.output_dense(mixed), key, value


def _project(layer, x, view):
    """Queries (P, K, R, T, G, D), scaled; keys and values (P, K, R, T, D).

    KerasHub's Gemma interleaves the halves of each head after the rotary
    embedding, in queries and keys alike: their products do not change, so it
    is left out here.
    """
    prompts, rows, length = view.shape
    positions = backend.reshape(view.positions, (prompts * rows, length))
    query, key = layer.query_dense(x), layer.key_dense(x)
    if getattr(layer, "use_query_key_norm", False):
        query, key = layer.query_norm(query), layer.key_norm(key)
    # Turned together: the angles are those of the positions alone.
    both = ops.concatenate([query, key], axis=2)
    both = layer.rope_layer(both, positions=positions)
    query, key = ops.split(both, [query.shape[2]], axis=2)
    query = query * ops.cast(_query_scale(layer), query.dtype)
    kv_heads, dim = layer.num_key_value_heads, layer.head_dim
    shape = (prompts, rows, length, kv_heads, -1, dim)
    query = ops.transpose(backend.reshape(query, shape), (0, 3, 1, 2, 4, 5))
    key, value = (
        ops.transpose(
            backend.reshape(part, (prompts, rows, length, kv_heads, dim)),
            (0, 3, 1, 2, 4),
        )
        for part in (key, layer.value_dense(x))
    )
    return query, key, value


def _query_scale(layer):
    if layer.query_head_dim_normalize:
        return layer.head_dim**-0.5
    return (layer.hidden_dim // layer.num_query_heads) ** -0.5


def _attend(
    layer, query, positions, own, own_positions, prefix, prefix_positions
):
    """One softmax over own and prefix keys: (P, K, R, T, G, D).

    The two parts are never concatenated: each is shifted by their common
    maximum, and the sums of both make the denominator.
    """
    prompts, kv_heads, rows, length, groups, dim = query.shape
    shape = (prompts, kv_heads, rows, length, groups)
    apart = backend.reshape(
        query, (prompts, kv_heads, rows, length * groups, dim)
    )
    scores = ops.einsum("pkrqd,pkrsd->pkrqs", apart, own[0])
    scores = backend.reshape(scores, (*shape, -1))
    parts = [_masked(layer, scores, positions, own_positions)]
    if prefix:
        together = backend.reshape(query, (prompts, kv_heads, -1, dim))
        scores = ops.einsum("pkqd,pkld->pkql", together, prefix[0])
        scores = backend.reshape(scores, (*shape, -1))
        behind = prefix_positions[:, None, :]
        parts.append(_masked(layer, scores, positions, behind))
    weights, total = _joint_softmax(parts)
    weights = [ops.cast(part, query.dtype) for part in weights]
    mixed = backend.reshape(
        ops.einsum(
            "pkrqs,pkrsd->pkrqd",
            backend.reshape(
                weights[0], (prompts, kv_heads, rows, length * groups, -1)
            ),
            own[1],
        ),
        query.shape,
    )
    if prefix:
        shared = ops.einsum(
            "pkql,pkld->pkqd",
            backend.reshape(
                weights[1],
                (prompts, kv_heads, rows * length * groups, -1),
            ),
            prefix[1],
        )
        mixed = mixed + backend.reshape(shared, query.shape)
    return mixed / ops.cast(total, mixed.dtype)


def _masked(layer, scores, positions, key_positions):
    """Soft-capped scores in float32, hugely negative where not allowed.

    Args:
        scores: (P, K, R, T, G, S).
        positions: (P, R, T).
        key_positions: (P, R or 1, S).
    """
    scores = ops.cast(scores, "float32")
    if layer.logit_soft_cap is not None:
        cap = float(layer.logit_soft_cap)
        scores = cap * ops.tanh(scores / cap)
    distance = positions[:, :, :, None] - key_positions[:, :, None, :]
    allowed = distance >= 0
    if layer.use_sliding_window_attention:
        near = distance < layer.sliding_window_size
        allowed = ops.logical_and(allowed, near)
    return ops.where(allowed[:, None, :, :, None, :], scores, -1e30)


def _joint_softmax(parts):
    """Unnormalised weights of each part and their common sum (…, 1).

    A query that may attend to nothing (padding) gets weights of zero.
    """
    top = ops.max(parts[0], axis=-1, keepdims=True)
    for part in parts[1:]:
        top = ops.maximum(top, ops.max(part, axis=-1, keepdims=True))
    top = ops.stop_gradient(ops.maximum(top, -1e20))
    weights = [ops.exp(part - top) for part in parts]
    total = sum(ops.sum(part, axis=-1, keepdims=True) for part in weights)
    return weights, ops.maximum(total, 1e-30)
