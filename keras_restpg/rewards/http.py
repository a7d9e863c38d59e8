"""A judge behind an OpenAI-compatible HTTP server (vLLM, Ollama, others).

The prompt is Figure 6; how a score follows from the reply stands in
`http_reply.py`. Beyond it:

- A server's tokenizer may read control symbols in text, such as
  `<end_of_turn>`, as control tokens, which no client can prevent. A space is
  put after the first character of such symbols.
- It refuses what its model can't hold. Prompt, expected output and answer are
  cut to `max_characters` each.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from keras_restpg import prompts
from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.model.text import CONTROL
from keras_restpg.records import Example
from keras_restpg.rewards import http_client, http_reply
from keras_restpg.rewards.reward import Judgement, Judging, check_aligned
from keras_restpg.store.cache import Cache

# Bytes of a reply beyond which nothing is read: a judge's have some thousands,
# and each token with its 20 alternatives at most this many.
_REPLY_BYTES = 1 << 20
_TOKEN_BYTES = 1 << 13


class HTTPJudge(Judging):
    """An LLM judge on a server.

    Args:
        url: the server's address, such as `"http://localhost:8000"`;
            `/v1/chat/completions` is added. To an address with a path, such
            as `"https://host/v1"`, only `/chat/completions` is added, and
            nothing where it ends so. A query (`?api-version=…`) is kept.
        model: the model's name on the server.
        api_key: sent as a bearer token where given.
        logprobs: whether to read log-probabilities. False, for servers
            without them, takes the number that the reply begins with; there
            are no probabilities then.
        timeout: seconds for each request, from the connection to the last
            byte of the reply.
        retries: how often a request is sent again after a timeout, a lost
            connection, the status 408, 429 or 5xx, or a damaged reply.
        backoff: seconds before the first retry; doubled for each further
            one, unless the server says how long to wait.
        concurrency: how many requests are under way at once.
        cache: path of a file (SQLite) that keeps replies across runs and
            may be shared by processes, or None to keep them in memory.
        max_characters: prompt, expected output and answer are cut to this
            many characters each, so that no text can outgrow the judge. The
            default fits a model of 8,192 tokens in languages of which a
            token holds three characters or more; in Chinese, say, a token
            holds about one.
        max_tokens: tokens of a reply. The default is enough for a judge that
            answers with the score; one that thinks first needs room for its
            thoughts, such as 4,096. Answers whose reply ends before the score
            get no judgement.

    Raises:
        InputError: an address that is not http or https, a setting out of
            its range, or a cache that is none or can't be read.

    Example:
        ```python
        judge = HTTPJudge("http://localhost:8000", "google/gemma-7b-it")
        judge.score([example], ["An answer."])
        ```
    """

    def __init__(
        self,
        url: str,
        model: str,
        api_key: str | None = None,
        logprobs: bool = True,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 1.0,
        concurrency: int = 8,
        cache: Path | None = None,
        max_characters: int = 8192,
        max_tokens: int = http_reply.PLACES,
    ) -> None:
        if max_characters < 1 or max_tokens < 1:
            raise InputError(
                "`max_characters` and `max_tokens` must be at least 1. "
                f"Received: max_characters={max_characters}, "
                f"max_tokens={max_tokens}"
            )
        self.client = http_client.Client(
            url,
            api_key=api_key,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
            concurrency=concurrency,
            largest=max(_REPLY_BYTES, _TOKEN_BYTES * max_tokens),
        )
        self.model = model
        self.logprobs = logprobs
        self.cache = Cache(cache, "replies")
        self.max_characters = max_characters
        self.max_tokens = max_tokens

    def judge(
        self, examples: Sequence[Example], answers: Sequence[str]
    ) -> list[Judgement]:
        """How the judge came to each score.

        Args:
            examples: list of `Example`, aligned with `answers`.
            answers: list of str, final answers only.

        Returns:
            list of `Judgement`; a blank answer has score 0. So has one that
            got no judgement: its reply thought without end, was empty, or
            says something else than a score (`unjudged`).

        Raises:
            InputError: the server cannot be reached, refuses the request, or
                replies with something else than was asked for.
        """
        check_aligned(examples, answers)
        pairs = zip(examples, answers, strict=True)
        bodies = [
            self._body(example, answer) if answer.strip() else None
            for example, answer in pairs
        ]
        keys = [self._key(body) if body else None for body in bodies]
        found = self._replies(dict(zip(keys, bodies, strict=True)))
        return [
            found[key].judgement() if key else Judgement(0.0) for key in keys
        ]

    def get_config(self) -> dict[str, Any]:
        """What tells this judge from others.

        Not how its server is reached: url, key, timeout and the like.

        Returns:
            dict of JSON values.
        """
        return {
            "model": self.model,
            "logprobs": self.logprobs,
            "max_characters": self.max_characters,
            "max_tokens": self.max_tokens,
        }

    def _replies(self, bodies):
        """`{key: Reply}` of `{key: body}`, from the cache or the server."""
        bodies = {key: body for key, body in bodies.items() if key}
        kept = self.cache.get(bodies).items()
        found = {
            key: reply
            for key, data in kept
            if (reply := http_reply.from_bytes(data))
        }
        missing = {k: b for k, b in bodies.items() if k not in found}

        def done(key, reply):
            self.cache.add({key: http_reply.to_bytes(reply)})
            found[key] = reply

        if missing:
            self.client.post_all(missing, self._read, done)
        return found

    def _body(self, example, answer):
        text = prompts.fill(
            prompts.JUDGE_PROMPT,
            prompt=self._plain(example.prompt),
            expected=self._plain(example.expected),
            answer=self._plain(answer),
        )
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": self.max_tokens,
            "temperature": 0,
        }
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": 20}
        return body

    def _plain(self, text):
        """The beginning of a text, without control symbols or surrogates."""
        text = text[: self.max_characters]
        text = CONTROL.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
        return text.encode("utf-8", "replace").decode("utf-8")

    def _key(self, body):
        """The same model may be another one on another server."""
        asked = json.dumps([self.client.url, body])
        return hashlib.sha256(asked.encode()).hexdigest()

    def _read(self, reply):
        """The `Reply` of a server's JSON, its words without secrets."""
        try:
            found = http_reply.read(reply["choices"][0], self.logprobs)
        except (KeyError, IndexError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.client.url} replied without what was asked for "
                f"({error!r}). If it gives no log-probabilities, use "
                "`logprobs=False`. Received: "
                f"{self.client.redact(json.dumps(reply))[:300]}"
            ) from error
        return dataclasses.replace(
            found,
            text=self.client.redact(found.text),
            before=self.client.redact(found.before),
        )
