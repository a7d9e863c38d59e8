"""Small models of every family that can teach, judge and sample.

Each has random weights and a tokenizer of its own kind, made on the spot.
"""

import functools
import json

import keras
import keras_hub
import tokenizers

from tests.model import vocabulary

_SIZES = {
    "num_layers": 1,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 32,
    "intermediate_dim": 48,
}


@functools.cache
def byte_pairs(*special):
    """Vocabulary and merges of a byte-level tokenizer, as keyword arguments."""
    made = tokenizers.ByteLevelBPETokenizer()
    made.train_from_iterator(
        vocabulary.sentences(), vocab_size=340, show_progress=False
    )
    model = json.loads(made.to_str())["model"]
    words = [*special, *sorted(model["vocab"], key=model["vocab"].get)]
    return {
        "vocabulary": {word: place for place, word in enumerate(words)},
        "merges": [" ".join(pair) for pair in model["merges"]],
    }


def llama():
    return _sentence_piece("Llama", "</s>")


def mistral():
    return _sentence_piece("Mistral", "</s>", sliding_window=6)


def phi3():
    return _sentence_piece("Phi3", "<|endoftext|>")


def llama3():
    special = (
        "<|pad|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    )
    tokenizer = keras_hub.models.Llama3Tokenizer(
        **byte_pairs(*special),
        misc_special_tokens={"<|start_header_id|>", "<|end_header_id|>"},
    )
    return _made("Llama3", tokenizer)


def qwen():
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = keras_hub.models.QwenTokenizer(**byte_pairs(*special))
    return _made("Qwen", tokenizer)


def qwen3():
    special = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    tokenizer = keras_hub.models.Qwen3Tokenizer(**byte_pairs(*special))
    return _made("Qwen3", tokenizer, head_dim=8, sliding_window_size=None)


def gpt2():
    tokenizer = keras_hub.models.GPT2Tokenizer(**byte_pairs("<|endoftext|>"))
    sizes = {**_SIZES, "num_heads": 4, "max_sequence_length": 1024}
    del sizes["num_query_heads"], sizes["num_key_value_heads"]
    return _made("GPT2", tokenizer, sizes)


def smollm3():
    special = (
        "<|pad|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<think>",
        "</think>",
    )
    tokenizer = keras_hub.models.SmolLM3Tokenizer(**byte_pairs(*special))
    sizes = {**_SIZES, "num_layers": 2, "num_attention_heads": 4}
    del sizes["num_query_heads"]
    return _made(
        "SmolLM3",
        tokenizer,
        sizes,
        attention_bias=False,
        attention_dropout=0.0,
        # Every second layer knows no positions.
        rope_layer_enabled_list=[True, False],
        layer_types=["full_attention"] * 2,
        mlp_bias=False,
        layer_norm_epsilon=1e-5,
        max_position_embeddings=512,
        rope_theta=10_000.0,
        partial_rotary_factor=1.0,
    )


def gemma3n():
    tokenizer = keras_hub.models.Gemma3nTokenizer(
        proto=vocabulary.proto(
            symbols=(
                "<image_soft_token>",
                "<audio_soft_token>",
                "<start_of_image>",
                "<end_of_image>",
                "<start_of_audio>",
                "<end_of_audio>",
                "<start_of_turn>",
                "<end_of_turn>",
                "<mask>",
                "[multimodal]",
            )
        )
    )
    words = tokenizer.vocabulary_size()
    sizes = {
        "text_vocab_size": words,
        "text_hidden_size": 32,
        "num_hidden_layers": 2,
        "pad_token_id": 0,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "intermediate_size": [48, 48],
        "hidden_activation": "gelu_approximate",
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 6,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 512,
        "vocab_size_per_layer_input": words,
        "hidden_size_per_layer_input": 4,
        "altup_num_inputs": 2,
        "laurel_rank": 2,
    }
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.Gemma3nBackbone(**sizes)
    return keras_hub.models.Gemma3nCausalLM(
        backbone=backbone,
        preprocessor=keras_hub.models.Gemma3nCausalLMPreprocessor(
            tokenizer, sequence_length=4096
        ),
    )


def gemma4():
    tokenizer = keras_hub.models.Gemma4Tokenizer(
        proto=vocabulary.proto(symbols=("<|turn>", "<turn|>")),
        has_vision_tokens=False,
        has_video_tokens=False,
    )
    return _made(
        "Gemma4",
        tokenizer,
        {**_SIZES, "num_layers": 2},
        image_size=16,
        head_dim=8,
        sliding_window_size=6,
        sliding_window_pattern=2,
    )


def _sentence_piece(name, end, **options):
    proto = vocabulary.proto(start="<s>", end=end, symbols=())
    tokenizer = getattr(keras_hub.models, f"{name}Tokenizer")(proto=proto)
    return _made(name, tokenizer, **options)


def _made(name, tokenizer, sizes=_SIZES, **options):
    keras.utils.set_random_seed(0)
    models = keras_hub.models
    backbone = getattr(models, f"{name}Backbone")(
        vocabulary_size=tokenizer.vocabulary_size(), **sizes, **options
    )
    return getattr(models, f"{name}CausalLM")(
        backbone=backbone,
        preprocessor=getattr(models, f"{name}CausalLMPreprocessor")(tokenizer),
    )


# By the names that the README has for them.
FAMILIES = {
    "Llama": llama,
    "Llama 3": llama3,
    "Mistral": mistral,
    "Phi-3": phi3,
    "Qwen 2": qwen,
    "Qwen 3": qwen3,
    "GPT-2": gpt2,
    "SmolLM 3": smollm3,
    "Gemma 4": gemma4,
    "Gemma 3n": gemma3n,
}
