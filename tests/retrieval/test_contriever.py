"""Conversion and vectors equal transformers' BERT with the same weights."""

import pickle
import shutil

import keras
import keras_hub
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.retrieval import Contriever
from keras_restpg.retrieval.contriever import MeanEmbedder, convert

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
    bert = keras_hub.models.BertBackbone.from_preset(str(tmp_path / "preset"))
    small = MeanEmbedder(bert, f"{folder}/vocab.txt", rows=2)
    np.testing.assert_allclose(small(TEXTS), retriever.embed(TEXTS), atol=1e-5)
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


def save_state(change):
    """A damage: writes the weights as `change` makes them."""

    def damage(folder):
        state = torch.load(folder / "pytorch_model.bin", weights_only=True)
        torch.save(change(state), folder / "pytorch_model.bin")

    return damage


def save_text(name, text):
    return lambda folder: (folder / name).write_bytes(text)


def without_a_layer(state):
    return {k: v for k, v in state.items() if "layer.1.output" not in k}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (save_state(lambda state: {"state_dict": state}), "model.bin is ref"),
        (save_state(lambda state: state | {"step": 3}), "model.bin is refused"),
        (save_state(lambda state: [state]), "model.bin is refused"),
        (save_state(without_a_layer), "model.bin and config.json"),
        (save_text("pytorch_model.bin", b""), "model.bin is refused"),
        (save_text("model.safetensors", b"x"), "safetensors is refused"),
        (save_text("config.json", b""), "config.json: not the config"),
        (save_text("config.json", b"{"), "config.json: not the config"),
        (save_text("config.json", b"[]"), "config.json: not the config"),
        (save_text("config.json", b"{}"), "config.json: not the config"),
        (save_text("config.json", b'{"hidden_size": -1}'), "hidden_size=-1"),
        (save_text("config.json", b'{"hidden_size": 16}'), "make no BERT"),
        (save_text("config.json", b"[" * 9999), "config.json: not the config"),
        (save_text("vocab.txt", b"[CLS]\n\xff"), "vocab.txt: byte 7 is not"),
        (save_text("vocab.txt", b"[CLS]\na"), "vocab.txt: not the model's"),
        (lambda folder: (folder / "vocab.txt").unlink(), "vocab.txt: No such"),
    ],
)
def test_damaged_files_are_named(source, tmp_path, damage, message):
    folder = shutil.copytree(source[0], tmp_path / "source")
    damage(folder)
    with pytest.raises(InputError, match=message) as raised:
        convert(folder, tmp_path / "preset")
    assert "Download the files of facebook/contriever" in str(raised.value)
    assert not (tmp_path / "preset").exists()


def test_a_target_that_cannot_be_written_is_named(source, tmp_path):
    (tmp_path / "preset").touch()
    with pytest.raises(InputError, match="preset can't be written"):
        convert(source[0], tmp_path / "preset")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (save_text("fingerprint.txt", b""), "fingerprint.txt is missing or"),
        (lambda f: (f / "fingerprint.txt").unlink(), "fingerprint.txt is miss"),
        (save_text("model.weights.h5", b"x"), "make no BERT"),
        (save_text("config.json", b"{"), "make no BERT"),
        (save_text("vocab.txt", b"\xff"), "vocab.txt: byte 1 is not UTF-8"),
        (
            save_text("vocab.txt", "\n".join(map(str, range(99))).encode()),
            "vocab.txt: not the model's vocabulary",
        ),
    ],
)
def test_a_damaged_preset_is_named(source, tmp_path, damage, message):
    convert(source[0], tmp_path / "preset")
    damage(tmp_path / "preset")
    with pytest.raises(InputError, match=message) as raised:
        Contriever.from_preset(tmp_path / "preset")
    assert "keras-restpg contriever convert" in str(raised.value)


def test_vectors_do_not_depend_on_the_default_dtype(source, tmp_path):
    folder, model = source
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        convert(folder, tmp_path / "preset")
        retriever = Contriever.from_preset(tmp_path / "preset")
        found = retriever.embed(TEXTS[:2])
    finally:
        keras.config.set_dtype_policy("float32")
    expected = reference(folder, model, TEXTS[:2])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_vocabulary_belongs_to_the_fingerprint(source, tmp_path):
    folder = shutil.copytree(source[0], tmp_path / "source")
    convert(folder, tmp_path / "one")
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")
    pieces[-2:] = pieces[:-3:-1]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    convert(folder, tmp_path / "two")
    names = [
        (tmp_path / name / "fingerprint.txt").read_text()
        for name in ("one", "two")
    ]
    assert names[0] != names[1]


def test_a_folder_without_a_preset_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no converted Contriever"):
        Contriever.from_preset(tmp_path)
