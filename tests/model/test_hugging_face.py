"""A Gemma folder of Hugging Face's gives the logits of transformers."""

import keras_hub
import numpy as np
import pytest
from keras import ops

from keras_restpg.model import prefix
from tests.model import vocabulary
from tests.model.test_prefix import compiled, padded

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("safetensors")

pytestmark = pytest.mark.backend

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "initializer_range": 0.3,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": 2,
}
MADE = {
    "gemma": ("Gemma", {"num_hidden_layers": 2}),
    "gemma2": (
        "Gemma2",
        {
            "num_hidden_layers": 2,
            "num_key_value_heads": 2,
            "sliding_window": 4,
            "query_pre_attn_scalar": 8,
            "attn_logit_softcapping": 5.0,
            "final_logit_softcapping": 3.0,
        },
    ),
    "gemma3": (
        "Gemma3",
        {
            # Every sixth layer looks at all tokens.
            "num_hidden_layers": 7,
            "num_key_value_heads": 2,
            "sliding_window": 4,
            "query_pre_attn_scalar": 8,
        },
    ),
}


@pytest.fixture(scope="module", params=MADE)
def made(request, tmp_path_factory):
    """A folder as transformers saves it, and its model."""
    name, options = MADE[request.param]
    config_class = "Gemma3TextConfig" if name == "Gemma3" else f"{name}Config"
    words = vocabulary.tokenizer().vocabulary_size()
    config = getattr(transformers, config_class)(
        vocab_size=words, **{**SIZES, **options}
    )
    torch.manual_seed(0)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for key, weight in model.named_parameters():
            if "norm" in key:
                weight.normal_(std=0.3)
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    (folder / "tokenizer.model").write_bytes(vocabulary.proto())
    return folder, model


def test_logits_of_a_shared_prefix_equal_transformers(made):
    folder, model = made
    causal_lm = keras_hub.models.CausalLM.from_preset(str(folder))
    backbone = causal_lm.backbone
    rng = np.random.default_rng(0)
    head, *tails = (rng.integers(4, 60, size) for size in (9, 6, 5))

    def run(first, rest):
        _, memory = prefix.forward(backbone, *first)
        hidden, _ = prefix.forward(backbone, *rest, memory.as_prefix())
        return prefix.logits(backbone, hidden)

    ours = compiled(backbone, run)(
        padded([[head]], 10), padded([tails], 6, start=(len(head),))
    )
    ours = ops.convert_to_numpy(ours)
    for row, tail in enumerate(tails):
        ids = torch.tensor(np.concatenate([head, tail])[None])
        with torch.no_grad():
            theirs = model(ids).logits[0, len(head) :].numpy()
        found = ours[0, row, : len(tail)]
        np.testing.assert_allclose(found, theirs, rtol=1e-5, atol=1e-5)
