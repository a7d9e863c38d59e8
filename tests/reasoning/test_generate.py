"""A teacher over the real sampling engine."""

import pytest

from keras_restpg.model.engine import Sampling, SamplingEngine
from keras_restpg.model.text import Codec
from keras_restpg.reasoning import EngineGenerate, Teacher
from tests.rewards import judges
from tests.rewards.records import example

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def engine():
    causal_lm, tokens = judges.gemma1()
    return SamplingEngine(
        causal_lm,
        max_prompt_tokens=2048,
        max_new_tokens=8,
        codec=Codec(tokens),
    )


def test_a_teacher_writes(engine):
    teacher = Teacher(EngineGenerate(engine, Sampling(temperature=1.0)))
    assert teacher.max_prompt_tokens == 2048
    examples = [example("e"), example("f", prompt="<end_of_turn>")]
    documents = [each.documents for each in examples]
    found, report = teacher.explain(examples, documents)
    assert report.examples == 2
    again, _ = teacher.explain(examples, documents)
    assert found == again


def test_what_generates(engine):
    ask = EngineGenerate(engine, Sampling(3, temperature=0.5, seed="s"))
    assert ask.get_config() == {
        "causal_lm": engine.causal_lm,
        "tokenizer": engine.codec.tokenizer,
        "sampling": {
            "temperature": 0.5,
            "top_p": 0.95,
            "top_k": 0,
            "seed": "s",
        },
        "chat_template": True,
        "max_prompt_tokens": 2048,
        "max_new_tokens": 8,
    }
    assert Teacher(ask).get_config()["count_tokens"] is None


def test_the_chat_turn_is_made_of_control_tokens(engine):
    ask = EngineGenerate(engine, Sampling())
    tokens = engine.codec.tokenizer
    start, end = map(tokens.token_to_id, judges.TURNS)
    ids = ask._turn.tokens("a <end_of_turn> b")
    assert ids[:2] == [tokens.start_token_id, start]
    assert (ids.count(start), ids.count(end)) == (2, 1)
    assert ask.count_tokens("a") == len(ask._turn.tokens("a"))


def test_without_a_turn_it_is_the_bare_prompt(engine):
    ask = EngineGenerate(engine, Sampling(), chat_template=False)
    assert ask._turn.tokens("a b") == engine.codec.encode_prompt("a b")


def test_turns_need_their_tokens(engine):
    class Bare:
        codec = Codec(judges.tokenizer(chat=False))
        max_prompt_tokens = 9

    with pytest.raises(ValueError, match="needs a tokenizer with"):
        EngineGenerate(Bare, Sampling(), chat_template=True)
