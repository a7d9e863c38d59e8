import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_restpg.data.features import Batches, Tokens, tokenize
from keras_restpg.errors import InputError
from keras_restpg.records import TrainingExample


class Letters:
    """Every letter is a token."""

    end_id = 1

    def encode(self, text):
        return [ord(letter) for letter in text]

    def encode_prompt(self, text):
        return [2, *self.encode(text)]


def example(prompt, *outputs):
    return TrainingExample(
        "e", "t", prompt, outputs, tuple(0.5 for _ in outputs)
    )


def test_the_docstrings_example():
    tokens = tokenize([example("ab", "c", "de")], Letters(), 8, 8)
    batch = Batches(tokens, 2, 1000).batch(0)
    assert batch["prompt_ids"][0, 0, :3].tolist() == [2, 97, 98]
    assert batch["prompt_lengths"].tolist() == [[3]]
    outputs = batch["response_ids"][0, 0]
    assert outputs[0, :2].tolist() == [99, 1]
    assert outputs[1, :3].tolist() == [100, 101, 1]
    assert batch["response_lengths"].tolist() == [[[2, 3]]]
    assert not batch["prompt_ids"][0, 0, 3:].any()
    np.testing.assert_array_equal(batch["rewards"], [[[0.5, 0.5]]])


def test_a_cut_output_does_not_learn_to_end():
    (tokens,) = tokenize([example("a", "bcdef", "b")], Letters(), 8, 3)
    assert tokens.outputs == ((98, 99, 100), (98, 1))


def test_more_than_ten_outputs_are_split():
    texts = [chr(97 + i) for i in range(13)]
    tokens = tokenize([example("a", *texts)], Letters(), 8, 8)
    assert [len(t.outputs) for t in tokens] == [10, 3]


def test_what_does_not_fit_is_named():
    with pytest.raises(InputError, match="'e' has 9 tokens; at most 8"):
        tokenize([example("a" * 8, "b")], Letters(), 8, 8)
    with pytest.raises(InputError, match="'e' has no output"):
        tokenize([example("a")], Letters(), 8, 8)
    with pytest.raises(ValueError, match="nothing to train on"):
        Batches([], 2, 100)


sizes = st.tuples(
    st.integers(1, 200), st.lists(st.integers(1, 90), min_size=1, max_size=10)
)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(sizes, min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(1, 3000),
)
def test_an_epoch_has_every_output_once(items, batch_size, micro):
    tokens = [
        Tokens(
            (index + 5,) * prompt,
            tuple((index + 5,) * length for length in outputs),
            (1.0,) * len(outputs),
        )
        for index, (prompt, outputs) in enumerate(items)
    ]
    batches = Batches(tokens, batch_size, micro, seed=3)
    epoch = [batches.batch(number) for number in range(len(batches))]
    found = []
    for batch in epoch:
        lengths = batch["response_lengths"]
        assert (batch["rewards"][lengths == 0] == 0).all()
        for place in np.argwhere(lengths > 0):
            row = batch["response_ids"][tuple(place)]
            found.append((int(row[0]), int(lengths[tuple(place)])))
    expected = [(t.prompt[0], len(o)) for t in tokens for o in t.outputs]
    assert sorted(found) == sorted(expected)
    shapes = {batch["response_ids"].shape for batch in epoch}
    assert len(shapes) <= 8
    again = Batches(tokens, batch_size, micro, seed=3)
    for name, array in again.batch(len(batches)).items():
        np.testing.assert_array_equal(array, batches.batch(len(batches))[name])
