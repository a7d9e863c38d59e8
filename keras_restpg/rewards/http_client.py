"""What a judge on a server needs of HTTP: retries, and a cache on disk."""

import http.client
import json
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


class Client:
    """Posts JSON to one address.

    Args:
        url: http or https.
        api_key: sent as a bearer token where given.
        timeout: seconds to wait for a reply.
        retries: how often to try again.
        backoff: seconds before the first retry, doubled for each further.

    Raises:
        InputError: another kind of address.
    """

    def __init__(self, url, api_key=None, timeout=60, retries=4, backoff=1):
        if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
            raise InputError(
                "A judge's address must begin with http:// or https://. "
                f"Received: {url}"
            )
        self.url = url
        self.timeout = timeout
        self.retries = retries
        self.backoff = backoff
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"

    def post(self, body):
        """The reply to `body`, both JSON.

        Raises:
            InputError: the server cannot be reached after all retries, or
                refuses the request.
        """
        request = urllib.request.Request(
            self.url, json.dumps(body).encode(), self._headers
        )
        for attempt in range(self.retries + 1):
            try:
                return self._once(request)
            except _Again as failure:
                if attempt == self.retries:
                    raise InputError(
                        f"{self.url} did not answer after {attempt + 1} "
                        f"tries: {failure}. Is the server running?"
                    ) from failure
                time.sleep(self._wait(attempt, failure.after))

    def _once(self, request):
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as got:
                return json.loads(got.read())
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace")
            if error.code in _AGAIN:
                after = error.headers.get("Retry-After")
                raise _Again(f"status {error.code}: {said}", after) from error
            raise InputError(
                f"{self.url} refused the request with status {error.code}: "
                f"{said}"
            ) from error
        # URLError, timeouts and lost connections are all OSErrors.
        except (OSError, http.client.HTTPException) as error:
            raise _Again(str(error) or repr(error)) from error
        except ValueError as error:
            raise _Again(f"its reply is not JSON ({error})") from error

    def _wait(self, attempt, after):
        """Seconds: what the server says, else doubled, with some jitter."""
        try:
            seconds = float(after)
        except (TypeError, ValueError):
            jitter = random.uniform(0.5, 1.0)
            seconds = self.backoff * 2**attempt * jitter
        return min(max(seconds, 0.0), _LONGEST_WAIT)


class _Again(Exception):
    """A failure that may pass."""

    def __init__(self, message, after=None):
        super().__init__(message)
        self.after = after


class Cache:
    """Replies by key, in memory and, given a path, in a JSONL file.

    The file is only ever appended to. A last line that was cut by a crash is
    left out.

    Args:
        path: of the file, made where it is absent, or None.

    Raises:
        InputError: a line, other than the last, that is no reply.
    """

    def __init__(self, path=None):
        self._replies = {}
        self._lock = threading.Lock()
        self._path = None if path is None else pathlib.Path(path)
        if self._path is not None and self._path.exists():
            self._load()

    def _load(self):
        text = self._path.read_text("utf-8")
        *lines, rest = text.split("\n")
        for number, line in enumerate(lines, 1):
            try:
                key, reply = json.loads(line)
            except ValueError as error:
                raise InputError(
                    f"{self._path}, line {number}: not a judge's reply. "
                    "Delete the file or give another one"
                ) from error
            self._replies[key] = reply
        if rest:
            # What comes next must begin on a line of its own.
            whole = text[: len(text) - len(rest)]
            self._path.write_text(whole, "utf-8")

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
