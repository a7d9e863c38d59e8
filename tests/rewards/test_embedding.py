import keras_hub
import numpy as np
import pytest

from keras_restpg.rewards.embedding import EmbeddingReward
from tests.rewards.records import example


class Axes:
    """Counts of a, b and c, not normalised; keeps what it was given."""

    def __init__(self):
        self.batches = []

    def encode_text(self, texts, batch_size, verbose):
        self.batches.append(len(texts))
        return np.array([[t.count(c) for c in "abc"] for t in texts], "f4")


def test_cosine_of_answer_and_expected_output():
    reward = EmbeddingReward(Axes())
    examples = [example(expected="aab")] * 4
    values = reward.score(examples, ["aabaab", "c", "ab", "xyz"])
    assert values.dtype == np.float32
    assert reward.get_config() == {"embedder": reward.embedder}
    np.testing.assert_allclose(values, [1, 0, 3 / 10**0.5, 0], rtol=1e-6)


def test_opposite_texts_are_worth_nothing():
    class Opposite:
        def encode_text(self, texts, **options):
            return np.array([[-1.0 if t == "no" else 1.0] for t in texts])

    reward = EmbeddingReward(Opposite())
    assert reward.score([example()], ["no"]).tolist() == [0]


def test_texts_are_embedded_once_in_whole_batches():
    embedder = Axes()
    reward = EmbeddingReward(embedder, batch_size=4)
    reward.score([example(expected="a")] * 5, ["a", "b", "b", "c", "ab"])
    assert embedder.batches == [4]
    assert reward.score([], []).tolist() == []


def test_blank_answers_are_worth_nothing():
    class Same:
        def encode_text(self, texts, **options):
            return np.ones((len(texts), 2))

    reward = EmbeddingReward(Same())
    assert reward.score([example()] * 2, [" ", "a\ud800"]).tolist() == [0, 1]


@pytest.mark.backend
def test_a_keras_hub_embedder():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdef"]
    models = keras_hub.models
    embedder = models.BertTextEmbedder(
        models.BertBackbone(
            vocabulary_size=len(words),
            num_layers=1,
            num_heads=2,
            hidden_dim=8,
            intermediate_dim=16,
            max_sequence_length=16,
        ),
        models.BertTextEmbedderPreprocessor(
            models.BertTokenizer(vocabulary=words), sequence_length=16
        ),
    )
    reward = EmbeddingReward(embedder, batch_size=2)
    values = reward.score([example(expected="a b")] * 2, ["a b", "d e f"])
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert 0 <= values[1] < 1
