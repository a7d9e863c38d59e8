"""A question to a judge's server, in the form in which the server takes it.

Servers of one interface differ in what they take: the name of `max_tokens`,
how many log-probabilities, any temperature. What a server refuses is changed
once, for all questions that follow, and said. A question that is longer than
the server's context is put with shorter texts; one that is still too long has
no judgement.
"""

import re
from typing import Any

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.model.text import break_symbols
from keras_restpg.records import Example
from keras_restpg.rewards import http_reply
from keras_restpg.rewards.http_client import AGAIN
from keras_restpg.rewards.http_settings import TOKENS_FIELDS, Request

# Tokens for a judge that thinks before it answers.
THINKING = 4096
# Bytes of a reply beyond which nothing is read: a judge's have some thousands,
# and each token with its 20 alternatives at most this many.
_REPLY_BYTES = 1 << 20
_TOKEN_BYTES = 1 << 12
# What stands for the middle of a text.
_GAP = " […] "
# Characters below which a text is not cut for the server's context.
_SHORTEST = 256
# How servers say that a prompt is too long: OpenAI, vLLM, SGLang, llama.cpp,
# Gemini, and those that are like them.
_TOO_LONG = re.compile(
    r"context[ _](?:length|size|window)|exceed_context|max_model_len"
    r"|(?:model|context|input|maximum) length of"
    r"|input token count|(?:prompt|input) (?:is|was) too long",
    re.IGNORECASE,
)
_CONTEXT = re.compile(
    r"(?:length|size|window)\D{0,20}?(\d{1,9})", re.IGNORECASE
)
_UNKNOWN = re.compile(
    r"unsupported|not support|unrecogni[sz]ed|unknown|unexpected|forbidden"
    r"|not permitted|not allowed|extra",
    re.IGNORECASE,
)
# The number in "must be at most 5", "between 0 and 5", "max allowed: 5".
_AT_MOST = re.compile(
    r"(?:most|max\w*|equal|up|and|than|<=|≤)\D{0,20}?(\d{1,4})\b", re.IGNORECASE
)


