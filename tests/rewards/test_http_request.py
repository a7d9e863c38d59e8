"""What servers refuse, and what is made of it."""

import collections
import os
import random

import pytest

from keras_restpg.errors import InputError
from keras_restpg.rewards import http_reply
from keras_restpg.rewards.http_client import AGAIN
from keras_restpg.rewards.http_request import Form, Question
from keras_restpg.rewards.http_settings import Request
from keras_restpg.rewards.reward import SCORES
from tests.rewards.forms import FORMS
from tests.rewards.records import example
from tests.rewards.replies import place, reply
from tests.rewards.servers import EXAMPLE, SEVEN, Server, judge

FUZZ = int(os.environ.get("KERAS_RESTPG_FUZZ", 5_000))
SETTINGS = {
    "temperature": 0,
    "max_tokens": 12,
    "logprobs": True,
    "top_logprobs": 20,
}
# In the words of OpenAI, Azure, vLLM, SGLang, Gemini, pydantic.
REFUSALS = [
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model."
        " Use 'max_completion_tokens' instead.",
        {"max_completion_tokens": 12},
    ),
    (
        '{"loc": ["body", "max_tokens"], "msg": "Extra inputs are forbidden"}',
        {"max_completion_tokens": 12},
    ),
    (
        "Requested sample logprobs of 20, which is greater than max allowed: 5",
        {"top_logprobs": 5},
    ),
    (
        "Invalid 'top_logprobs': Input should be less than or equal to 8",
        {"top_logprobs": 8},
    ),
    ("top_logprobs must be between 0 and 5", {"top_logprobs": 5}),
    ("Logprobs is not enabled for models/g-2.5", {"logprobs": None}),
    ("You are not allowed to request logprobs", {"logprobs": None}),
    ("log probabilities are not implemented", {"logprobs": None}),
    (
        "Unsupported value: 'temperature' does not support 0 with this model.",
        {"temperature": None},
    ),
    ("invalid model name", {}),
    ("max_tokens_per_minute exceeded", {}),
    ("", {}),
]
TOO_LONG = [
    "This model's maximum context length is 4096 tokens. However, your "
    "messages resulted in 5000 tokens.",
    "The decoder prompt (length 5000) is longer than the maximum model length "
    "of 4096.",
    "The input (5000 tokens) is longer than the model's context length (4096 "
    "tokens).",
    '{"type": "exceed_context_size_error", "n_ctx": 4096}',
    "the request exceeds the available context size",
    "The input token count (5000) exceeds the maximum number of tokens allowed",
    "prompt is too long: 5000 tokens > 4096 maximum",
]


def question(form=None, prompt="Write.", answer="an answer", longest=8192):
    form = form or Form(Request())
    return Question("m", form, longest, example(prompt=prompt), answer)


@pytest.mark.parametrize(("said", "changed"), REFUSALS)
def test_a_field_is_changed_as_the_server_says(said, changed):
    asked = question()
    before = asked.body()
    found = asked.refused(before, said)
    fields = dict(asked.form.fields)
    if not changed:
        assert found is None and fields == SETTINGS
        return
    assert found is AGAIN and len(asked.form.learnt) == 1
    expected = SETTINGS | changed
    if "max_completion_tokens" in changed:
        del expected["max_tokens"]
    if "logprobs" in changed:
        del expected["top_logprobs"]
    assert fields == {k: v for k, v in expected.items() if v is not None}


def test_a_field_is_changed_once():
    """A server that refuses both names gets no third try."""
    asked = question()
    said = "unknown field: {}"
    assert asked.refused(asked.body(), said.format("max_tokens")) is AGAIN
    again = said.format("max_completion_tokens")
    assert asked.refused(asked.body(), again) is None


def test_what_was_learnt_meanwhile_is_enough():
    form = Form(Request())
    one, other = question(form), question(form)
    sent = one.body(), other.body()
    said = "temperature is not supported"
    assert one.refused(sent[0], said) is AGAIN
    assert other.refused(sent[1], said) is AGAIN
    assert len(form.learnt) == 1


def test_a_failure_that_may_pass_changes_nothing():
    asked = question()
    sent = asked.body()
    assert asked.refused(sent, "error in logprobs", passes=True) is None
    assert asked.body() == sent


def test_fields_of_ones_own():
    form = Form(Request(extra_body={"temperature": 1, "seed": 7}, max_tokens=9))
    assert form.fields["temperature"] == 1 and form.fields["seed"] == 7
    asked = question(form)
    assert asked.refused(asked.body(), "unknown field: seed") is None


@pytest.mark.parametrize("said", TOO_LONG)
def test_a_long_question_is_cut_until_it_fits_or_left(said):
    asked = question(prompt="p" * 5000, answer="a" * 5000)
    lengths = []
    while (found := asked.refused(asked.body(), said)) is AGAIN:
        lengths.append(asked.characters)
    assert lengths == [2500, 1250, 625, 312, 256]
    assert found.judgement().unjudged == "longer than its context"
    assert asked.cut


