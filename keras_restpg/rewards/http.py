"""A judge behind an OpenAI-compatible HTTP server (vLLM, Ollama, others).

The prompt is Figure 6 and the scores are read from the log-probabilities of
the first tokens of the reply, with "10" as a whole string, as `judge.py`
does it. What a server can and cannot give:

- It lists only its most probable tokens (20). A score that is not among them
  counts as impossible; where none of the five is, the answer gets the lowest
  score, since the judge did not judge.
- The probability of "0" after "1" is known where the server itself went on
  with "1". Where it did not, another token was more probable than "1": then
  "10" cannot be the most probable whole string unless no score is, and "1"
  is taken to end there.
- Its tokenizer may read control symbols in text, such as `<end_of_turn>`, as
  control tokens, which no client can prevent. A space is put after the first
  character of such symbols.
"""

import concurrent.futures
import hashlib
import json
import math
import re

import numpy as np

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.rewards import http_client
from keras_restpg.rewards.plain import CONTROL
from keras_restpg.rewards.reward import (
    CRITERIA,
    SCORES,
    Judgement,
    Reward,
    check_aligned,
    judgement_of,
)

_FORMAT = "/v1/chat/completions"


class HTTPJudge(Reward):
    """An LLM judge on a server.

    Args:
        url: the server's address, such as `"http://localhost:8000"`; the
            path `/v1/chat/completions` is added.
        model: the model's name on the server.
        api_key: sent as a bearer token where given.
        logprobs: whether to read log-probabilities. False, for servers
            without them, takes the number that the reply begins with; there
            are no probabilities then.
        timeout: seconds to wait for a reply.
        retries: how often a request is sent again after a timeout, a lost
            connection, or the status 408, 429 or 5xx.
        backoff: seconds before the first retry; doubled for each further
            one, unless the server says how long to wait.
        concurrency: how many requests are under way at once.
        cache: path of a JSONL file that keeps replies across runs, or None
            to keep them in memory.

    Raises:
        InputError: an address that is not http or https, or a cache that
            cannot be read.

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
    ):
        self.client = http_client.Client(
            url.rstrip("/").removesuffix("/v1") + _FORMAT,
            api_key=api_key,
            timeout=timeout,
            retries=retries,
            backoff=backoff,
        )
        self.model = model
        self.logprobs = logprobs
        self.concurrency = concurrency
        self.cache = http_client.Cache(cache)

    def score(self, examples, answers):
        scores = [each.score for each in self.judge(examples, answers)]
        return np.array(scores, "float32")

    def judge(self, examples, answers):
        """As `LLMJudge.judge`.

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
        unique = {_key(body): body for body in bodies if body}
        missing = {k: b for k, b in unique.items() if k not in self.cache}
        with concurrent.futures.ThreadPoolExecutor(self.concurrency) as pool:
            futures = [
                pool.submit(self._ask, key, body)
                for key, body in missing.items()
            ]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return [
            self._judgement(self.cache[_key(body)]) if body else Judgement(0.0)
            for body in bodies
        ]

    def _body(self, example, answer):
        text = prompts.fill(
            prompts.JUDGE_PROMPT,
            prompt=_broken(example.prompt),
            expected=_broken(example.expected),
            answer=_broken(answer),
        )
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": 4,
            "temperature": 0,
        }
        if self.logprobs:
            body |= {"logprobs": True, "top_logprobs": 20}
        return body

    def _ask(self, key, body):
        reply = self.client.post(body)
        try:
            choice = reply["choices"][0]
            if self.logprobs:
                kept = _first_tokens(choice["logprobs"]["content"])
            else:
                kept = str(choice["message"]["content"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"{self.client.url} replied without what was asked for "
                f"({error!r}). If it gives no log-probabilities, use "
                f"`logprobs=False`. Received: {json.dumps(reply)[:300]}"
            ) from error
        self.cache.add(key, kept)

    def _judgement(self, kept):
        if isinstance(kept, str):
            return Judgement(_spoken_score(kept))
        log_probs = criteria_log_probs(kept)
        if max(log_probs) == -math.inf:
            return Judgement(SCORES[0], (0.0,) * len(SCORES))
        return judgement_of(log_probs)


def criteria_log_probs(tokens):
    """Log-probabilities of the five scores from a reply's first tokens.

    Args:
        tokens: list of `[token, {token: log-probability}]`, what the server
            chose at each place and its most probable tokens there.

    Returns:
        list of five floats, -inf where a score is not among them.
    """
    # A space or line break of its own may come first.
    while tokens and not tokens[0][0].strip(" \t\r\n▁Ġ"):
        tokens = tokens[1:]
    if not tokens:
        return [-math.inf] * len(CRITERIA)
    first = _by_text(tokens[0][1])
    found = [first.get(score, -math.inf) for score in CRITERIA]
    one, ten = CRITERIA.index("1"), CRITERIA.index("10")
    if len(tokens) > 1 and _bare(tokens[0][0]) == "1":
        follows = math.exp(min(_by_text(tokens[1][1]).get("0", -math.inf), 0.0))
        split = found[one] + (math.log(follows) if follows else -math.inf)
        found[ten] = float(np.logaddexp(found[ten], split))
        found[one] += math.log1p(-follows) if follows < 1 else -math.inf
    return found


def _first_tokens(content):
    """`[token, {token: log-probability}]` of a reply's tokens, checked."""
    kept = [
        [
            str(each["token"]),
            {
                str(t["token"]): float(t["logprob"])
                for t in each["top_logprobs"]
            },
        ]
        for each in content
    ]
    if not kept or any(not listed for _, listed in kept):
        raise ValueError("no log-probabilities listed")
    if any(math.isnan(v) for _, listed in kept for v in listed.values()):
        raise ValueError("NaN log-probability")
    return kept


def _by_text(listed):
    """Log-probability by bare text: "1" and " 1" are the same score."""
    totals = {}
    for token, value in listed.items():
        before = totals.get(_bare(token), -math.inf)
        totals[_bare(token)] = float(np.logaddexp(before, value))
    return totals


def _bare(token):
    return token.strip(" \t\r\n▁Ġ")


def _spoken_score(text):
    """The score that a reply begins with; the lowest where it has none."""
    found = re.match(r"\W*(10|[1357])(?!\d)", text)
    return SCORES[CRITERIA.index(found[1])] if found else SCORES[0]


def _broken(text):
    text = CONTROL.sub(lambda m: f"{m[0][0]} {m[0][1:]}", text)
    return text.encode("utf-8", "replace").decode("utf-8")


def _key(body):
    return hashlib.sha256(json.dumps(body).encode()).hexdigest()
