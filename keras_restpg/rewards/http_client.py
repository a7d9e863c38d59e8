"""What a judge on a server needs of HTTP: many requests at once, retries.

Requests go through httpx. Beyond it: a time for each request as a whole,
however slowly its bytes drip, and a connection for each; replies of a bounded
size; no redirects; no proxy for a server on this machine; and no secret in any
message, be it ours or the server's (`http_address.py`).
"""

import json
import logging
import math
import random
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import httpx

from keras_restpg.errors import InputError
from keras_restpg.rewards.http_address import Address, shown
from keras_restpg.rewards.http_settings import Connection

# What `read` and `refused` of a question give where it is to be put again.
AGAIN = object()

_AGAIN = (408, 429, 500, 502, 503, 504, 529)
# Those with which servers say what of a request they don't take; the 500 is
# that of a prompt which is too long.
_TELLING = (400, 403, 413, 422, 500, 501)
_LONGEST_WAIT = 60.0
# Characters of a server's words: in a message, and that are looked at.
_SAID = 500
_UNDERSTOOD = 4000
_HEADERS = {
    "Accept-Encoding": "identity",
    "Content-Type": "application/json",
}

# At INFO the one writes the address of each request, its password included,
# and at DEBUG the other all headers of a reply.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class Client:
    """Posts JSON to one address.

    Args:
        url: http or https. Without a path `/v1/chat/completions` is added;
            to any other path `/chat/completions`, unless it ends so.
        api_key: sent as a bearer token where given; as `api-key` to an
            address with `?api-version=…`, which is Azure's.
        connection: a `Connection`.

    Attributes:
        url: the address as messages show it: without user and query.

    Raises:
        InputError: another kind of address, or a key that is none.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        connection: Connection | None = None,
    ) -> None:
        self._address = Address(url, api_key)
        self.url = self._address.shown
        self.connection = connection or Connection()

    def post_all(
        self,
        questions: Mapping[str, Any],
        done: Callable[[str, Any], None],
    ) -> None:
        """Posts all questions; a failure or Ctrl-C ends it at once.

        Args:
            questions: `{key: question}`, an object with `body()`, what is
                sent as JSON; `read(body, reply)`, from a reply's JSON to what
                is wanted of it; `refused(body, said, passes)`, what a refusal
                comes to, None where it is not understood; and `largest`: no
                reply of more bytes is read. `read` and `refused` may give
                `AGAIN`: the question has another body now. A ValueError of
                `read` means that another reply may be better; an InputError
                that none will be, and what it is.
            done: called as `done(key, wanted)` when a reply has come, one
                call at a time.

        Raises:
            InputError: the server can't be reached after all retries,
                refuses a question, or replies with nothing of use.
        """
        # A thread of its own: a notebook's has an event loop already.
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(self._post_all, questions, done)

    async def _post_all(self, questions, done):
        waiting = iter(questions.items())

        async def work(http):
            for key, question in waiting:
                done(key, await self._post(http, question))

        workers = min(self.connection.concurrency, len(questions))
        try:
            async with self._open() as http, anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(work, http)
        except BaseExceptionGroup as failures:
            # One of them, without what caused it: that may hold the key. The
            # tasks beside it were cancelled.
            raise failures.exceptions[0] from None

    def _open(self):
        try:
            return httpx.AsyncClient(
                headers=_HEADERS | self._address.headers,
                timeout=None,
                follow_redirects=False,
                verify=ssl.create_default_context(),
                trust_env=not self._address.is_local,
                limits=httpx.Limits(
                    max_connections=self.connection.concurrency,
                    # What a server sends after its reply would be taken for
                    # the reply to the next question.
                    max_keepalive_connections=0,
                ),
            )
        # A proxy that httpx does not know, or needs a package for.
        except (ImportError, ValueError) as error:
            raise InputError(
                f"The proxy that the environment names can't be used ({error})"
                ". Mend HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or add the "
                "judge's host to NO_PROXY."
            ) from error

    async def _post(self, http, question):
        attempt = 0
        while True:
            try:
                found = await self._once(http, question)
            except _Failure as failure:
                if not failure.passes:
                    raise InputError(f"{self.url} {failure}") from failure
                if attempt == self.connection.retries:
                    raise InputError(
                        f"{self.url} did not answer after {attempt + 1} "
                        f"tries: {failure}. Is the server running, and is "
                        "this its address?"
                    ) from failure
                await anyio.sleep(self._wait(attempt, failure.after))
                attempt += 1
            else:
                if found is not AGAIN:
                    return found

    async def _once(self, http, question):
        body = question.body()
        got, said = None, None
        try:
            with anyio.fail_after(self.connection.timeout):
                sent = json.dumps(body).encode()
                async with http.stream(
                    "POST", self._address.asked, content=sent
                ) as got:
                    said = await _bytes(got, question.largest)
        except (OSError, httpx.HTTPError) as error:
            late = isinstance(error, TimeoutError)
            words = self._address.redact(str(error) or repr(error))
            why = "timed out" if late else words
            if got is None or got.is_success:
                raise _again(why) from error
            said = f"its reason can't be read ({why})".encode()
        try:
            if not got.is_success:
                raise self._failure(got, said)
            reply = self._parsed(said, question.largest)
            return self._read(question, body, reply)
        except _Failure as failure:
            found = failure.said and question.refused(
                body, failure.said, failure.passes
            )
            if not found:
                raise
            return found

    def _read(self, question, body, reply):
        try:
            return question.read(body, reply)
        except InputError as error:
            raise InputError(
                f"{self.url} replied {error}. Received: "
                f"{json.dumps(reply)[:300]}"
            ) from error
        except (ValueError, RecursionError) as error:
            raise _again(
                f"its reply is of no use ({self._address.redact(str(error))})"
            ) from error

    def _failure(self, got, said):
        """What follows from a status that is not 2xx."""
        words, status = self._words(said), got.status_code
        told = words if status in _TELLING else ""
        if status in _AGAIN:
            after = got.headers.get("Retry-After")
            return _again(f"status {status}: {words[:_SAID]}", after, told)
        if place := got.headers.get("Location"):
            place = self._address.redact(shown(place))
            words = f"it points to {place}. Give the server's own address"
        return _Failure(
            f"refused the request with status {status}: {words[:_SAID]}",
            said=told,
        )

    def _parsed(self, data, largest):
        """A reply's JSON; NaN and Infinity are none."""
        if len(data) > largest:
            raise _again(f"its reply has more than {largest / 2**20:g} MiB")
        try:
            reply = self._address.redact_json(
                json.loads(data.decode("utf-8"), parse_constant=_constant)
            )
        except (ValueError, RecursionError) as error:
            raise _again(
                f"its reply is not JSON ({error}; it begins with "
                f"{self._words(data)[:80]!r})"
            ) from error
        if isinstance(reply, dict) and reply.get("error"):
            raise _error(reply["error"])
        return reply

    def _words(self, data):
        """The beginning of what a server said; redacted before it is cut."""
        text = data.decode("utf-8", "replace")
        return self._address.redact(text)[:_UNDERSTOOD]

    def _wait(self, attempt, after):
        """Seconds: what the server says, else doubled, with some jitter."""
        try:
            seconds = float(after)
        except (TypeError, ValueError):
            seconds = math.nan
        # A date, "nan", or nothing.
        if math.isnan(seconds):
            jitter = random.uniform(0.5, 1.0)
            seconds = self.connection.backoff * 2 ** min(attempt, 30) * jitter
        return min(max(seconds, 0.0), _LONGEST_WAIT)