def test_a_cut_text_keeps_its_beginning_and_its_end():
    asked = question(answer=f"begin{'a' * 999}end", longest=20)
    assert "begina" in asked.content() and "aend" in asked.content()
    assert " […] " in asked.content() and "a" * 20 not in asked.content()


def test_a_reply_leaves_room_for_the_prompt():
    form = Form(Request(max_tokens=4096))
    asked = question(form, answer="a" * 300)
    said = "maximum context length is 4096 tokens and your request has 99"
    assert asked.refused(asked.body(), said) is AGAIN
    assert form.tokens == 2048 and not asked.cut
    assert asked.refused(asked.body(), said) is AGAIN and asked.cut


def thoughts(text=""):
    found = reply(text=text, reasoning="Let me see")
    found["choices"][0]["finish_reason"] = "length"
    return found


def test_a_judge_that_thinks_gets_more_tokens():
    with Server((200, thoughts()), (200, SEVEN)) as server:
        with pytest.warns(RuntimeWarning, match="may use 4,096 tokens"):
            found = judge(server).judge([EXAMPLE] * 2, ["a", "b"])
    assert [each.score for each in found] == [0.7, 0.7]
    assert [body["max_tokens"] for _, body in server.requests][-1] == 4096
    with Server((200, thoughts("<think>"))) as server:
        with pytest.warns(RuntimeWarning, match="thinks"):
            found = judge(server).judge([EXAMPLE], ["a"])
    # Once, and not again.
    assert len(server.requests) == 2
    assert found[0].unjudged.startswith("no answer, only")


@pytest.mark.parametrize("status", [200, 400, 403, 422, 501])
def test_a_refusal_is_understood_and_said(status):
    said = {"error": {"message": "top_logprobs: at most 5", "code": status}}
    with Server((status, said), (200, SEVEN)) as server:
        reward = judge(server, concurrency=1)
        with pytest.warns(RuntimeWarning, match="lists 5 tokens at a place"):
            assert reward.score([EXAMPLE], ["a"])[0] > 0.6
        reward.score([EXAMPLE], ["b"])
    asked = [body["top_logprobs"] for _, body in server.requests]
    assert asked == [20, 5, 5]


def test_a_refusal_that_is_not_understood_ends_it():
    with Server((400, {"error": "no such model"})) as server:
        with pytest.raises(InputError, match="status 400: .*no such model"):
            judge(server).score([EXAMPLE], ["a"])
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [400, 413, 500])
def test_questions_over_the_context_do_not_end_a_run(status):
    class Small(Server):
        """Takes no more than so many characters."""

        def serve(self, handler):
            fits = int(handler.headers["Content-Length"]) < 4000
            said = {"error": "the request exceeds the context size"}
            self.replies = [(200, SEVEN) if fits else (status, said)]
            super().serve(handler)

    long = example(prompt="p" * 5000, expected="e" * 5000)
    with Small() as server:
        reward = judge(server, concurrency=1)
        with pytest.warns(RuntimeWarning, match="1 of 2 questions were longer"):
            found = reward.judge([EXAMPLE, long], ["a", "a"])
        assert [each.score for each in found] == [0.7, 0.7]

    class Tiny(Small):
        def serve(self, handler):
            self.replies = [(400, {"error": "exceeds the context size"})]
            Server.serve(self, handler)

    with Tiny() as server:
        reward = judge(server)
        found = reward.judge([EXAMPLE], ["a"])
        assert found[0].unjudged == "longer than its context"
        # Not kept: a server may be given more.
        count = len(server.requests)
        reward.judge([EXAMPLE], ["a"])
        assert len(server.requests) == 2 * count


ODD = [None, True, 0, -1, 1e999, "", "7", [], {}, [[]], {"text": []}, "\ud800"]


def damaged(value, rng):
    """A copy of JSON with something else at a random place."""
    if rng.random() < 0.1:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {
            key: damaged(each, rng)
            for key, each in value.items()
            if rng.random() > 0.02
        }
    if isinstance(value, list):
        return [damaged(each, rng) for each in value]
    return value


def test_any_reply_is_read_or_refused():
    rng = random.Random(0)
    whole = [form[-1] for form in FORMS.values()] + [thoughts(), SEVEN]
    seen = collections.Counter()
    for number in range(FUZZ):
        form = Form(Request(logprobs=bool(number % 2)))
        asked = question(form)
        try:
            found = asked.read(asked.body(), damaged(whole[number % 9], rng))
        except ValueError as error:
            seen[type(error)] += 1
        else:
            seen[type(found)] += 1
            if found is not AGAIN:
                kept = http_reply.from_bytes(http_reply.to_bytes(found))
                assert kept == found
                assert kept.judgement().score in (0, *SCORES)
    assert min(seen[InputError], seen[http_reply.Reply]) > FUZZ // 20


def test_log_probabilities_that_a_server_has_not():
    refusal = (400, {"error": "logprobs is not supported"})
    with Server(refusal, (200, reply(place("3"), text="7"))) as server:
        with pytest.warns(RuntimeWarning, match="gives no log-prob"):
            found = judge(server).judge([EXAMPLE], ["a"])[0]
    assert found.score == 0.7 and found.probabilities is None
    assert "logprobs" not in server.requests[1][1]
