import warnings

import numpy as np
import pytest

from keras_restpg.rewards.overlap import RougeReward
from tests.rewards.records import example

REFERENCE = example(expected="the cat sat on the mat\nand slept")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # 4 of 5 answer words and 4 of 8 reference words: 2 · 4 / 13.
        ("rouge1", 8 / 13),
        # Of 4 and 7 pairs only "the cat" is shared: 2 · 1 / 11.
        ("rouge2", 2 / 11),
        # The longest common subsequence is "the cat on mat".
        ("rougeL", 8 / 13),
        ("rougeLsum", 8 / 13),
    ],
)
def test_known_values(kind, expected):
    values = RougeReward(kind).score([REFERENCE], ["The cat lay on mat"])
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, [expected], rtol=1e-6)


def test_precision_and_recall():
    answers = ["the cat"]
    precision = RougeReward("rouge1", "precision").score([REFERENCE], answers)
    recall = RougeReward("rouge1", "recall").score([REFERENCE], answers)
    np.testing.assert_allclose([precision[0], recall[0]], [1, 2 / 8])


def test_an_empty_answer_is_worth_nothing():
    assert RougeReward().score([REFERENCE], [""]).tolist() == [0]


def test_an_answer_without_an_example_is_refused():
    with pytest.raises(ValueError, match="1 examples and 2 answers"):
        RougeReward().score([REFERENCE], ["a", "b"])


@pytest.mark.parametrize("setting", [{"kind": "bleu"}, {"measure": "mean"}])
def test_unknown_settings_are_refused(setting):
    with pytest.raises(ValueError, match="must be one of.*Received"):
        RougeReward(**setting)


@pytest.mark.parametrize(
    "setting",
    [{"tokenizer": "char"}, {"tokenizer": None}, {"tokenizer": 3}],
)
def test_unknown_tokenizers_are_refused(setting):
    with pytest.raises(ValueError, match="one of .*'rouge', 'words'.*Received"):
        RougeReward(**setting)


def test_stems_without_a_stemmer_are_refused():
    assert RougeReward("rouge1", use_stemmer=True).score(
        [example(expected="cats")], ["cat"]
    ) == [1]
    with pytest.raises(ValueError, match="use_stemmer.*Received"):
        RougeReward(use_stemmer=True, tokenizer="words")


TEXTS = ["我们写作", "привет мир", "हिन्दी में", "שָׁלוֹם עולם", "เราเขียน"]


def test_words_of_any_script_have_a_rouge():
    examples = [example(expected=text) for text in TEXTS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward = RougeReward(tokenizer="words")
        assert reward.score(examples, TEXTS).tolist() == [1] * 5
        assert reward.score(examples[:1], ["我们"]).tolist() == [
            pytest.approx(2 / 3)
        ]


def test_expected_outputs_without_words_are_counted_once():
    examples = [example(expected=text) for text in [*TEXTS, TEXTS[0], "a"]]
    reward = RougeReward()
    with pytest.warns(UserWarning, match="In 5 of 6 .*'rouge'.*'words'") as w:
        assert reward.score(examples, [*TEXTS, "b", "a"])[-1] == 1
    assert w[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reward.score(examples, [*TEXTS, "b", "a"])
    with pytest.warns(UserWarning, match="In 1 of 1 .*'words' finds"):
        RougeReward(tokenizer="words").score([example(expected="!")], ["!"])


def test_it_says_what_it_is():
    class Characters:
        def tokenize(self, text):
            return list(text)

    characters = Characters()
    assert RougeReward("rouge1", "recall", True).get_config() == {
        "kind": "rouge1",
        "measure": "recall",
        "use_stemmer": True,
        "tokenizer": "rouge",
    }
    reward = RougeReward("rouge2", tokenizer=characters)
    assert reward.get_config()["tokenizer"] is characters
    assert reward.score([example(expected="ab")], ["ab"]) == [1]
    again = RougeReward(**reward.get_config())
    assert again.get_config() == reward.get_config()
