"""A judge behind an OpenAI-compatible HTTP server (vLLM, Ollama, others).

The prompt is Figure 6; how a score follows from the reply stands in
`http_reply.py`. Beyond it:

- A server's tokenizer may read control symbols in text, such as
  `<end_of_turn>`, as control tokens, which no client can prevent. A space is
  put after the bracket of all that may be one (`model/text.py`).
- It refuses what its model can't hold. Prompt, expected output and answer are
  cut to `max_characters` each.
"""

import hashlib
import json

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.model.text import break_symbols
from keras_restpg.rewards import http_client, http_reply
from keras_restpg.rewards.reward import Judgement, Judging, check_aligned
from keras_restpg.store.cache import Cache

# Bytes of a reply beyond which nothing is read: a judge's have some thousands,
# and each token with its 20 alternatives at most this many.
_REPLY_BYTES = 1 << 20
_TOKEN_BYTES = 1 << 12


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
        url,
        model,
        api_key=None,
        logprobs=True,
        timeout=60.0,
        retries=4,
        backoff=1.0,
        concurrency=8,
        cache=None,
        max_characters=8192,
        max_tokens=http_reply.PLACES,
    ):
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

    def judge(self, examples, answers):
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

    def get_config(self):
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
        found = {key: http_reply.from_bytes(data) for key, data in kept}
        missing = {k: b for k, b in bodies.items() if not found.get(k)}

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
        text = break_symbols(text)
        return text.encode("utf-8", "replace").decode("utf-8")

    def _key(self, body):
        """The same model may be another one on another server."""
        asked = json.dumps([self.client.url, body])
        return hashlib.sha256(asked.encode()).hexdigest()

    def _read(self, reply):
        """The `Reply` of a server's JSON."""
        try:
            return http_reply.read(reply["choices"][0], self.logprobs)
        except (KeyError, IndexError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.client.url} replied without what was asked for "
                f"({error!r}). If it gives no log-probabilities, use "
                "`logprobs=False`. Received: "
                f"{json.dumps(reply)[:300]}"
            ) from error
