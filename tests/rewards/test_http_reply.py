import numpy as np
import pytest

from keras_restpg.rewards import http_reply
from keras_restpg.rewards.reward import Judgement
from tests.rewards.replies import place, reply, silent


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        # Digits apart: P(10) = P("1") P("0"|"1").
        (
            [place("1", n1=0.5, n7=0.4), place("0", n0=0.9, n1=0.05)],
            [0.05, 0, 0, 0.4, 0.45],
        ),
        # A number ends: "1" and then the end of the turn.
        (
            [place("1", n1=0.5, n7=0.4), place("", n0=0.1, n=0.9)],
            [0.45, 0, 0, 0.4, 0.05],
        ),
        # "10" is a token; " 7" and "7" are the same score.
        ([place("10", n10=0.5, n7=0.2, _7=0.1)], [0, 0, 0, 0.3, 0.5]),
        # A space first.
        ([place(" ", n=1.0), place("3", n3=0.8)], [0, 0.8, 0, 0, 0]),
        # Prose.
        ([place("The", nThe=0.9, n5=0.01)], [0, 0, 0.01, 0, 0]),
        ([place("The", nThe=0.9)], [0, 0, 0, 0, 0]),
        ([place(" ", n=1.0)], [0, 0, 0, 0, 0]),
        # Marks and "Score" first, whichever way they are cut.
        (
            [silent("**"), place("10", n10=0.6, n7=0.2), silent("**")],
            [0, 0, 0, 0.2, 0.6],
        ),
        (
            [silent("["), silent("Score"), silent("]:"), place(" 7", _7=0.8)],
            [0, 0, 0, 0.8, 0],
        ),
        (
            [
                *map(silent, ("", "Sc", "ore", ":", "Ġ")),
                place("1", n1=0.8),
                place("0", n0=0.75),
            ],
            [0.2, 0, 0, 0, 0.6],
        ),
        ([place("(7", **{"(7": 0.5, "n7": 0.2})], [0, 0, 0, 0.7, 0]),
        # 100, 75 and 105 are none of the scores.
        (
            [place("1", n1=0.7, n7=0.3), place("0", n0=1), place("0", n0=1)],
            [0, 0, 0, 0, 0],
        ),
        ([place("10", n10=0.9), place("0", n0=1)], [0, 0, 0, 0, 0]),
        ([place("7", n7=0.9), silent("5")], [0, 0, 0, 0, 0]),
        ([place("100", n100=0.9, n7=0.1)], [0, 0, 0, 0, 0]),
        # Marks may be part of a token: "10/10", "7.", and "0\n" after "1".
        ([place("10/", **{"10/": 0.6, "n7.": 0.2})], [0, 0, 0, 0.2, 0.6]),
        (
            [
                place("1", **{"n1": 0.5, "1.": 0.1, "10.": 0.2}),
                place("0\n", **{"n0\n": 0.4, "n0.": 0.2, "n0": 0.2, "_0": 0.1}),
            ],
            [0.2, 0, 0, 0, 0.6],
        ),
        ([place("1", n1=0.9), silent("0**")], [0, 0, 0, 0, 0.9]),
        # A number that has ended does not go on.
        ([place("1.", **{"1.": 0.9}), place("0", n0=1)], [0.9, 0, 0, 0, 0]),
        ([place("1\n", **{"n1\n": 0.9}), silent("0")], [0.9, 0, 0, 0, 0]),
        ([place("1", n1=0.9), place("0.5", **{"n0.5": 1})], [0.9, 0, 0, 0, 0]),
        # "1 0" is not ten.
        ([place("1", n1=1.0), place(" 0", _0=1.0)], [1, 0, 0, 0, 0]),
        # Later places that list nothing: what was chosen counts.
        ([place("7", n7=0.9), silent("."), silent("")], [0, 0, 0, 0.9, 0]),
        ([place("1", n1=0.9), silent("0")], [0, 0, 0, 0, 0.9]),
        ([place("1", n1=0.9), silent("")], [0.9, 0, 0, 0, 0]),
        # Rounding above 0, and two spellings that come to more than 1.
        ([place("7", n7=1.01)], [0, 0, 0, 1, 0]),
        ([place("7", n7=0.9, _7=0.2)], [0, 0, 0, 1, 0]),
    ],
)
def test_scores_are_whole_strings(places, expected):
    tokens = http_reply._tokens(places)
    found = np.exp(http_reply.criteria_log_probs(tokens))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def judged(sent, logprobs=True):
    """The judgement of a reply, as it comes back from a cache."""
    read = http_reply.read(sent["choices"][0], logprobs)
    return http_reply.from_bytes(http_reply.to_bytes(read)).judgement()


SEVEN = place("7", n7=0.9, n1=0.05)
ONE = place("1", n1=0.9)  # Of a list in a thought: no score.


