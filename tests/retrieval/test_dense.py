import numpy as np
import pytest

from keras_restpg.records import Document, Example
from keras_restpg.retrieval import DenseRetriever


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


@pytest.mark.parametrize("name", ["vectors.f32", "keys.txt"])
def test_what_a_kill_left_half_written_is_embedded_anew(tmp_path, name):
    DenseRetriever(Letters(), "l", tmp_path).retrieve(examples(), k=2)
    path = tmp_path / "l" / name
    path.write_bytes(path.read_bytes()[:-7])
    embed = Letters()
    retriever = DenseRetriever(embed, "l", tmp_path)
    found = texts(retriever.retrieve(examples(), k=2))
    assert found == [["aab", "abb"], ["ddd", "dde"]]
    assert 1 <= len(embed.asked) <= 2
    again = Letters()
    DenseRetriever(again, "l", tmp_path).retrieve(examples(), k=2)
    assert not again.asked
