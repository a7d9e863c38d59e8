"""What a judge on a server needs of HTTP: many requests at once, retries.

Requests go through httpx. Beyond it: a time for each request as a whole,
however slowly its bytes drip; replies of a bounded size; no redirects; no
proxy for a server on this machine; and no key, password or query of an
address in any message, be it ours or the server's.
"""

import base64
import ipaddress
import json
import logging
import math
import random
import socket
import ssl
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import httpx

from keras_restpg.errors import InputError
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
# What is shorter hides nothing, and stands in too many words.
_SHORTEST_SECRET = 4

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
        if not _is_address(url):
            raise InputError(
                "A judge's address must begin with http:// or https:// and "
                f"name a host. Received: {_shown(url)}"
            )
        parts = urllib.parse.urlsplit(url)
        self._address = _endpoint(parts)
        self.url = _shown(self._address)
        self.connection = connection or Connection()
        self._headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        key = _key(api_key or "")
        self._secrets = _secrets(parts, key)
        if key:
            # Azure's addresses with a version take a key by another name.
            azure = "api-version" in urllib.parse.parse_qs(parts.query)
            self._headers |= (
                {"api-key": key}
                if azure
                else {"Authorization": f"Bearer {key}"}
            )
            # A user in the address would take the key's place.
            self._address = _without_user(self._address)

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

    def redact(self, text: str) -> str:
        """A text without what the key and the address keep secret."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "[hidden]")
        return text

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
        host = urllib.parse.urlsplit(self._address).hostname
        try:
            return httpx.AsyncClient(
                headers=self._headers,
                timeout=None,
                follow_redirects=False,
                verify=ssl.create_default_context(),
                trust_env=not _is_this_machine(host),
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
                    "POST", self._address, content=sent
                ) as got:
                    said = await _bytes(got, question.largest)
        except (OSError, httpx.HTTPError) as error:
            late = isinstance(error, TimeoutError)
            why = (
                "timed out" if late else self.redact(str(error) or repr(error))
            )
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
                f"its reply is of no use ({self.redact(str(error))})"
            ) from error

    def _failure(self, got, said):
        """What follows from a status that is not 2xx."""
        words, status = self._words(said), got.status_code
        told = words if status in _TELLING else ""
        if status in _AGAIN:
            after = got.headers.get("Retry-After")
            return _again(f"status {status}: {words[:_SAID]}", after, told)
        if place := got.headers.get("Location"):
            place = self.redact(_shown(place))
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
            reply = self._redacted(
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

    def _redacted(self, value):
        """JSON without secrets, however it spelled them."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self._redacted(each) for each in value]
        if isinstance(value, dict):
            items = value.items()
            return {self.redact(k): self._redacted(v) for k, v in items}
        return value

    def _words(self, data):
        """The beginning of what a server said; redacted before it is cut."""
        return self.redact(data.decode("utf-8", "replace"))[:_UNDERSTOOD]

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


def _is_address(url):
    try:
        parts = urllib.parse.urlsplit(url)
        # Reading the port raises ValueError where it is none.
        named = bool(parts.hostname) and parts.port != 0
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme in ("http", "https") and named and plain


def _endpoint(parts):
    """The address that is asked, as the parts of a URL hold it."""
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urllib.parse.urlunsplit(parts._replace(path=path, fragment=""))


def _without_user(url):
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=host))


def _shown(url):
    """An address, right or wrong, without user, query and fragment."""
    url = url.partition("#")[0].partition("?")[0]
    scheme = url.partition("//")[0] + "//" if "//" in url else ""
    return scheme + url.removeprefix(scheme).rpartition("@")[2]


def _is_this_machine(host):
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
    except ValueError:
        try:
            # Older spellings, such as 127.1.
            address = ipaddress.ip_address(socket.inet_aton(host))
        except OSError:
            return False
    return address.is_loopback or address.is_unspecified


def _secrets(parts, key):
    """What must not be shown: the key; an address's user and query."""
    user = parts.netloc.rpartition("@")[0]
    values = [v for _, v in urllib.parse.parse_qsl(parts.query)]
    secrets = {key, user, *user.split(":", 1), parts.query, *values}
    if user:
        plain = urllib.parse.unquote(user)
        secrets.add(base64.b64encode(plain.encode()).decode())
    return {
        spelling
        for secret in secrets
        for spelling in _spellings(secret)
        if len(spelling) >= _SHORTEST_SECRET
    }


def _spellings(secret):
    """As it may stand in a server's reply."""
    plain = urllib.parse.unquote(secret)
    ways = {secret, plain, urllib.parse.quote(plain, safe="")}
    return ways | {json.dumps(each)[1:-1] for each in ways}


def _key(api_key):
    """An API key that a header can hold; it is in no message."""
    key = api_key.strip()
    if not key.isascii() or not key.isprintable():
        raise InputError(
            "The judge's API key has characters that no key has, such as a "
            "line break. Copy it again."
        )
    return key


def _constant(name):
    """Python's own servers write log(0) as -Infinity."""
    if name != "-Infinity":
        raise ValueError(f"{name} is no number")
    return -math.inf
