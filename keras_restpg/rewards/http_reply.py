"""What the reply of a judge on a server says.

Scores are read from the log-probabilities of the reply's first tokens, with
"10" as a whole string, as `judge.py` does it. What a server can and cannot
give:

- It lists only its most probable tokens (20). A score that is not among them
  counts as impossible; where all five together have almost no probability,
  the judge did not judge. Nor did it where the reply is a longer number, such
  as 100, or empty.
- It may think first: between `<think>` and `</think>`, or the like, or in a
  field of its own. The score is read after that, if the reply goes so far.
- It may put something before the score: spaces, marks, "[Score]:". Scores are
  read at the first place after these.
- The probability of "0" after "1" is known where the server itself went on
  with "1". Where it did not, another token was more probable than "1": then
  "10" cannot be the most probable whole string unless no score is, and "1"
  is taken to end there.
"""

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from keras_restpg._types import Json
from keras_restpg.rewards.reward import (
    CRITERIA,
    SCORES,
    Judgement,
    judgement_of,
    no_judgement,
)

# Enough for "**[Score]:** 10".
PLACES = 12
# Characters of what a judge said that are kept.
_SAID = 400
# What may come before a score; "Ġ" and "Ċ" are byte-pair tokenizers' spaces.
_LEAD = re.compile(r"(?:[\W_ĠĊ]|score)*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
# A number, and marks that end it: "10/" and "0\n", but not "0.5".
_ENDED = re.compile(r"(\d+)[\W_ĠĊ]*")
# Servers that can't write -inf write -9999.
_IMPOSSIBLE = -9000.0
# How thoughts begin and end, in the words of several families of models. The
# beginning may have stood in the prompt, and the end may be missing.
_THOUGHT = re.compile(
    r"\s*(?:<(?:think|thinking|thought|reasoning)>|\[THINK\]|<\|channel>)"
)
_THOUGHT_END = re.compile(
    r"</(?:think|thinking|thought|reasoning)>|\[/THINK\]|<channel\|>"
)


@dataclasses.dataclass(frozen=True)
class Reply:
    """What is kept of a judge's reply.

    Attributes:
        text: the beginning of the answer, without thoughts.
        before: the beginning of what stood before it: thoughts, a refusal.
        tokens: of the answer's first places, `[token, {token:
            log-probability}]`, what the server chose and its most probable
            tokens there; None where no log-probabilities were asked for or
            there is no answer.
    """

    text: str
    before: str = ""
    tokens: list | None = None

    def judgement(self) -> Judgement:
        """The `Judgement` that follows; perhaps that there is none."""
        if self.tokens is not None:
            return judgement_of(criteria_log_probs(self.tokens), self.text)
        if not self.text:
            reason = "no answer, only" if self.before else "an empty reply"
            return no_judgement(reason, self.before)
        score = _spoken_score(self.text)
        if score is None:
            return no_judgement("no score", self.text)
        return Judgement(score)


def to_bytes(reply: Reply) -> bytes:
    """A `Reply` as a cache keeps it."""
    return json.dumps(dataclasses.asdict(reply)).encode()


def from_bytes(data: bytes) -> Reply | None:
    """The `Reply` of these bytes; None where they hold none."""
    try:
        reply = Reply(**json.loads(data))
        reply.judgement()
        return reply
    # Whatever somebody may have put there.
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ):
        return None


def read(choice: Json, logprobs: bool) -> Reply:
    """The `Reply` in one of a completion's choices.

    Args:
        choice: the JSON object.
        logprobs: whether log-probabilities were asked for.

    Raises:
        KeyError, TypeError, OverflowError: it does not hold what was asked
            for.
        ValueError: a log-probability that is none.
    """
    message = choice["message"]
    if not isinstance(message, dict):
        raise TypeError("the message is no object")
    before, text = _parts(_text(message.get("content") or ""))
    apart = [message.get(k) for k in ("reasoning_content", "reasoning")]
    apart = next((each for each in apart if _is_said(each)), "")
    refusal = message.get("refusal")
    before = apart or before or (refusal if _is_said(refusal) else "")
    tokens = None
    if text and logprobs:
        content = choice["logprobs"]["content"]
        tokens = _tokens(_answer(content, text if apart else ""))
    return Reply(text[:_SAID], before[:_SAID], tokens)


def _is_said(value) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip())


def _parts(text):
    """`(thoughts, answer)` of a text."""
    ends = list(_THOUGHT_END.finditer(text))
    if ends:
        return text[: ends[-1].end()], text[ends[-1].end() :].strip()
    return (text, "") if _THOUGHT.match(text) else ("", text.strip())