@pytest.mark.parametrize(
    ("places", "message"),
    [
        # In the text, as one token or several, its beginning in the prompt.
        (["<think>", "1", "</think>", "\n\n", SEVEN], {}),
        (["<", "think", ">1", "</", "think", ">\n\n", SEVEN, "."], {}),
        (["1", ". Okay</think>", SEVEN], {}),
        (["[THINK]", "1", "[/THINK]", SEVEN], {}),
        (["<seed:think>", "1", "</seed:think>", SEVEN], {}),
        (["◁think▷", "1", "◁/think▷", SEVEN], {}),
        (["<|START_THINKING|>", "1", "<|END_THINKING|>", SEVEN], {}),
        (
            ["<|channel|>", "analysis", "<|message|>", "1", "<|end|>"]
            + ["<|channel|>", "final", "<|message|>", SEVEN],
            {},
        ),
        # In a field of its own, its places listed or not.
        ([ONE, "</think>", SEVEN], {"text": "7", "reasoning_content": "1"}),
        ([SEVEN], {"text": "7", "reasoning_content": "1. The user"}),
        ([ONE, "<|message|>", SEVEN], {"text": "7", "reasoning": "1"}),
        (["1", "7", ".", SEVEN, "<eos>"], {"text": "7", "reasoning": "17."}),
        ([SEVEN], {"text": "7", "thinking": "1"}),
        # In parts.
        (
            [SEVEN],
            {
                "text": [
                    {
                        "type": "thinking",
                        "thinking": [{"type": "text", "text": "1"}],
                    },
                    {"type": "text", "text": "7"},
                ]
            },
        ),
    ],
)
def test_the_score_is_read_after_the_thoughts(places, message):
    places = [silent(p) if isinstance(p, str) else p for p in places]
    spoken = "".join(each["token"] for each in places)
    found = judged(reply(*places, **{"text": spoken, **message}))
    assert (found.score, found.unjudged) == (0.7, "")
    np.testing.assert_allclose(found.probabilities, [0.05, 0, 0, 0.9, 0])
    found = judged(reply(**{"text": spoken, **message}), logprobs=False)
    assert (found.score, found.unjudged) == (0.7, "")


@pytest.mark.parametrize(
    ("message", "quote"),
    [
        ({"text": "<think>\n1. The user"}, 'only: "<think> 1. The user"'),
        ({"text": "<|channel|>analysis<|message|>1"}, 'sis<|message|>1"'),
        ({"text": [{"type": "thinking", "thinking": []}]}, "an empty reply"),
        ({"text": "<think>1</think>\n"}, 'only: "<think>1</think>"'),
        ({"text": None, "reasoning_content": "1. He"}, 'only: "1. He"'),
        ({"text": "", "reasoning": "1. He"}, 'only: "1. He"'),
        ({"text": None, "refusal": "I can't."}, 'only: "I can\'t."'),
        ({"text": None}, "an empty reply"),
        ({"text": " \n"}, "an empty reply"),
    ],
)
@pytest.mark.parametrize("logprobs", [True, False])
def test_a_reply_without_an_answer_is_no_judgement(message, quote, logprobs):
    found = judged(reply(ONE, **message), logprobs)
    assert found == Judgement(0.0, unjudged=found.unjudged)
    assert found.unjudged.endswith(quote)


@pytest.mark.parametrize(
    "places",
    [
        [place("The", nThe=0.99)],
        [place("The", nThe=0.99, n5=0.0009)],
        [place("10", n10=0.9), place("0", n0=1)],
    ],
)
def test_scores_without_probability_are_no_judgement(places):
    found = judged(reply(*places, text="The answer\x1b is\n100"))
    assert (found.score, found.probabilities) == (0.0, None)
    assert found.unjudged.endswith('together: "The answer? is 100"')


def test_the_quote_of_a_long_reply_is_cut():
    found = judged(reply(place("x", x=1.0), text="x" * 9_999))
    assert len(found.unjudged) == 200
    assert found.unjudged.endswith('xx…"')


def test_long_thoughts_leave_the_scores_own_places():
    thought = [silent("1")] * 5_000
    sent = reply(*thought, silent("</think>"), SEVEN, *thought, text="")
    text = "".join(
        p["token"] for p in sent["choices"][0]["logprobs"]["content"]
    )
    sent["choices"][0]["message"]["content"] = text
    read = http_reply.read(sent["choices"][0], True)
    assert len(read.tokens) == http_reply.PLACES
    assert len(http_reply.to_bytes(read)) < 4_000


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"5",
        b"{}",
        b"[" * 99_999,
        b'{"text": 5}',
        b'{"text": "", "before": {}}',
        b'{"text": "7", "tokens": 5}',
        b'{"text": "7", "tokens": [["7", {"7": "x"}]]}',
        b'{"text": "7", "more": 1}',
    ],
)
def test_what_is_no_reply_in_a_cache_counts_as_absent(data):
    assert http_reply.from_bytes(data) is None
