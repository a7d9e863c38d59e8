"""A KerasHub Gemma as a Hugging Face folder, for servers and other tools.

Written here and not by KerasHub's own exporter, which in 0.32 is right only
for Gemma 1 of the 2B shape and for Gemma 3 without LoRA weights: it keeps the
first key/value head alone, and leaves out Gemma 2's norms and soft caps.
KerasHub writes the tokenizer. Weights are safetensors alone.
"""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import keras_hub
import numpy as np
import safetensors
from keras import ops

# A prompt as the model was trained on it: `<bos>` and the text, no turns.
PLAIN_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ message['content'] }}"
    "{% endfor %}"
)

# Names of layers there and here, of a whole attention.
_ATTENTION = {
    "q_proj": "query_dense",
    "k_proj": "key_dense",
    "v_proj": "value_dense",
}
_FEED_FORWARD = {
    "gate_proj": "gating_ffw",
    "up_proj": "gating_ffw_2",
    "down_proj": "ffw_linear",
}
# Norms of a layer without and with norms after its two parts.
_TWO_NORMS = {
    "input_layernorm": "pre_attention_norm",
    "post_attention_layernorm": "pre_ffw_norm",
}
_FOUR_NORMS = {
    "input_layernorm": "pre_attention_norm",
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "pre_ffw_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}


def save(
    causal_lm: Any,
    folder: Any,
    merge_lora: bool = False,
    chat_template: str = PLAIN_TEMPLATE,
    generation: dict[str, Any] | None = None,
) -> None:
    """Writes `transformers`' files of a model into a folder.

    Args:
        causal_lm: a KerasHub Gemma 1, 2 or 3 with its preprocessor.
        folder: path; made where it is missing.
        merge_lora: whether LoRA weights are added to those under them.
        chat_template: Jinja, for servers that take messages.
        generation: more of `generation_config.json`, such as `temperature`.

    Raises:
        ValueError: a model that these files can't hold, and why.
    """
    backbone = causal_lm.backbone
    config = config_of(backbone)
    _check_layers(backbone, merge_lora)
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = causal_lm.preprocessor.tokenizer
    tokenizer.export_to_transformers(folder)
    tokens = {
        "bos_token_id": tokenizer.start_token_id,
        "eos_token_id": tokenizer.end_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    _write(folder / "config.json", config | tokens)
    _write(folder / "generation_config.json", tokens | (generation or {}))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    _write(
        folder / "tokenizer_config.json",
        settings | {"chat_template": chat_template},
    )
    _write_weights(backbone, folder / "model.safetensors")


def config_of(backbone: Any) -> dict[str, Any]:
    """`config.json` of a backbone, without the ids of its tokens.

    Raises:
        ValueError: no Gemma 1, 2 or 3, or one with parts that theirs lack.
    """
    kind = _kind(backbone)
    attentions = [layer.attention for layer in backbone.transformer_layers]
    config = {
        "architectures": [_ARCHITECTURES[kind]],
        "model_type": kind,
        "vocab_size": backbone.vocabulary_size,
        "hidden_size": backbone.hidden_dim,
        "intermediate_size": backbone.intermediate_dim,
        "num_hidden_layers": backbone.num_layers,
        "num_attention_heads": backbone.num_query_heads,
        "num_key_value_heads": backbone.num_key_value_heads,
        "head_dim": backbone.head_dim,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": backbone.layer_norm_epsilon,
        # What Gemma's own have, and no limit of these weights.
        "max_position_embeddings": 32_768 if kind == "gemma3_text" else 8192,
        "tie_word_embeddings": True,
        "torch_dtype": backbone.token_embedding.variable_dtype,
        "use_cache": True,
    }
    if kind != "gemma3_text":
        # Gemma's own setting there counts gate and value together.
        config["intermediate_size"] //= 2
        config["rope_theta"] = 10_000.0
    if kind == "gemma":
        return config
    config |= {
        "query_pre_attn_scalar": _scalar(attentions[0]),
        "attn_logit_softcapping": backbone.attention_logit_soft_cap,
        "final_logit_softcapping": backbone.final_logit_soft_cap,
        "sliding_window": backbone.sliding_window_size,
        "layer_types": [
            "sliding_attention"
            if attention.use_sliding_window_attention
            else "full_attention"
            for attention in attentions
        ],
    }
    return config | (_rope(backbone) if kind == "gemma3_text" else {})


_ARCHITECTURES = {
    "gemma": "GemmaForCausalLM",
    "gemma2": "Gemma2ForCausalLM",
    "gemma3_text": "Gemma3ForCausalLM",
}


def _kind(backbone):
    """The `model_type` of a backbone."""
    name = type(backbone).__name__
    after = (
        getattr(backbone, "use_post_ffw_norm", None),
        getattr(backbone, "use_post_attention_norm", None),
    )
    if isinstance(backbone, keras_hub.models.Gemma3Backbone):
        fits = (
            all(after)
            and backbone.use_query_key_norm
            and backbone.vision_encoder is None
            and not backbone.use_bidirectional_attention
            and backbone.attention_logit_soft_cap is None
        )
        kind = "gemma3_text"
    elif isinstance(backbone, keras_hub.models.GemmaBackbone):
        kind = "gemma2" if any(after) else "gemma"
        fits = all(after) or not (
            any(after)
            or backbone.attention_logit_soft_cap
            or backbone.final_logit_soft_cap
            or backbone.use_sliding_window_attention
        )
    else:
        fits, kind = False, name
    if not fits:
        raise ValueError(
            "A Hugging Face folder is written of a text Gemma 1, 2 or 3 with "
            "the parts that Google's have: norms after both parts of a layer "
            "or none, no vision encoder. Save others with `save_to_preset`. "
            f"Received: {name} with {backbone.get_config()}"
        )
    return kind


def _scalar(attention):
    # As the layer has it: KerasHub 0.32 does not hand a Gemma 2's own
    # `query_head_dim_normalize` on to its layers.
    if attention.query_head_dim_normalize:
        return attention.head_dim
    return attention.hidden_dim // attention.num_query_heads


def _rope(backbone):
    """Gemma 3's rotary embeddings, in the words of old and new readers."""

    def kind(theta, factor):
        scaled = {"rope_type": "linear", "factor": float(factor)}
        plain = {"rope_type": "default"}
        return {"rope_theta": theta} | (scaled if factor != 1 else plain)

    factor = backbone.global_rope_scaling_factor
    full = kind(1_000_000.0, factor)
    config = {
        "rope_theta": 1_000_000.0,
        "rope_local_base_freq": 10_000.0,
        "rope_parameters": {
            "full_attention": full,
            "sliding_attention": kind(
                10_000.0, backbone.local_rope_scaling_factor
            ),
        },
    }
    if factor != 1:
        config["rope_scaling"] = {
            "rope_type": "linear",
            "factor": float(factor),
        }
    return config


def _check_layers(backbone, merge_lora):
    for layer in backbone._flatten_layers():
        if getattr(layer, "quantization_mode", None):
            raise ValueError(
                "Quantized weights have another form in a Hugging Face "
                "folder. Save them with `save_to_preset`, or train and "
                "export the model without quantization. Received: "
                f"{layer.path} in {layer.quantization_mode}"
            )
        if getattr(layer, "lora_enabled", False) and not merge_lora:
            raise ValueError(
                "The model has LoRA weights, which this folder holds only "
                "merged with the others: give merge_lora=True. Received: "
                f"LoRA in {layer.path}"
            )


def _weights(backbone) -> Iterator[tuple[str, np.ndarray]]:
    """Names and arrays; `kernel` of a layer with LoRA is the merged one."""
    yield (
        "model.embed_tokens.weight",
        _array(backbone.token_embedding.embeddings),
    )
    yield "model.norm.weight", _array(backbone.layer_norm.scale)
    norms = _TWO_NORMS if _kind(backbone) == "gemma" else _FOUR_NORMS
    for index, layer in enumerate(backbone.transformer_layers):
        name = f"model.layers.{index}"
        for theirs, ours in norms.items():
            yield f"{name}.{theirs}.weight", _array(getattr(layer, ours).scale)
        yield from _attention(f"{name}.self_attn", layer.attention)
        for theirs, ours in _FEED_FORWARD.items():
            kernel = _array(getattr(layer, ours).kernel)
            yield f"{name}.mlp.{theirs}.weight", _contiguous(kernel.T)


def _write_weights(backbone, path):
    # By the addresses of the arrays: NumPy's own writer knows no bfloat16.
    arrays = dict(_weights(backbone))
    tensors = {
        name: safetensors.TensorSpec(
            dtype=array.dtype.name,
            shape=list(array.shape),
            data_ptr=array.ctypes.data,
            data_len=array.nbytes,
        )
        for name, array in arrays.items()
    }
    safetensors.serialize_file(tensors, str(path), {"format": "pt"})


def _attention(name, attention):
    for theirs, ours in _ATTENTION.items():
        # (heads, hidden, head_dim) to (heads * head_dim, hidden).
        kernel = _array(getattr(attention, ours).kernel).transpose(0, 2, 1)
        kernel = kernel.reshape(-1, kernel.shape[-1])
        yield f"{name}.{theirs}.weight", _contiguous(kernel)
    # (heads, head_dim, hidden) to (hidden, heads * head_dim).
    kernel = _array(attention.output_dense.kernel)
    kernel = kernel.reshape(-1, kernel.shape[-1]).T
    yield f"{name}.o_proj.weight", _contiguous(kernel)
    if getattr(attention, "use_query_key_norm", False):
        yield f"{name}.q_norm.weight", _array(attention.query_norm.scale)
        yield f"{name}.k_norm.weight", _array(attention.key_norm.scale)


def _array(variable):
    return _contiguous(ops.convert_to_numpy(variable))


def _contiguous(array):
    # safetensors writes the memory as it lies.
    return np.ascontiguousarray(array)


def _write(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
