"""The address of a judge's server: what is asked, shown, and kept secret."""

import base64
import ipaddress
import json
import socket
import urllib.parse
from typing import Any

import httpx

from keras_restpg.errors import InputError

# What is shorter hides nothing, and stands in too many words.
_SHORTEST_SECRET = 4


class Address:
    """An address and the key for it.

    Args:
        url: http or https. Without a path `/v1/chat/completions` is added;
            to any other path `/chat/completions`, unless it ends so.
        api_key: sent as a bearer token where given; as `api-key` to an
            address with `?api-version=…`, which is Azure's.

    Attributes:
        asked: the address that requests go to.
        shown: the same without user and query, for messages.
        headers: dict, the key's where there is one.
        is_local: whether it is of this machine.

    Raises:
        InputError: another kind of address, or a key that is none.
    """

    def __init__(self, url: str, api_key: str | None = None) -> None:
        if not _is_address(url):
            raise InputError(
                "A judge's address must begin with http:// or https:// and "
                f"name a host. Received: {shown(url)}"
            )
        parts = urllib.parse.urlsplit(url)
        self.asked = _endpoint(parts)
        self.shown = shown(self.asked)
        self.headers = {}
        self.is_local = _is_this_machine(parts.hostname or "")
        key = _key(api_key or "")
        secrets = sorted(_secrets(parts, key), key=len, reverse=True)
        self._secrets = tuple(secrets)
        if key:
            # Azure's addresses with a version take a key by another name.
            azure = "api-version" in urllib.parse.parse_qs(parts.query)
            self.headers = (
                {"api-key": key}
                if azure
                else {"Authorization": f"Bearer {key}"}
            )
            # A user in the address would take the key's place.
            self.asked = _without_user(self.asked)

    def redact(self, text: str) -> str:
        """A text without what the key and the address keep secret."""
        for secret in self._secrets:
            text = text.replace(secret, "[hidden]")
        return text

    def redact_json(self, value: Any) -> Any:
        """JSON without secrets, however it spelled them."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [each and self.redact_json(each) for each in value]
        if isinstance(value, dict):
            items = value.items()
            return {self.redact(k): self.redact_json(v) for k, v in items}
        return value


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


def _endpoint(parts: urllib.parse.SplitResult) -> str:
    """The address that is asked, as the parts of a URL hold it."""
    path = parts.path.rstrip("/") or "/v1"
    if not path.endswith("/chat/completions"):
        path += "/chat/completions"
    return urllib.parse.urlunsplit(parts._replace(path=path, fragment=""))


def _without_user(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit(parts._replace(netloc=host))


def shown(url: str) -> str:
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
