import random

import pytest

from keras_restpg import prompts
from keras_restpg.self_training import selection
from tests.rewards.records import scored


def indices(kept):
    return [each.sample.index for each in kept]


def test_the_threshold_itself_passes():
    samples = [scored(r, index=i) for i, r in enumerate([1.0, 0.7, 0.5])]
    assert indices(selection.select(samples)) == [0]
    assert indices(selection.select(samples, tau=0.7)) == [0, 1]


def test_the_highest_rewards_win():
    rewards = [0.5, 1.0, 0.7, 1.0, 0.3]
    samples = [scored(r, index=i) for i, r in enumerate(rewards)]
    kept = selection.select(samples, tau=0, limit=3)
    assert set(indices(kept)) == {1, 3, 2}
    assert indices(kept)[-1] == 2


def test_at_most_ten_of_an_example():
    samples = [scored(1.0, index=i) for i in range(32)]
    other = [scored(1.0, index=i, example_id="f") for i in range(3)]
    kept = selection.select(samples + other)
    assert [e.sample.example_id for e in kept] == ["e"] * 10 + ["f"] * 3


def test_duplicates_go_before_the_limit_counts():
    samples = [scored(1.0, text="same", index=i) for i in range(20)]
    samples += [scored(1.0, index=i) for i in range(20, 29)]
    kept = selection.select(samples)
    assert sorted(indices(kept)) == [0, *range(20, 29)]


def test_same_answer_with_other_reasoning_is_no_duplicate():
    texts = [prompts.join_output(r, "a") for r in ("one", "two", "two ")]
    samples = [scored(1.0, text=t, index=i) for i, t in enumerate(texts)]
    assert sorted(indices(selection.select(samples))) == [0, 1]


def test_of_duplicates_a_finished_one_is_kept():
    samples = [
        scored(1.0, text="same", index=0, finished=False),
        scored(1.0, text="same", index=1),
    ]
    assert indices(selection.select(samples)) == [1]


def test_ties_are_drawn_by_the_seed():
    samples = [scored(1.0, index=i) for i in range(32)]
    draws = {tuple(indices(selection.select(samples, seed=s))) for s in "abc"}
    assert len(draws) == 3
    again = selection.select(samples, seed=7)
    assert again == selection.select(samples, seed=7)


def test_every_sample_has_its_chance():
    samples = [scored(1.0, index=i) for i in range(8)]
    counts = [0] * 8
    for seed in range(400):
        for index in indices(selection.select(samples, limit=2, seed=seed)):
            counts[index] += 1
    assert all(70 <= count <= 130 for count in counts)


def test_the_outcome_does_not_depend_on_the_order():
    samples = [
        scored(random.Random(i).choice([0.7, 1.0]), index=i, example_id=e)
        for e in ("e", "f")
        for i in range(40)
    ]
    before = selection.select(samples, tau=0.7)
    random.Random(0).shuffle(samples)
    after = selection.select(samples, tau=0.7)
    assert sorted(before, key=str) == sorted(after, key=str)


def test_what_was_never_judged_is_never_kept():
    samples = [scored(0.0, reason="empty answer", index=0)]
    assert selection.select(samples, tau=0.0) == []


def test_nothing_in_nothing_out():
    assert selection.select([]) == []


def test_a_limit_below_one_is_refused():
    with pytest.raises(ValueError, match="Received: 0"):
        selection.select([], limit=0)
