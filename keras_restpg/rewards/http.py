"""A judge behind an OpenAI-compatible HTTP server (vLLM, Ollama, others).

The prompt is Figure 6 and the scores are read from the log-probabilities of
the first tokens of the reply, with "10" as a whole string, as `judge.py`
does it. What a server can and cannot give:

- It lists only its most probable tokens (20). A score that is not among them
  counts as impossible; where none of the five is, the answer gets the lowest
  score, since the judge did not judge. So it does where the reply is a longer
  number, such as 100.
- It may put something before the score: spaces, marks, "[Score]:". Scores are
  read at the first place after these.
- The probability of "0" after "1" is known where the server itself went on
  with "1". Where it did not, another token was more probable than "1": then
  "10" cannot be the most probable whole string unless no score is, and "1"
  is taken to end there.
- Its tokenizer may read control symbols in text, such as `<end_of_turn>`, as
  control tokens, which no client can prevent. A space is put after the first
  character of such symbols.
- It refuses what its model can't hold. Prompt, expected output and answer are
  cut to `max_characters` each.
"""

import concurrent.futures
import hashlib
import json
import math
import re
import threading

import numpy as np

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.model.text import CONTROL
from keras_restpg.rewards import http_client
from keras_restpg.rewards.reward import (
    CRITERIA,
    SCORES,
    Judgement,
    Judging,
    check_aligned,
    judgement_of,
)

_FORMAT = "/v1/chat/completions"
# Enough for "**[Score]:** 10".
_REPLY_TOKENS = 12
# What may come before a score; "Ġ" and "Ċ" are byte-pair tokenizers' spaces.
_LEAD = re.compile(r"(?:[\W_ĠĊ]|score)*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+")
# A number, and marks that end it: "10/" and "0\n", but not "0.5".
_ENDED = re.compile(r"(\d+)[\W_ĠĊ]*")
# Servers that can't write -inf write -9999.
_IMPOSSIBLE = -9000.0


class HTTPJudge(Judging):
    """An LLM judge on a server.

    Args:
        url: the server's address, such as `"http://localhost:8000"`; the
            path `/v1/chat/completions` is added.
        model: the model's name on the server.
        api_key: sent as a bearer token where given.
        logprobs: whether to read log-probabilities. False, for servers
            without them, takes the number that the reply begins with; there
            are no probabilities then.
        timeout: seconds to wait for a connection, and then for the whole
            reply.
        retries: how often a request is sent again after a timeout, a lost
            connection, the status 408, 429 or 5xx, or a damaged reply.
        backoff: seconds before the first retry; doubled for each further
            one, unless the server says how long to wait.
        concurrency: how many requests are under way at once.
        cache: path of a JSONL file that keeps replies across runs, or None
            to keep them in memory.
        max_characters: prompt, expected output and answer are cut to this
            many characters each, so that no text can outgrow the judge. The
            default fits a model of 8,192 tokens in languages of which a
            token holds three characters or more; in Chinese, say, a token
            holds about one.

    Raises:
        InputError: an address that is not http or https, a setting out of
            its range, or a cache that cannot be read.

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
    ):
        if concurrency < 1 or max_characters < 1:
            raise InputError(
                "`concurrency` and `max_characters` must be at least 1. "
                f"Received: concurrency={concurrency}, "
                f"max_characters={max_characters}"
            )
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
        self.max_characters = max_characters

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
        unique = {self._key(body): body for body in bodies if body}
        missing = {k: b for k, b in unique.items() if k not in self.cache}
        self._ask_all(missing)
        return [
            _judgement(self.cache[self._key(body)]) if body else Judgement(0.0)
            for body in bodies
        ]

    def _ask_all(self, bodies):
        """Asks `{key: body}`; a failure or Ctrl-C ends it without waiting."""
        stop = threading.Event()
        pool = concurrent.futures.ThreadPoolExecutor(self.concurrency)
        try:
            futures = [
                pool.submit(self._ask, key, body, stop)
                for key, body in bodies.items()
            ]
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)

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
            "max_tokens": _REPLY_TOKENS,
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

    def _ask(self, key, body, stop):
        self.cache.add(key, self.client.post(body, self._read, stop))

    def _read(self, reply):
        """What is kept of a reply."""
        try:
            choice = reply["choices"][0]
            if self.logprobs:
                return _first_tokens(choice["logprobs"]["content"])
            return _text(choice["message"]["content"] or "")
        except (KeyError, IndexError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.client.url} replied without what was asked for "
                f"({error!r}). If it gives no log-probabilities, use "
                f"`logprobs=False`. Received: {json.dumps(reply)[:300]}"
            ) from error


def criteria_log_probs(tokens):
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


def _judgement(kept):
    if isinstance(kept, str):
        return Judgement(_spoken_score(kept))
    log_probs = criteria_log_probs(kept)
    if max(log_probs) == -math.inf:
        return Judgement(SCORES[0], (0.0,) * len(SCORES))
    return judgement_of(log_probs)


def _first_tokens(content):
    """`[token, {token: log-probability}]` of a reply's tokens, checked."""
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
    lead = _LEAD.match(text).end()
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
    """The score that a reply begins with; the lowest where it has none."""
    found = _NUMBER.match(_bare(text))
    if found and found[0] in CRITERIA:
        return SCORES[CRITERIA.index(found[0])]
    return SCORES[0]
