"""A judge behind an OpenAI-compatible HTTP server (vLLM, Ollama, others).

The prompt is Figure 6; how a score follows from the reply stands in
`http_reply.py`, what servers do and don't take in `http_request.py`. Beyond
the prompt:

- A server's tokenizer may read control symbols in text, such as
  `<end_of_turn>`, as control tokens, which no client can prevent. A space is
  put after the bracket of all that may be one (`model/text.py`).
- It refuses what its model can't hold. Prompt, expected output and answer are
  cut to `max_characters` each, in their middle.
"""

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Sequence
from typing import Any

from keras_restpg._types import Path
from keras_restpg.records import Example
from keras_restpg.rewards import http_reply
from keras_restpg.rewards.http_client import Client
from keras_restpg.rewards.http_request import Form, Question
from keras_restpg.rewards.http_settings import Connection, Request
from keras_restpg.rewards.reward import Judgement, Judging, check_aligned
from keras_restpg.store.cache import Cache


class HTTPJudge(Judging):
    """An LLM judge on a server.

    Args:
        url: the server's address, such as `"http://localhost:8000"`;
            `/v1/chat/completions` is added. To an address with a path, such
            as `"https://host/v1"`, only `/chat/completions` is added, and
            nothing where it ends so. A query (`?api-version=…`) is kept.
        model: the model's name on the server.
        api_key: sent as a bearer token where given, to Azure as `api-key`.
        request: a `Request`: log-probabilities, lengths, further fields.
        connection: a `Connection`: timeout, retries, concurrency.
        cache: path of a file (SQLite) that keeps replies across runs and
            may be shared by processes, or None to keep them in memory.

    Raises:
        InputError: an address that is not http or https, or a cache that is
            none or can't be read.

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
        request: Request | None = None,
        connection: Connection | None = None,
        cache: Path | None = None,
    ) -> None:
        self.client = Client(url, api_key, connection)
        self.model = model
        self.request = request or Request()
        self.cache = Cache(cache, "replies")
        self._form = Form(self.request)

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
            says something else than a score, or the question was longer than
            the server's context (`unjudged`).

        Raises:
            InputError: the server cannot be reached, refuses the request, or
                replies with something else than was asked for.

        Warns:
            RuntimeWarning: what was asked in another form than was set, as
                the server refused that, and how many texts were cut.
        """
        check_aligned(examples, answers)
        pairs = zip(examples, answers, strict=True)
        questions = [
            self._question(*pair) if pair[1].strip() else None for pair in pairs
        ]
        keys = [self._key(each) if each else None for each in questions]
        found = self._replies(dict(zip(keys, questions, strict=True)))
        return [
            found[key].judgement() if key else Judgement(0.0) for key in keys
        ]

    def get_config(self) -> dict[str, Any]:
        """What tells this judge from others.

        Not how its server is reached: url, key, timeout and the like.

        Returns:
            dict of JSON values.
        """
        return {"model": self.model, **dataclasses.asdict(self.request)}

    def _question(self, example, answer):
        longest = self.request.max_characters
        return Question(self.model, self._form, longest, example, answer)

    def _replies(self, questions):
        """`{key: Reply}` of `{key: Question}`: of the cache or the server."""
        questions = {key: each for key, each in questions.items() if key}
        found = {
            key: reply
            for key, data in self.cache.get(questions).items()
            if (reply := http_reply.from_bytes(data))
        }
        missing = {k: q for k, q in questions.items() if k not in found}

        def done(key, reply):
            # A question that was not read may be one day.
            if not reply.unread:
                self.cache.add({key: http_reply.to_bytes(reply)})
            found[key] = reply

        if missing:
            try:
                self.client.post_all(missing, done)
            finally:
                self._say(missing.values())
        return found

    def _say(self, questions):
        """Warns of what is not as it was asked for."""
        learnt, self._form.learnt = self._form.learnt, []
        cut = sum(question.cut for question in questions)
        if cut:
            learnt = [
                *learnt,
                f"{cut} of {len(questions)} questions were longer than its "
                "context: their texts were cut in the middle",
            ]
        if learnt:
            warnings.warn(
                f"The judge at {self.client.url}: {'; '.join(learnt)}.",
                RuntimeWarning,
                stacklevel=4,
            )

    def _key(self, question):
        """The same model may be another one on another server."""
        asked = [self.client.url, self.get_config(), question.content()]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()
