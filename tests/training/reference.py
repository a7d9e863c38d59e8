"""Gemma 1 in NumPy and float64, with the reward-weighted loss in plain form."""

import numpy as np


def weights_of(backbone):
    """The backbone's weights by name, float64."""
    named = {"embedding": backbone.token_embedding.embeddings}
    for index, layer in enumerate(backbone.transformer_layers):
        attention = layer.attention
        named |= {
            f"{index}.norm1": layer.pre_attention_norm.scale,
            f"{index}.query": attention.query_dense.kernel,
            f"{index}.key": attention.key_dense.kernel,
            f"{index}.value": attention.value_dense.kernel,
            f"{index}.output": attention.output_dense.kernel,
            f"{index}.norm2": layer.pre_ffw_norm.scale,
            f"{index}.gate": layer.gating_ffw.kernel,
            f"{index}.up": layer.gating_ffw_2.kernel,
            f"{index}.down": layer.ffw_linear.kernel,
        }
    named["norm"] = backbone.layer_norm.scale
    return named


def loss(weights, layers, sequences, rewards, normalization="tokens"):
    """The loss of separate sequences.

    Args:
        weights: a dict of float64 arrays, named as by `weights_of`.
        layers: how many.
        sequences: pairs (prompt, response) of token lists.
        rewards: one for each.
    """
    nlls = [_nll(weights, layers, *sequence) for sequence in sequences]
    counts = [len(response) for _, response in sequences]
    if normalization == "sequence":
        means = [nll / count for nll, count in zip(nlls, counts, strict=True)]
        return np.dot(rewards, means) / len(sequences)
    total = np.dot(rewards, nlls)
    if normalization == "weight":
        return total / np.dot(rewards, counts)
    return total / sum(counts)


def _nll(weights, layers, prompt, response):
    tokens = np.array([*prompt, *response])
    logits = _logits(weights, layers, tokens)[len(prompt) - 1 : -1]
    logits = logits - logits.max(-1, keepdims=True)
    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return -log_probs[np.arange(len(response)), response].sum()


def _logits(weights, layers, tokens):
    embedding = weights["embedding"]
    x = embedding[tokens] * np.sqrt(embedding.shape[1])
    for index in range(layers):
        part = {
            name.split(".")[1]: value
            for name, value in weights.items()
            if name.startswith(f"{index}.")
        }
        x = x + _attention(part, _norm(x, part["norm1"]))
        y = _norm(x, part["norm2"])
        x = x + (_gelu(y @ part["gate"]) * (y @ part["up"])) @ part["down"]
    return _norm(x, weights["norm"]) @ embedding.T


def _norm(x, scale):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * (1 + scale)


def _gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def _rope(x):
    half = x.shape[-1] // 2
    angles = np.arange(x.shape[0])[:, None] * 10_000.0 ** (
        -np.arange(half) / half
    )
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def _attention(part, x):
    query = _rope(np.einsum("td,ndh->tnh", x, part["query"]))
    key = _rope(np.einsum("td,kdh->tkh", x, part["key"]))
    value = np.einsum("td,kdh->tkh", x, part["value"])
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat(groups, axis=1), value.repeat(groups, axis=1)
    scores = np.einsum("tnh,snh->nts", query, key) / np.sqrt(query.shape[-1])
    scores = np.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -1e30)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    mixed = np.einsum("nts,snh->tnh", scores, value)
    return np.einsum("tnh,nhd->td", mixed, part["output"])
