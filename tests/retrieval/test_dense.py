import concurrent.futures
import tempfile

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.retrieval import DenseRetriever
from keras_restpg.retrieval.dense import Vectors


class Letters:
    """A text's vector counts its letters; counts what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts):
        self.asked += texts
        return np.array(
            [[text.count(letter) for letter in "abcde"] for text in texts],
            "float32",
        )


def examples():
    documents = [("aab", "abb", "", "ccc"), ("ccc", "ddd", "dde")]
    return [
        Example(str(i), "t", "u", query, "y", tuple(map(Document, texts)))
        for i, (query, texts) in enumerate(
            zip(("aa", "d"), documents, strict=True)
        )
    ]


def texts(found):
    return [[document.text for document in row] for row in found]


def test_the_largest_inner_products_win_and_ties_are_stable():
    found = texts(DenseRetriever(Letters()).retrieve(examples(), k=2))
    assert found == [["aab", "abb"], ["ddd", "dde"]]
    (row, _) = texts(DenseRetriever(Letters()).retrieve(examples(), k=9))
    assert row == ["aab", "abb", "", "ccc"]


def test_equals_brute_force():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcde"), 12)) for _ in range(40)]
    asked = Example("e", "t", "u", "abcab", "y", tuple(map(Document, words)))
    embed = Letters()
    scores = embed(words) @ embed(["abcab"])[0]
    order = sorted(range(40), key=lambda i: (-scores[i], i))[:7]
    (found,) = DenseRetriever(embed).retrieve([asked], k=7)
    assert [d.text for d in found] == [words[i] for i in order]


def test_each_text_is_embedded_once_and_kept_on_disk(tmp_path):
    embed = Letters()
    retriever = DenseRetriever(embed, "letters", tmp_path)
    first = retriever.retrieve(examples(), k=2)
    assert sorted(embed.asked) == sorted(set(embed.asked))
    again = Letters()
    kept = DenseRetriever(again, "letters", tmp_path)
    assert kept.retrieve(examples(), k=2) == first
    assert not again.asked
    other = Letters()
    DenseRetriever(other, "others", tmp_path).retrieve(examples(), k=2)
    assert other.asked


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_a_flipped_bit_is_embedded_anew(tmp_path):
    rows = Letters()(["aab"]).tobytes()
    DenseRetriever(Letters(), "l", tmp_path).retrieve(examples(), k=2)
    path = tmp_path / "vectors.sqlite3"
    flip(path, path.read_bytes().index(rows) + 2)
    embed = Letters()
    found = texts(DenseRetriever(embed, "l", tmp_path).retrieve(examples(), 2))
    assert found == [["aab", "abb"], ["ddd", "dde"]]
    assert embed.asked == ["aab"]


def test_threads_and_caches_that_share_a_folder_never_mix_vectors(tmp_path):
    def write(who):
        vectors = Vectors(tmp_path, "l")
        for number in range(20):
            texts = ["abcde"[number % 5] * number + who, "shared"]
            vectors.add(texts, Letters()(texts))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(write, "1234"))
    names = ["abcde"[n % 5] * n + who for n in range(20) for who in "1234"]
    found = Vectors(tmp_path, "l").find([*names, "shared"])
    assert sorted(found) == sorted({*names, "shared"})
    for text, vector in found.items():
        np.testing.assert_array_equal(vector, Letters()([text])[0])
    assert not Vectors(tmp_path, "other").find(names)


def test_a_name_or_a_link_leads_nowhere(tmp_path):
    cache, other = tmp_path / "run" / "vectors", tmp_path / "other"
    DenseRetriever(Letters(), "../../../x", cache).retrieve(examples())
    assert [p.name for p in cache.iterdir()] == ["vectors.sqlite3"]
    other.mkdir()
    (tmp_path / "link").symlink_to(other)
    with pytest.raises(InputError, match="is a link"):
        DenseRetriever(Letters(), "l", tmp_path / "link")
    (other / "vectors.sqlite3").symlink_to(tmp_path / "new")
    with pytest.raises(InputError, match="is a link"):
        DenseRetriever(Letters(), "l", other)
    assert not (tmp_path / "new").exists()


def test_what_a_retriever_is():
    embed = Letters()
    assert DenseRetriever(embed, "l").get_config() == {"name": "l"}
    assert DenseRetriever(embed).get_config() == {"embed": embed}


def test_vectors_of_another_model_under_the_same_name_are_refused(tmp_path):
    DenseRetriever(Letters(), "l", tmp_path).rank("a", (Document("b"),), 1)
    other = DenseRetriever(lambda t: np.ones((len(t), 3)), "l", tmp_path)
    with pytest.raises(InputError, match="5 numbers and 3.*a name of its own"):
        other.rank("c", (Document("d"),), 1)


def test_a_cache_needs_a_name_and_a_folder(tmp_path):
    with pytest.raises(ValueError, match="needs a `name`"):
        DenseRetriever(Letters(), cache=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't be read or written"):
        DenseRetriever(Letters(), "l", tmp_path / "file")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda texts: np.ones((1, 3)), "must return .* .3, width."),
        (lambda texts: np.ones((4, 3)), "Received: shape .4, 3."),
        (lambda texts: np.ones(3), "Received: shape .3,."),
        (lambda texts: np.ones((3, 0)), "Received: shape .3, 0."),
        (lambda texts: np.full((3, 2), np.nan), "not finite"),
        (lambda texts: np.full((3, 2), -np.inf), "not finite"),
        (lambda texts: np.full((3, 2), 1e30), "outgrow float32"),
    ],
)
def test_an_embedder_that_fails_is_named(tmp_path, wrong, message):
    documents = (Document("a"), Document("b"))
    retriever = DenseRetriever(wrong, "a-model", tmp_path)
    with pytest.raises(InputError, match="'a-model' .*" + message):
        retriever.rank("c", documents, 2)
    assert not retriever.vectors.find("abc")


def test_a_profile_may_be_empty():
    assert DenseRetriever(Letters()).rank("a", (), 3) == []


def test_equal_rows_keep_the_order_of_the_documents():
    rng = np.random.default_rng(0)
    for _ in range(400):
        rows = rng.normal(size=(3, int(rng.integers(1, 70)))).astype("float32")
        chosen = rng.integers(3, size=int(rng.integers(2, 40)))
        names = [f"{place}/{row}" for place, row in enumerate(chosen)]
        query = rng.normal(size=rows.shape[1]).astype("float32")
        table = {"query": query}
        table |= {n: rows[row] for n, row in zip(names, chosen, strict=True)}
        retriever = DenseRetriever(lambda t, table=table: [table[x] for x in t])
        order = retriever.rank("query", tuple(map(Document, names)), 99)
        assert sorted(order) == list(range(len(names)))
        for row in range(3):
            alike = [i for i in order if chosen[i] == row]
            assert alike == sorted(alike)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.text(st.characters()), min_size=1, max_size=6),
    st.text(st.characters()),
)
def test_any_texts_are_ranked_and_kept(texts, query):
    # Tokenizers take no lone surrogates.
    def embed(texts):
        return Letters()([text.encode().decode() for text in texts])

    documents = tuple(map(Document, [*texts, "\ud800", "a|\0b", "  "]))
    with tempfile.TemporaryDirectory() as folder:
        order = DenseRetriever(embed, "l", folder).rank(query, documents, 9)
        assert sorted(order) == list(range(len(documents)))[:9]
        again = DenseRetriever(None, "l", folder)
        assert again.rank(query, documents, 9) == order


def test_a_document_of_a_megabyte():
    documents = (Document("e" * 2**20), Document("a"), Document("ab"))
    assert DenseRetriever(Letters()).rank("a", documents, 2) == [1, 2]


@pytest.mark.backend
def test_a_preset_of_a_text_embedder(tmp_path):
    keras_hub = pytest.importorskip("keras_hub")
    keras = pytest.importorskip("keras")
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=10,
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=40,
    )
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcde"]
    tokenizer = keras_hub.models.BertTokenizer(pieces, lowercase=True)
    embedder = keras_hub.models.BertTextEmbedder(
        backbone,
        keras_hub.models.BertTextEmbedderPreprocessor(tokenizer, 40),
    )
    embedder.save_to_preset(str(tmp_path / "preset"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        found = DenseRetriever.from_preset(tmp_path / "preset", tmp_path)
    finally:
        keras.config.set_dtype_policy("float32")
    # Of each padded length, and cut.
    texts = ["a b", "", "c " * 20, "d e a " * 30, "b", "e c " * 12]
    np.testing.assert_allclose(
        found.embed(texts), embedder.encode_text(texts), atol=1e-5
    )
    again = DenseRetriever.from_preset(tmp_path / "preset")
    assert again.name == found.name
    (tmp_path / "preset" / "more.txt").touch()
    assert DenseRetriever.from_preset(tmp_path / "preset").name != found.name
    with pytest.raises(InputError, match="'none' can't be loaded"):
        DenseRetriever.from_preset("none")
