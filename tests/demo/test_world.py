import collections

import numpy as np
import pytest

from keras_restpg import prompts
from keras_restpg.demo.world import World
from keras_restpg.demo.world.bullets import read_bullets, write_bullets
from keras_restpg.demo.world.tokenizer import tokenizer_proto
from keras_restpg.records import Example


@pytest.fixture(scope="module")
def world():
    return World(3, (400, 40, 200))


def test_a_seed_makes_the_same_world(world):
    again = World(3, (400, 40, 200))
    assert again.examples("train") == world.examples("train")
    other = World(4, (400, 40, 200))
    assert other.examples("train") != world.examples("train")


def test_users_are_disjoint_and_tasks_take_turns(world):
    users = [
        {example.user for example in world.examples(split)}
        for split in ("train", "validation", "test")
    ]
    assert not users[0] & users[1] and not users[1] & users[2]
    tasks = collections.Counter(e.task for e in world.examples("test"))
    assert set(tasks.values()) == {50}


def test_tastes_show_only_through_cues(world):
    for example in world.examples("test"):
        truth = world.truth(example)
        text = " ".join(d.text for d in example.documents) + example.prompt
        assert truth.kind not in text.split()
        assert truth.concern not in text.split()
        assert truth.manner not in text.split()


def test_no_column_of_the_facts_tells_anything_alone(world):
    """Guessing a concern from kind or subject alone is near chance."""
    by_kind = collections.defaultdict(collections.Counter)
    for (kind, _), concern in world.facts.concern.items():
        by_kind[kind][concern] += 1
    assert max(max(c.values()) for c in by_kind.values()) <= 4


def test_the_reward_is_one_for_the_users_own_words_alone(world):
    examples = world.examples("test")
    own = world.reward.score(examples, [e.expected for e in examples])
    assert (own == 1.0).all()
    shifted = [e.expected for e in examples[1:] + examples[:1]]
    assert world.reward.score(examples, shifted).mean() < 0.25
    assert world.reward.score(examples[:1], [""])[0] == np.float32(0.1)


def test_the_teacher_is_mostly_right_and_wrong_in_a_system(world):
    examples = world.examples("train")
    right = np.array(
        [world.right(e, world.teacher(e).text) for e in examples]
    ).mean(axis=0)
    assert (right > 0.5).all() and (right < 0.97).all()


def test_bullets_are_read_as_they_are_written():
    text = write_bullets("parent", "heater", "safety", "warm")
    found = read_bullets(text)
    assert found == ("parent", "safety", "warm") or (
        found.kind,
        found.concern,
        found.manner,
    ) == ("parent", "safety", "warm")
    assert read_bullets("nothing").kind is None


def test_every_text_comes_back_from_the_vocabulary(world):
    sentencepiece = pytest.importorskip("sentencepiece")
    templates = [prompts.REASONING_PROMPT, prompts.REASONING_OUTPUT]
    pieces = sentencepiece.SentencePieceProcessor(
        model_proto=tokenizer_proto(templates)
    )
    for example in world.examples("test")[:20]:
        assert isinstance(example, Example)
        text = prompts.personalized_prompt(
            example.prompt, [d.text for d in example.documents], True
        )
        ids = pieces.encode(text)
        assert pieces.decode(ids) == text
        assert len(ids) < 110