class _Failure(Exception):
    """A request that came to nothing.

    Attributes:
        passes: whether another try may do better.
        after: seconds that the server wants to have until then, as it has it.
        said: the server's words, where they may say what it doesn't take.
    """

    def __init__(self, message, passes=False, after=None, said=""):
        super().__init__(message)
        self.passes = passes
        self.after = after
        self.said = said


def _again(message, after=None, said=""):
    return _Failure(message, True, after, said)


def _error(error):
    """Gateways report failures of who is behind them with status 200."""
    words = json.dumps(error, ensure_ascii=False)
    code = error.get("code") if isinstance(error, dict) else None
    passes = code in _AGAIN
    return _Failure(
        f"{'it ' if passes else ''}replied with an error: {words[:_SAID]}",
        passes,
        said="" if passes and code not in _TELLING else words[:_UNDERSTOOD],
    )


async def _bytes(got, largest):
    """The body, or its beginning where it is too large."""
    data = bytearray()
    async for part in got.aiter_raw():
        data += part
        if len(data) > largest:
            break
        # Many small parts may have come at once: is there time left?
        await anyio.lowlevel.checkpoint()
    return bytes(data)


def _constant(name):
    """Python's own servers write log(0) as -Infinity."""
    if name != "-Infinity":
        raise ValueError(f"{name} is no number")
    return -math.inf
