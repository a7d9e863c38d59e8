"""What can be set of a judge on a server: what is asked, and how it is reached.

Defaults and ranges stand here alone; a recipe's `[reward]` takes them over.
"""

import dataclasses
from typing import Any

from keras_restpg.settings import check, setting

TOKENS_FIELDS = ("max_tokens", "max_completion_tokens")
# Fields that have a setting of their own, or that decide what a reply is.
_OURS = (
    "model",
    "messages",
    "n",
    "stream",
    "logprobs",
    "top_logprobs",
    *TOKENS_FIELDS,
)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked of a judge's server; it tells one judge from another.

    Attributes:
        logprobs: whether to read log-probabilities. False, for servers
            without them, takes the number that the reply begins with; there
            are no probabilities then.
        top_logprobs: how many tokens are listed at each place. A score that
            is not among them counts as impossible.
        max_tokens: tokens of a reply. The default is enough for a judge that
            answers with the score. A judge whose thoughts fill them gets
            4,096; answers whose reply ends before the score get no judgement.
        tokens_field: the name that the server has for `max_tokens`.
        max_characters: prompt, expected output and answer are cut to this
            many characters each, in their middle. The default fits a model of
            8,192 tokens in languages of which a token holds three characters
            or more; in Chinese, say, a token holds about one.
        extra_body: further fields of each request, JSON values, such as
            `{"chat_template_kwargs": {"enable_thinking": False}}`. It may
            replace `temperature`, which is 0.

    Raises:
        InputError: a value of another type or out of its range.
    """

    logprobs: bool = setting(
        True, "read log-probabilities; false: the number in the reply"
    )
    top_logprobs: int = setting(20, "tokens listed at each place", low=1)
    max_tokens: int = setting(
        12, "tokens of a reply; a judge that thinks gets more", low=1
    )
    tokens_field: str = setting(
        "max_tokens", "the server's name for it", choices=TOKENS_FIELDS
    )
    max_characters: int = setting(
        8192, "of each text; longer ones lose their middle", low=16
    )
    extra_body: dict[str, Any] = setting(
        {}, "further fields of each request", without=_OURS
    )

    def __post_init__(self) -> None:
        check(self)


@dataclasses.dataclass(frozen=True)
class Connection:
    """How a judge's server is reached; no judgement depends on it.

    Attributes:
        timeout: seconds for each request, from the connection to the last
            byte of the reply.
        retries: how often a request is sent again after a timeout, a lost
            connection, the status 408, 429 or 5xx, or a damaged reply.
        backoff: seconds before the first retry; doubled for each further
            one, unless the server says how long to wait.
        concurrency: how many requests are under way at once.

    Raises:
        InputError: a value of another type or out of its range.
    """

    timeout: float = setting(
        60.0, "seconds for a request", low=1e-3, high=86_400.0
    )
    retries: int = setting(4, "how often to ask again", low=0)
    backoff: float = setting(
        1.0, "seconds before the first retry", low=0.0, high=3600.0
    )
    concurrency: int = setting(8, "requests under way at once", low=1)

    def __post_init__(self) -> None:
        check(self)
