import numpy as np
import pytest

from keras_restpg.evaluation import metrics

TEXTS = ["我们写作", "привет мир", "हिन्दी में लिखना"]


def test_perfect_answers_in_any_script():
    found = metrics.overlap_metrics(TEXTS, TEXTS, tokenizer="words")
    assert found["rouge1"].tolist() == found["rougeL"].tolist() == [1] * 3
    # METEOR takes a little off for the one run of words.
    np.testing.assert_allclose(
        found["meteor"], [1 - 0.5 / 64, 1 - 0.5 / 8, 1 - 0.5 / 27], rtol=1e-6
    )


def test_rouge_that_knows_no_word_says_so():
    with pytest.warns(UserWarning, match="In 3 of 3 expected outputs"):
        assert metrics.rouge(TEXTS, TEXTS).tolist() == [0] * 3
