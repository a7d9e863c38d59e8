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
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import anyio.from_thread
import httpx

from keras_restpg._types import Json
from keras_restpg.errors import InputError

_AGAIN = (408, 429, 500, 502, 503, 504, 529)
_LONGEST_WAIT = 60.0
# Characters of a server's words in a message.
_SAID = 500
# What is shorter hides nothing, and stands in too many words.
_SHORTEST_SECRET = 4

# At INFO it writes the address of each request, its password included.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Client:
    """Posts JSON to one address.

    Args:
        url: http or https. Without a path `/v1/chat/completions` is added;
            to any other path `/chat/completions`, unless it ends so.
        api_key: sent as a bearer token where given.
        timeout: seconds for each request, from the connection to the last
            byte of the reply.
        retries: how often to try again.
        backoff: seconds before the first retry, doubled for each further.
        concurrency: requests under way at once.
        largest: bytes of a reply; one that is larger is not read to its end.

    Attributes:
        url: the address as messages show it: without user and query.

    Raises:
        InputError: another kind of address, or a setting out of its range.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        timeout: float = 60.0,
        retries: int = 4,
        backoff: float = 1.0,
        concurrency: int = 8,
        largest: int = 1 << 20,
    ) -> None:
        if not _is_address(url):
            raise InputError(
                "A judge's address must begin with http:// or https:// and "
                f"name a host. Received: {_shown(url)}"
            )
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            raise InputError(
                f"A judge's `timeout` must be above 0. Received: {timeout}"
            )
        if retries < 0 or not 0 <= backoff < math.inf or concurrency < 1:
            raise InputError(
                "`retries` and `backoff` must not be negative, `concurrency` "
                f"must be at least 1. Received: retries={retries}, "
                f"backoff={backoff}, concurrency={concurrency}"
            )
        parts = urllib.parse.urlsplit(url)
        self._address = _endpoint(parts)
        self.url = _shown(self._address)
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self.concurrency = concurrency
        self.largest = largest
        self._headers = {
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
        }
        key = _key(api_key or "")
        self._secrets = _secrets(parts, key)
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
            # A user in the address would take the key's place.
            self._address = _without_user(self._address)

    def post_all(
        self,
        bodies: Mapping[str, Json],
        read: Callable[[Json], Any],
        done: Callable[[str, Any], None],
    ) -> None:
        """Posts all of `bodies`; a failure or Ctrl-C ends it at once.

        Args:
            bodies: `{key: what is sent as JSON}`.
            read: from a reply's JSON to what is wanted of it. A ValueError
                of it means that another reply may be better; an InputError
                that none will be.
            done: called as `done(key, wanted)` when a reply has come, one
                call at a time.

        Raises:
            InputError: the server can't be reached after all retries,
                refuses a request, or replies with nothing of use.
        """
        # A thread of its own: a notebook's has an event loop already.
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(self._post_all, bodies, read, done)

    def redact(self, text: str) -> str:
        """A text without what the key and the address keep secret."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "[hidden]")
        return text

    async def _post_all(self, bodies, read, done):
        waiting = iter(bodies.items())

        async def work(http):
            for key, body in waiting:
                done(key, await self._post(http, body, read))

        try:
            async with self._open() as http, anyio.create_task_group() as group:
                for _ in range(min(self.concurrency, len(bodies))):
                    group.start_soon(work, http)
        except BaseExceptionGroup as failures:
            # One of them; the tasks beside it were cancelled.
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
                limits=httpx.Limits(max_connections=self.concurrency),
            )
        # A proxy that httpx does not know, or needs a package for.
        except (ImportError, ValueError) as error:
            raise InputError(
                f"The proxy that the environment names can't be used ({error})"
                ". Mend HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or add the "
                "judge's host to NO_PROXY."
            ) from error

    async def _post(self, http, body, read):
        for attempt in range(self.retries + 1):
            try:
                return await self._once(http, body, read)
            except _Again as failure:
                if attempt == self.retries:
                    raise InputError(
                        f"{self.url} did not answer after {attempt + 1} "
                        f"tries: {failure}. Is the server running, and is "
                        "this its address?"
                    ) from failure
                await anyio.sleep(self._wait(attempt, failure.after))

    async def _once(self, http, body, read):
        got, said = None, None
        try:
            with anyio.fail_after(self.timeout):
                sent = json.dumps(body).encode()
                async with http.stream(
                    "POST", self._address, content=sent
                ) as got:
                    said = await self._bytes(got)
        except (OSError, httpx.HTTPError) as error:
            late = isinstance(error, TimeoutError)
            why = (
                "timed out" if late else self.redact(str(error) or repr(error))
            )
            if got is None or got.is_success:
                raise _Again(why) from error
            said = f"its reason can't be read ({why})".encode()
        if not got.is_success:
            raise self._failure(got, said)
        try:
            return read(self._parsed(said))
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise _Again(
                f"its reply is of no use ({self.redact(str(error))})"
            ) from error

    async def _bytes(self, got):
        """The body, or its beginning where it is too large."""
        data = bytearray()
        async for part in got.aiter_raw():
            data += part
            if len(data) > self.largest:
                break
        return bytes(data)

    def _failure(self, got, said):
        """What follows from a status that is not 2xx."""
        said = self._words(said)
        if got.status_code in _AGAIN:
            after = got.headers.get("Retry-After")
            return _Again(f"status {got.status_code}: {said}", after)
        if place := got.headers.get("Location"):
            place = self.redact(_shown(place))
            said = f"it points to {place}. Give the server's own address"
        return InputError(
            f"{self.url} refused the request with status {got.status_code}: "
            f"{said}"
        )

    def _parsed(self, data):
        """A reply's JSON; NaN and Infinity are none."""
        if len(data) > self.largest:
            raise _Again(
                f"its reply has more than {self.largest / 2**20:g} MiB"
            )
        try:
            reply = json.loads(data.decode("utf-8"), parse_constant=_constant)
        except (ValueError, RecursionError) as error:
            raise _Again(
                f"its reply is not JSON ({error}; it begins with "
                f"{self._words(data)[:80]!r})"
            ) from error
        if isinstance(reply, dict) and reply.get("error"):
            raise self._error(reply["error"])
        return reply

    def _error(self, error):
        """Gateways report failures of who is behind them with status 200."""
        said = self._words(json.dumps(error).encode())
        if isinstance(error, dict) and error.get("code") in _AGAIN:
            return _Again(f"it replied with an error: {said}")
        return InputError(f"{self.url} replied with an error: {said}")

    def _words(self, data):
        """The beginning of what a server said; redacted before it is cut."""
        return self.redact(data.decode("utf-8", "replace"))[:_SAID]

    def _wait(self, attempt, after):
        """Seconds: what the server says, else doubled, with some jitter."""
        try:
            seconds = float(after)
        except (TypeError, ValueError):
            seconds = math.nan
        # A date, "nan", or nothing.
        if math.isnan(seconds):
            jitter = random.uniform(0.5, 1.0)
            seconds = self.backoff * 2 ** min(attempt, 30) * jitter
        return min(max(seconds, 0.0), _LONGEST_WAIT)


class _Again(Exception):
    """A failure that may pass."""

    def __init__(self, message, after=None):
        super().__init__(message)
        self.after = after


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
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
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
