"""What a judge on a server needs of HTTP: retries, and a cache on disk."""

import http.client
import io
import json
import math
import os
import pathlib
import random
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from keras_restpg.errors import InputError

_AGAIN = {408, 429, 500, 502, 503, 504, 529}
_LONGEST_WAIT = 60.0
# Bytes of a reply; a judge's have some thousands.
_LARGEST = 1 << 24


class Client:
    """Posts JSON to one address.

    Args:
        url: http or https.
        api_key: sent as a bearer token where given.
        timeout: seconds to wait for a connection, and then for the whole
            reply.
        retries: how often to try again.
        backoff: seconds before the first retry, doubled for each further.

    Raises:
        InputError: another kind of address, or a setting out of its range.
    """

    def __init__(self, url, api_key=None, timeout=60, retries=4, backoff=1):
        if not _is_address(url):
            raise InputError(
                "A judge's address must begin with http:// or https:// and "
                f"name a host. Received: {url}"
            )
        if not 0 < timeout <= threading.TIMEOUT_MAX:
            raise InputError(
                f"A judge's `timeout` must be above 0. Received: {timeout}"
            )
        if retries < 0 or not 0 <= backoff < math.inf:
            raise InputError(
                "`retries` and `backoff` must not be negative. Received: "
                f"retries={retries}, backoff={backoff}"
            )
        self.url = url
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {_key(api_key)}"

    def post(self, body, read=lambda reply: reply, stop=None):
        """What `read` finds in the reply to `body`.

        Args:
            body: what is sent as JSON.
            read: from the reply's JSON to what is wanted of it. A ValueError
                of it means that another reply may be better; an InputError
                that none will be.
            stop: a `threading.Event`; once it is set, nothing is tried again.

        Raises:
            InputError: the server cannot be reached after all retries,
                refuses the request, or replies with nothing of use.
        """
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), self._headers
        )
        stop = stop or threading.Event()
        for attempt in range(self.retries + 1):
            try:
                return self._once(request, read)
            except _Again as failure:
                wait = self._wait(attempt, failure.after)
                if attempt == self.retries or stop.wait(wait):
                    raise InputError(
                        f"{self.url} did not answer after {attempt + 1} "
                        f"tries: {failure}. Is the server running, and is "
                        "this its address?"
                    ) from failure

    def _once(self, request, read):
        try:
            with _open(request, timeout=self.timeout) as got:
                return read(_parsed(got.read(_LARGEST + 1)))
        except urllib.error.HTTPError as error:
            raise self._failure(error) from error
        # URLError, timeouts and lost connections are all OSErrors.
        except (OSError, http.client.HTTPException) as error:
            raise _Again(str(error) or repr(error)) from error
        except InputError:
            raise
        except (ValueError, RecursionError) as error:
            raise _Again(f"its reply is of no use ({error})") from error

    def _failure(self, error):
        """What follows from a status that is not 200."""
        said = _beginning(error)
        if error.code in _AGAIN:
            after = error.headers.get("Retry-After")
            return _Again(f"status {error.code}: {said}", after)
        if place := error.headers.get("Location"):
            said = f"it points to {place}. Give the server's own address"
        return InputError(
            f"{self.url} refused the request with status {error.code}: {said}"
        )

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
    except ValueError:
        return False
    plain = url.isascii() and url.isprintable() and " " not in url
    return parts.scheme in ("http", "https") and named and plain


def _key(api_key):
    """An API key that a header can hold; it is in no message."""
    key = api_key.strip()
    if not key.isascii() or not key.isprintable():
        raise InputError(
            "The judge's API key has characters that no key has, such as a "
            "line break. Copy it again."
        )
    return key


def _parsed(data):
    """A reply's JSON; NaN and Infinity are none."""
    if len(data) > _LARGEST:
        raise _Again(f"its reply has more than {_LARGEST >> 20} MiB")
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise _Again(
            f"its reply is not JSON ({error}; it begins with {data[:80]!r})"
        ) from error


def _constant(name):
    """Python's own servers write log(0) as -Infinity."""
    if name != "-Infinity":
        raise ValueError(f"{name} is no number")
    return -math.inf


def _beginning(error):
    """The first words of an error's body, or why there are none."""
    try:
        with error:
            return error.read(500).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as failure:
        return f"its reason can't be read ({failure})"


class _Until(io.RawIOBase):
    """Reads from a socket for a time, however slowly its bytes drip."""

    def __init__(self, raw, sock):
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._end = time.monotonic() + sock.gettimeout()

    def readable(self):
        return True

    def readinto(self, buffer):
        left = self._end - time.monotonic()
        # 0 would mean not to wait at all.
        self._sock.settimeout(max(left, 1e-3))
        return self._raw.readinto(buffer)

    def close(self):
        self._raw.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """A reply whose head and body must be there within the timeout."""

    def __init__(self, sock, *args, **kwargs):
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Until(self.fp.detach(), sock))


class _Bounded:
    """Mixed into urllib's handlers: their replies are `_Reply`s."""

    def do_open(self, http_class, request, **options):
        def connection(host, **kwargs):
            made = http_class(host, **kwargs)
            made.response_class = _Reply
            return made

        return super().do_open(connection, request, **options)


class _HTTP(_Bounded, urllib.request.HTTPHandler):
    pass


class _HTTPS(_Bounded, urllib.request.HTTPSHandler):
    pass


class _Stay(urllib.request.HTTPRedirectHandler):
    """A redirect would turn the request into one without a body."""

    def redirect_request(self, *args):
        return None


_open = urllib.request.build_opener(_HTTP, _HTTPS, _Stay).open


class Cache:
    """Replies by key, in memory and, given a path, in a JSONL file.

    The file is only ever appended to. A last line that was cut by a crash is
    left out.

    Args:
        path: of the file, made where it is absent, or None.

    Raises:
        InputError: a line, other than the last, that is no reply, or a file
            that can't be read.
    """

    def __init__(self, path=None):
        self._replies = {}
        self._lock = threading.Lock()
        self._path = None if path is None else pathlib.Path(path)
        if self._path is not None and self._path.exists():
            self._load()

    def _load(self):
        try:
            data = self._path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{self._path} can't be read ({error.strerror}). Give "
                "another file"
            ) from error
        *lines, rest = data.split(b"\n")
        # The beginning of a line of ours; any other file stays as it is.
        cut = rest[:2] in (b"[", b'["')
        for number, line in enumerate(lines if cut else data.splitlines(), 1):
            try:
                key, reply = _cached(line)
            except (ValueError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{self._path}, line {number}: not a judge's reply. "
                    "Delete the file or give another one"
                ) from error
            self._replies[key] = reply
        if cut:
            # What comes next must begin on a line of its own.
            os.truncate(self._path, len(data) - len(rest))

    def __contains__(self, key):
        return key in self._replies

    def __getitem__(self, key):
        return self._replies[key]

    def add(self, key, reply):
        """Keep a reply; safe to call from several threads."""
        with self._lock:
            self._replies[key] = reply
            if self._path is not None:
                self._append(json.dumps([key, reply]) + "\n")

    def _append(self, line):
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise InputError(
                f"{self._path} can't be written ({error.strerror}). Make "
                "space and run the same command again: replies are kept."
            ) from error


def _cached(line):
    """`(key, reply)` of a line, which are a text and a text or list."""
    key, reply = json.loads(line.decode("utf-8"))
    if not isinstance(key, str) or not isinstance(reply, str | list):
        raise TypeError("not a key and a reply")
    return key, reply