class Form:
    """The fields of all questions to one server, but for the text.

    Args:
        request: a `Request`.

    Attributes:
        fields: dict, as they are sent.
        tokens: of a reply.
        learnt: sentences on what the server made different.
    """

    def __init__(self, request: Request) -> None:
        self.fields: dict[str, Any] = {
            "temperature": 0,
            request.tokens_field: request.max_tokens,
            **request.extra_body,
        }
        if request.logprobs:
            self.fields |= {
                "logprobs": True,
                "top_logprobs": request.top_logprobs,
            }
        self.learnt: list[str] = []
        self._rules = [_name_of_tokens, _top_logprobs, _logprobs, _temperature]
        self._may_think = True

    @property
    def tokens(self) -> int:
        return self.fields[self._tokens_field]

    @property
    def _tokens_field(self):
        return next(name for name in TOKENS_FIELDS if name in self.fields)

    def refused(self, said: str) -> None:
        """Changes what a server's words name, where that is understood."""
        for rule in self._rules:
            found = rule(self.fields, said)
            if found:
                self._rules.remove(rule)
                self._change(*found)
                return

    def think(self) -> None:
        """Gives a judge that thinks the tokens for it."""
        if self._may_think and self.tokens < THINKING:
            self._may_think = False
            self._change(
                self.fields | {self._tokens_field: THINKING},
                f"it thinks before it answers, and may use {THINKING:,} tokens",
            )

    def shrink(self, context: int) -> None:
        """Leaves at least half of a context to the prompt."""
        if self.tokens > context // 2 > 0:
            self._change(
                self.fields | {self._tokens_field: context // 2},
                f"its context has {context:,} tokens: a reply may use half",
            )

    def _change(self, fields, sentence):
        self.fields = fields
        self.learnt.append(sentence)


class Question:
    """One answer to be judged.

    Args:
        model: the model's name on the server.
        form: the `Form` of all questions.
        max_characters: prompt, expected output and answer are cut to this
            many characters each, in their middle.
        example: an `Example`.
        answer: str.

    Attributes:
        cut: whether the texts were cut for the server's context.
    """

    def __init__(
        self,
        model: str,
        form: Form,
        max_characters: int,
        example: Example,
        answer: str,
    ) -> None:
        self.model = model
        self.form = form
        self.texts = {
            "prompt": example.prompt,
            "expected": example.expected,
            "answer": answer,
        }
        longest = max(map(len, self.texts.values()))
        self.characters = min(longest, max_characters)
        self.cut = False

    @property
    def largest(self) -> int:
        """Bytes of the largest reply that can be one."""
        return max(_REPLY_BYTES, _TOKEN_BYTES * self.form.tokens)

    def content(self) -> str:
        """The text of the question."""
        return prompts.fill(
            prompts.JUDGE_PROMPT,
            **{
                name: _plain(_without_middle(text, self.characters))
                for name, text in self.texts.items()
            },
        )

    def body(self) -> dict[str, Any]:
        """What is sent as JSON, in the form that is known by now."""
        message = {"role": "user", "content": self.content()}
        return {
            "model": self.model,
            "messages": [message],
            **self.form.fields,
        }

    def refused(
        self, body: dict[str, Any], said: str, passes: bool = False
    ) -> http_reply.Reply | object | None:
        """What a refusal comes to.

        Args:
            body: as it was sent.
            said: the server's words.
            passes: whether they are of a failure that may pass, as status 500
                is: then only a text that is too long is a reason.

        Returns:
            `AGAIN` where `body` is another now; a `Reply` that stands for
            none; None where the words are not understood.
        """
        if _TOO_LONG.search(said):
            return self._shorter(said)
        if body == self.body() and not passes:
            self.form.refused(said)
        return None if body == self.body() else AGAIN

    def read(
        self, body: dict[str, Any], reply: Any
    ) -> http_reply.Reply | object:
        """The `Reply` in a server's JSON, or `AGAIN`.

        Raises:
            InputError: it has another shape, or lacks what was asked for.
            ValueError: a log-probability that is none.
        """
        try:
            choice = reply["choices"][0]
            found = http_reply.read(choice, bool(body.get("logprobs")))
            full = choice.get("finish_reason") == "length"
        except (
            AttributeError,
            KeyError,
            IndexError,
            TypeError,
            OverflowError,
        ) as error:
            raise InputError(
                f"without what was asked for ({error!r}). If it gives no "
                "log-probabilities, set `logprobs` to false"
            ) from error
        if not found.text and full:
            if body == self.body():
                self.form.think()
            if body != self.body():
                return AGAIN
        return found

    def _shorter(self, said):
        before, context = self.body(), _CONTEXT.search(said)
        if context:
            self.form.shrink(int(context[1]))
        if self.body() != before:
            return AGAIN
        if self.characters <= _SHORTEST:
            return http_reply.Reply("", unread="longer than its context")
        self.characters = max(self.characters // 2, _SHORTEST)
        self.cut = True
        return AGAIN


def _without_middle(text, limit):
    """A text of at most `limit` characters; its beginning and its end stay."""
    if len(text) <= limit:
        return text
    kept = limit - len(_GAP)
    return f"{text[: kept - kept // 2]}{_GAP}{text[len(text) - kept // 2 :]}"


def _plain(text):
    """A text without control symbols and lone surrogates."""
    return break_symbols(text).encode("utf-8", "replace").decode("utf-8")


def _named(field, said):
    return re.search(rf"(?<!\w){field}(?!\w)", said)


def _name_of_tokens(fields, said):
    for old, new in zip(TOKENS_FIELDS, TOKENS_FIELDS[::-1], strict=True):
        if old in fields and _named(old, said) and _UNKNOWN.search(said):
            renamed = {new if k == old else k: v for k, v in fields.items()}
            return renamed, f"it takes `{new}` instead of `{old}`"
    return None


def _top_logprobs(fields, said):
    asked = fields.get("top_logprobs", 0)
    numbers = [int(number) for number in _AT_MOST.findall(said)]
    most = max((n for n in numbers if 0 < n < asked), default=0)
    if most and re.search("logprobs", said):
        return (
            fields | {"top_logprobs": most},
            f"it lists {most} tokens at a place: a score that is not among "
            "them counts as impossible",
        )
    return None


def _logprobs(fields, said):
    if "logprobs" in fields and re.search(
        "logprobs|log.?probabilit", said, re.IGNORECASE
    ):
        names = ("logprobs", "top_logprobs")
        return (
            {k: v for k, v in fields.items() if k not in names},
            "it gives no log-probabilities: the score is the number that a "
            "reply begins with",
        )
    return None


def _temperature(fields, said):
    if "temperature" in fields and _named("temperature", said):
        return (
            {k: v for k, v in fields.items() if k != "temperature"},
            "it takes no temperature of 0: asked again, it may judge otherwise",
        )
    return None