def _answer(content, answer):
    """The first places of the answer among a reply's places.

    Args:
        content: list of objects with `token`, those of thoughts included.
        answer: the answer's text where thoughts have a field of their own:
            their end may be spelled in no known way.
    """
    texts = [_text(each["token"]) for each in content]
    whole = "".join(texts)
    ends = [match.end() for match in _THOUGHT_END.finditer(whole)]
    begin = max(ends[-1] if ends else 0, whole.rfind(answer) if answer else 0)
    first, end = 0, 0
    while first < len(texts) and end + len(texts[first]) <= begin:
        end += len(texts[first])
        first += 1
    return content[first : first + PLACES]


def criteria_log_probs(tokens: Sequence[Sequence[Any]]) -> list[float]:
    """Log-probabilities of the five scores from a reply's first tokens.

    Args:
        tokens: list of `[token, {token: log-probability}]`, what the server
            chose at each place and its most probable tokens there.

    Returns:
        list of five floats, -inf where a score is not among them.
    """
    place = _place(tokens)
    text = "".join(token for token, _ in tokens[place:])
    number = _NUMBER.match(_bare(text))
    longer = number and len(number[0]) > 1 and number[0] not in CRITERIA
    if longer or place == len(tokens):
        return [-math.inf] * len(CRITERIA)
    first = _by_text(tokens[place][1])
    found = [_total(first, score) for score in CRITERIA]
    if _bare(tokens[place][0]) == "1" and place + 1 < len(tokens):
        one, ten = CRITERIA.index("1"), CRITERIA.index("10")
        # "1." has ended; only a bare "1" can go on.
        bare = first.pop("1", -math.inf)
        follows = math.exp(_then_zero(*tokens[place + 1]))
        goes_on = bare + (math.log(follows) if follows else -math.inf)
        ends = bare + (math.log1p(-follows) if follows < 1 else -math.inf)
        found[ten] = _either(found[ten], goes_on)
        found[one] = _either(_total(first, "1"), ends)
    return found


def _tokens(content):
    """`[token, {token: log-probability}]` of places, checked."""
    kept = [
        [
            _text(each["token"]),
            {
                _text(t["token"]): _log_prob(t["logprob"])
                for t in each.get("top_logprobs") or ()
            },
        ]
        for each in content
    ]
    # The first place decides: later ones may list nothing.
    if not any(listed for _, listed in kept[_place(kept) :][:1] or kept):
        raise TypeError("no log-probabilities listed")
    return kept


def _text(value):
    if not isinstance(value, str):
        raise TypeError(f"text was expected, not {str(value)[:80]!r}")
    return value


def _log_prob(value):
    """Rounding may lift a log-probability above 0.

    Raises:
        ValueError: NaN or infinity.
    """
    value = float(value)
    if math.isnan(value) or value == math.inf:
        raise ValueError(f"a log-probability of {value}")
    return min(value, 0.0) if value > _IMPOSSIBLE else -math.inf


def _place(tokens):
    """The first place that is not, as a whole, before the score."""
    text = "".join(token for token, _ in tokens)
    lead = next(_LEAD.finditer(text)).end()
    place = 0
    while place < len(tokens) and lead >= len(tokens[place][0]):
        lead -= len(tokens[place][0])
        place += 1
    return place


def _then_zero(token, listed):
    """Log-probability that "0" follows at once; " 0" is another number."""
    if not listed:
        return 0.0 if _ended(token) == "0" else -math.inf
    return _total(listed, "0")


def _by_text(listed):
    """Log-probability by bare text: "1" and " 1" are the same score."""
    totals = {}
    for token, value in listed.items():
        before = totals.get(_bare(token), -math.inf)
        totals[_bare(token)] = _either(before, value)
    return totals


def _total(listed, number):
    """Log-probability of a number, whatever marks end it."""
    total = -math.inf
    for text, value in listed.items():
        if _ended(text) == number:
            total = _either(total, value)
    return total


def _either(one, other):
    """Rounding may lift the sum of two probabilities above 1."""
    return min(float(np.logaddexp(one, other)), 0.0)


def _ended(text):
    found = _ENDED.fullmatch(text)
    return found and found[1]


def _bare(token):
    return _LEAD.sub("", token, count=1)


def _spoken_score(text):
    """The score that a reply begins with; None where it has none."""
    found = _NUMBER.match(_bare(text))
    if found and found[0] in CRITERIA:
        return SCORES[CRITERIA.index(found[0])]
    return None
