"""Conversion and vectors equal transformers' BERT with the same weights."""

import pickle

import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.retrieval import Contriever
from keras_restpg.retrieval.contriever import convert

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.backend

TEXTS = [
    "a plain text",
    "ÀÉÎ Ünïcödé Straße",
    "漢字 and kana かな",
    "emoji 🙂 & marks!?",
    "",
    "long word " * 400,
    "abcdefghijklmnop" * 20,
]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder like facebook/contriever's, with small random weights."""
    folder = tmp_path_factory.mktemp("source")
    letters = [chr(97 + i) for i in range(26)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "漢", "か", "!"]
    words += [*letters, *(f"##{x}" for x in letters), "text", "long", "word"]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.5,
    )
    model = transformers.BertModel(config, add_pooling_layer=False).eval()
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder, model


def reference(folder, model, texts):
    tokenizer = transformers.BertTokenizerFast(
        vocab=str(folder / "vocab.txt"), do_lower_case=True
    )
    vectors = []
    for text in texts:
        inputs = tokenizer(
            text, truncation=True, max_length=512, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = model(**inputs).last_hidden_state[0]
        vectors.append(hidden.mean(0).numpy())
    return np.array(vectors)


def test_vectors_equal_transformers(source, tmp_path):
    folder, model = source
    convert(folder, tmp_path / "preset")
    retriever = Contriever.from_preset(tmp_path / "preset", tmp_path / "cache")
    np.testing.assert_allclose(
        retriever.embed(TEXTS), reference(folder, model, TEXTS), atol=1e-5
    )
    documents = tuple(map(Document, TEXTS))
    example = Example("e", "t", "u", "plain text", "y", documents)
    (found,) = retriever.retrieve([example], k=3)
    vectors = reference(folder, model, [*TEXTS, "plain text"])
    order = np.argsort(-(vectors[:-1] @ vectors[-1]), kind="stable")[:3]
    assert [d.text for d in found] == [TEXTS[i] for i in order]


def test_a_file_that_would_run_code_is_refused(source, tmp_path):
    folder, _ = source
    for name in ("vocab.txt", "config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(print))
    with pytest.raises(InputError, match="is refused"):
        convert(tmp_path, tmp_path / "preset")
    (tmp_path / "pytorch_model.bin").unlink()
    with pytest.raises(InputError, match="no such file"):
        convert(tmp_path, tmp_path / "preset")


def test_a_folder_without_a_preset_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no converted Contriever"):
        Contriever.from_preset(tmp_path)
