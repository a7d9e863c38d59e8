import re
import warnings

import hypothesis
import numpy as np
import pytest
import rank_bm25
from hypothesis import strategies as st

from keras_restpg.errors import InputError
from keras_restpg.records import Document, Example
from keras_restpg.retrieval import (
    BM25,
    MostRecent,
    Random,
    Retriever,
    as_retriever,
)
from keras_restpg.retrieval.lexical import words

TEXTS = (
    "the old garden gate",
    "a garden in spring, a garden",
    "trains and rivers",
    "",
    "the old garden gate",
    "Ünïcode | gärden",
)
DOCUMENTS = tuple(Document(text) for text in TEXTS)


def example(query, documents=DOCUMENTS):
    return Example("e", "t", "u", query, "y", documents)


CHINESE = ("我喜歡老花園", "火車和河流", "花園在春天", "ガーデンの門", "สวนเก่า")


@pytest.mark.parametrize(
    ("texts", "query"),
    [
        (TEXTS, "garden"),
        (TEXTS, "old trains"),
        (TEXTS, "the the garden a"),
        (CHINESE, "花園"),
        (CHINESE, "ガーデン の 門, 火車"),
        (CHINESE, "สวน"),
    ],
)
def test_bm25_ranks_as_rank_bm25(texts, query):
    documents = tuple(map(Document, texts))
    tokens = [words(text) for text in texts]
    scores = rank_bm25.BM25Plus(tokens).get_scores(words(query))
    order = np.argsort(-np.round(scores, 9), kind="stable").tolist()
    assert BM25().rank(query, documents, len(texts)) == order


def test_a_query_in_chinese_finds_its_document():
    documents = tuple(map(Document, CHINESE))
    assert BM25().rank("春天", documents, 1) == [2]


HINDI = ("मैं कल गया", "मेरा कमरा", "किताब की कीमत", "कौआ काला", "दिन")


@pytest.mark.parametrize(("query", "best"), [("कीमत", 2), ("दिन", 4)])
def test_a_query_with_vowel_signs_finds_its_document(query, best):
    scores = BM25().scores(query, tuple(map(Document, HINDI)))
    assert scores.argmax() == best and len(set(scores.tolist())) == 2


def test_an_accent_may_be_a_character_of_its_own():
    documents = (Document("cafe\u0301 noir"), Document("the blanc"))
    assert BM25().scores("CAFÉ", documents).argmax() == 0
    assert BM25().scores("cafe\u0301", (Document("café"),))[0] > 0


def test_equal_documents_keep_their_order_and_few_are_all():
    assert BM25().rank("gate", DOCUMENTS, 2) == [0, 4]
    (found,) = BM25().retrieve([example("garden", DOCUMENTS[:2])], k=5)
    assert len(found) == 2


def test_a_query_is_searched_in_its_own_text():
    documents = (Document("x", search_text="apple"), Document("apple"))
    asked = Example("e", "t", "u", "x", "y", documents, query="apple")
    (found,) = BM25().retrieve([asked], k=1)
    assert found == (documents[0],)


def test_most_recent_goes_by_date_then_by_position():
    dated = (Document("a", date="2014"), Document("b", date="2016"))
    assert MostRecent().rank("", dated, 5) == [1, 0]
    assert MostRecent().rank("", DOCUMENTS[:3], 2) == [2, 1]


@pytest.mark.parametrize(
    ("written", "order"),
    [
        (["12 30, 2000", "02 3, 2014", "03 4, 1999"], [1, 0, 2]),
        (["999999999", "", "1000000000", "978000000"], [2, 0, 3, 1]),
        (["2020-01-05T01:00+03:00", "2020-01-04T23:00Z"], [1, 0]),
        (["2020", "", "2020", ""], [2, 0, 3, 1]),
    ],
)
def test_most_recent_reads_dates_as_dates(written, order):
    documents = tuple(Document("x", date=date) for date in written)
    assert MostRecent().rank("", documents, 9) == order


def test_most_recent_refuses_what_it_cannot_read():
    documents = tuple(
        Document("x", str(i), date=date)
        for i, date in enumerate(["02/11/2020", "01/12/2020"])
    )
    assert MostRecent("%d/%m/%Y").rank("", documents, 1) == [1]
    assert MostRecent("%m/%d/%Y").rank("", documents, 1) == [0]
    with pytest.raises(InputError, match="document '0': cannot read the date"):
        MostRecent().rank("", documents, 1)


def test_bm25_says_once_that_there_are_no_words():
    bm25 = BM25()
    with pytest.warns(UserWarning, match="no words in the query '\\?!'"):
        assert bm25.rank("?!", DOCUMENTS, 2) == [0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bm25.rank("?!", DOCUMENTS, 2)
        assert BM25().rank("garden", (), 2) == []
        # No words in common is nothing odd.
        assert BM25().rank("zzz", DOCUMENTS, 2) == [0, 1]
    latin = BM25(tokenize=re.compile("[a-z]+").findall)
    with pytest.warns(UserWarning, match="no words in a profile"):
        latin.rank("garden", tuple(map(Document, CHINESE)), 2)


def test_retrievers_say_what_they_are():
    assert BM25("lucene", 1.2, 0.5, str.split).get_config() == {
        "method": "lucene",
        "k1": 1.2,
        "b": 0.5,
        "tokenize": str.split,
    }
    assert BM25().get_config()["tokenize"] is words

    def latest(query, documents, k):
        return [0]

    assert as_retriever(latest).get_config() == {"function": latest}
    assert Random(3).get_config() == {"seed": 3}
    assert MostRecent().get_config() == {"date_format": ""}
    assert not hasattr(Retriever, "get_config")


def test_random_depends_on_seed_and_query_alone():
    orders = {tuple(Random(s).rank("q", DOCUMENTS, 6)) for s in range(8)}
    assert len(orders) > 1
    assert Random(1).rank("q", DOCUMENTS, 6) == Random(1).rank(
        "q", DOCUMENTS, 6
    )


def test_a_function_is_a_retriever():
    retriever = as_retriever(lambda query, documents, k: [2, 0, 1])
    (found,) = retriever.retrieve([example("x")], k=2)
    assert [d.text for d in found] == [TEXTS[2], TEXTS[0]]
    wrong = as_retriever(lambda query, documents, k: [99])
    with pytest.raises(ValueError, match="Received: \\[99\\]"):
        wrong.retrieve([example("x")])
    twice = as_retriever(lambda query, documents, k: [1, 1])
    with pytest.raises(ValueError, match="different indices.*\\[1, 1\\]"):
        twice.retrieve([example("x")])
    with pytest.raises(ValueError, match="must have the method"):
        as_retriever(3)
    with pytest.raises(ValueError, match="k must be at least 1"):
        BM25().retrieve([example("x")], k=0)


@pytest.mark.filterwarnings("ignore:BM25 finds no words")
@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.lists(st.text(), min_size=1, max_size=6), st.text())
def test_any_texts_are_ranked(texts, query):
    documents = tuple(Document(text) for text in texts)
    order = BM25().rank(query, documents, 3)
    assert len(order) == min(3, len(texts)) == len(set(order))
