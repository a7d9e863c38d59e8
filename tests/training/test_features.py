import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from keras_restpg.errors import InputError
from keras_restpg.records import TrainingExample
from keras_restpg.training.batches import Batches
from keras_restpg.training.features import Tokens, tokenize


class Letters:
    """Every letter is a token."""

    end_id = 1

    def encode(self, text):
        return [ord(letter) for letter in text]

    def encode_prompt(self, text):
        return [2, *self.encode(text)]


def example(prompt, *outputs, token_ids=()):
    return TrainingExample(
        "e", "t", prompt, outputs, tuple(0.5 for _ in outputs), token_ids
    )


def items_of(sizes):
    """`Tokens` of lengths; ids name the example, rewards the output."""
    return [
        Tokens(
            (index + 5,) * prompt,
            tuple((index + 5,) * length for length in outputs),
            tuple((number + 1) / 16 for number in range(len(outputs))),
        )
        for index, (prompt, outputs) in enumerate(sizes)
    ]


def epoch_of(batches):
    return [batches.batch(number) for number in range(len(batches))]


def padded(batch):
    """Tokens of a micro-batch of `batch`, padding included."""
    _, prompts, width, places = batch["response_ids"].shape
    return prompts * (batch["prompt_ids"].shape[-1] + width * places)


def share(batches):
    """Tokens that are real, of all that an epoch computes."""
    real = computed = 0
    for batch in epoch_of(batches):
        lengths = batch["response_lengths"]
        used = (lengths > 0).any(axis=-1)
        real += batch["prompt_lengths"][used].sum() + lengths.sum()
        computed += lengths.shape[0] * padded(batch)
    return real / computed


def log_normal(count, outputs):
    """`Tokens` of lengths as people write, within the paper's limits."""
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(count):
        prompt = np.clip(rng.lognormal(np.log(1200), 0.7), 20, 5120)
        lengths = rng.lognormal(np.log(300), 0.6, rng.integers(1, outputs + 1))
        lengths = np.clip(lengths, 3, 1536).astype(int).tolist()
        sizes.append((int(prompt), lengths))
    return items_of(sizes)


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


def test_sampled_tokens_stay_as_they_were_sampled():
    """300 stands for "ab", 3 for a turn's end; neither is put in or out."""
    sampled = ((97, 98, 97), (300, 98, 3), (97, 98, 97, 98, 1))
    texts = ("aba", "abb", "abab")
    given = example("a", *texts, token_ids=sampled)
    (tokens,) = tokenize([given], Letters(), 8, 4)
    assert tokens.outputs == ((97, 98, 97), (300, 98, 3), (97, 98, 97, 98))


def test_more_than_ten_outputs_are_split():
    texts = [chr(97 + i) for i in range(13)]
    tokens = tokenize([example("a", *texts)], Letters(), 8, 8)
    batch = Batches(tokens, 13, 1000).batch(0)
    lengths = batch["response_lengths"]
    assert sorted((lengths > 0).sum(axis=-1).ravel()) == [6, 7]
    letters = batch["response_ids"][lengths > 0][:, 0]
    assert sorted(map(chr, letters)) == texts


def test_what_does_not_fit_is_named():
    with pytest.raises(InputError, match="'e' has 9 tokens; at most 8"):
        tokenize([example("a" * 8, "b")], Letters(), 8, 8)
    with pytest.raises(InputError, match="'e' has no output"):
        tokenize([example("a")], Letters(), 8, 8)
    with pytest.raises(ValueError, match="nothing to train on"):
        Batches([], 2, 100)


def test_a_prompt_whose_outputs_do_not_fit_is_there_for_each_part():
    batches = Batches(items_of([(5120, [1536] * 10)]), 10, 16_384)
    batch = batches.batch(0)
    assert batch["response_ids"].shape == (2, 1, 5, 1536)
    assert batch["prompt_lengths"].tolist() == [[5120], [5120]]
    assert padded(batch) == 5120 + 5 * 1536


def test_the_last_step_ends_at_the_longest():
    batch = Batches(items_of([(5118, [1500])]), 1, 16_384).batch(0)
    assert batch["prompt_ids"].shape[-1] == 5120
    assert batch["response_ids"].shape[-1] == 1536


@pytest.mark.parametrize("outputs, least", [(1, 0.6), (10, 0.3)])
def test_little_is_padding_and_batches_are_full(outputs, least):
    batches = Batches(log_normal(2000, outputs), 64, 16_384)
    epoch = epoch_of(batches)
    assert share(batches) >= least
    counts = [(batch["response_lengths"] > 0).sum() for batch in epoch]
    assert 58 <= np.mean(counts) <= 70
    assert max(map(padded, epoch)) <= 16_384


def test_few_examples_come_in_few_shapes():
    batches = Batches(log_normal(100, 1), 64, 16_384)
    assert len(batches.groups) <= 3 and share(batches) >= 0.3


sizes = st.tuples(
    st.integers(1, 200), st.lists(st.integers(1, 90), min_size=1, max_size=14)
)


@hypothesis.settings(max_examples=100, deadline=None)
@hypothesis.given(
    st.lists(sizes, min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(1, 3000),
)
def test_an_epoch_has_every_output_once(items, batch_size, micro):
    tokens = items_of(items)
    batches = Batches(tokens, batch_size, micro, seed=3)
    found, shapes = [], set()
    for batch in epoch_of(batches):
        lengths, shape = batch["response_lengths"], batch["response_ids"].shape
        shapes.add((batch["prompt_ids"].shape[-1], *shape))
        assert (batch["rewards"][lengths == 0] == 0).all()
        for place in map(tuple, np.argwhere(lengths > 0)):
            row = batch["response_ids"][place]
            prompt = int(batch["prompt_lengths"][place[:2]])
            length, reward = int(lengths[place]), float(batch["rewards"][place])
            found.append((int(row[0]), prompt, length, reward))
            if padded(batch) > micro:
                # Longer itself, in the steps of the ladder: half as much again.
                longest = max(map(len, tokens[int(row[0]) - 5].outputs))
                assert shape[1:3] == (1, 1)
                assert 1.5 * (max(prompt, 16) + max(longest, 16)) > micro
    expected = [
        (item.prompt[0], len(item.prompt), len(output), reward)
        for item in tokens
        for output, reward in zip(item.outputs, item.rewards, strict=True)
    ]
    assert sorted(found) == sorted(expected)
    assert len(shapes) <= 8
    again = Batches(tokens, batch_size, micro, seed=3)
    for name, array in again.batch(len(batches)).items():
        np.testing.assert_array_equal(array, batches.batch(len(batches))[name])


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    st.lists(st.integers(1, 2000), min_size=20, max_size=60), st.data()
)
def test_a_tight_bound_leaves_no_more_than_eight_shapes(prompts, data):
    """Every prompt with the longest output that still fits."""
    limit = data.draw(st.integers(max(prompts) + 1, 3000))
    tokens = items_of([(prompt, [limit - prompt] * 2) for prompt in prompts])
    batches = Batches(tokens, 8, limit)
    assert len(batches.groups) <= 8
