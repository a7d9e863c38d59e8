"""Small Gemmas of every kind, for tests."""

import functools

import keras
import keras_hub

VOCABULARY = 61


def gemma1(kv_heads=1, **options):
    return _gemma(num_key_value_heads=kv_heads, **options)


def gemma2(**options):
    return _gemma(
        num_key_value_heads=2,
        query_head_dim_normalize=False,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        attention_logit_soft_cap=5.0,
        final_logit_soft_cap=3.0,
        use_sliding_window_attention=True,
        sliding_window_size=4,
        **options,
    )


def gemma3(**options):
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.Gemma3Backbone(
        vocabulary_size=options.pop("vocabulary_size", VOCABULARY),
        image_size=16,
        num_layers=7,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
        use_post_ffw_norm=True,
        use_post_attention_norm=True,
        use_sliding_window_attention=True,
        sliding_window_size=4,
        dtype=options.pop("dtype", "float32"),
        **options,
    )
    return roughen(backbone)


@functools.cache
def vision_encoder():
    """Of a Gemma 3 that sees."""
    return keras_hub.models.Gemma3VisionEncoder(
        image_size=16,
        patch_size=4,
        num_heads=2,
        hidden_dim=8,
        num_layers=1,
        intermediate_dim=16,
        output_dim=16,
        pool_size=2,
        dtype="float32",
    )


def _gemma(**options):
    keras.utils.set_random_seed(0)
    backbone = keras_hub.models.GemmaBackbone(
        vocabulary_size=options.pop("vocabulary_size", VOCABULARY),
        num_layers=2,
        num_query_heads=4,
        hidden_dim=16,
        intermediate_dim=32,
        head_dim=8,
        dtype=options.pop("dtype", "float32"),
        **options,
    )
    return roughen(backbone)


def roughen(backbone):
    """Fresh norms are all zeros, which would hide an error in them."""
    for variable in backbone.trainable_variables:
        if variable.name == "scale":
            noise = keras.random.normal(variable.shape, stddev=0.3, seed=7)
            variable.assign(noise)
    return backbone


KINDS = {
    "gemma1-multi-query": gemma1,
    "gemma1-multi-head": lambda **options: gemma1(kv_heads=4, **options),
    "gemma2": gemma2,
    "gemma3": gemma3,
}


def causal_lm(backbone, preprocessor=None):
    if isinstance(backbone, keras_hub.models.Gemma3Backbone):
        cls = keras_hub.models.Gemma3CausalLM
    else:
        cls = keras_hub.models.GemmaCausalLM
    return cls(backbone=backbone, preprocessor=preprocessor)
