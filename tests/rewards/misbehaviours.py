"""A server that behaves badly in a way that each request's path names.

A process of its own, so that its work takes no time from the client that is
tested: `python -m tests.rewards.misbehaviours` prints its port. Where a
misbehaviour has words, they are the key that the request came with.
"""

import json
import math
import socket
import socketserver
import struct
import time

PAUSE = 0.05
BIG = 4 << 20
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
TOP = [{"token": "7", "logprob": math.log(0.9)}]
SEVEN = json.dumps(
    {
        "choices": [
            {
                "message": {"content": "7"},
                "logprobs": {"content": [{"token": "7", "top_logprobs": TOP}]},
            }
        ]
    }
).encode()


def drip(send, data):
    """A byte at a time, for ever."""
    while True:
        for byte in data:
            send(bytes([byte]))
            time.sleep(PAUSE)


def flood(send, data):
    """As fast as it is read, for ever."""
    data *= max(1, (1 << 16) // len(data))
    while True:
        send(data)


def stall(send):
    time.sleep(60)


def whole(body, status=b"200 OK", more=b""):
    """A reply that is sent at once and is whole."""
    head = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n" % (status, len(body))
    return lambda send, key: send(head + more + b"\r\n" + body)


def then(sent, how, *arguments):
    """Something that is sent, and what follows it."""

    def reply(send, key):
        send(sent.replace(b"KEY", key))
        how(send, *arguments)

    return reply


def said(status, template=b"KEY", more=b""):
    """A whole reply with the key in place of `KEY`."""

    def reply(send, key):
        escaped = b"".join(b"\\u%04x" % byte for byte in key)
        body = template.replace(b"KEY", key).replace(b"ESCAPED", escaped)
        whole(body, status, more.replace(b"KEY", key))(send, key)

    return reply


def end(send):
    pass


def content(places=b"", text="7"):
    """A completion with any JSON as its log-probabilities."""
    message = json.dumps({"content": text}).encode()
    return b'{"choices":[{"message":%b,"logprobs":{"content":[%b]}}]}' % (
        message,
        places,
    )


MISBEHAVIOURS = {
    # Before there is a reply.
    "nothing": lambda send, key: stall(send),
    "closes": lambda send, key: None,
    "resets": None,  # Done by the handler.
    "half-a-status-line": then(b"HTTP/1.1 2", stall),
    "head-drips": then(OK, drip, b"X-More: 1\r\n"),
    "head-floods": then(OK, flood, b"X-More: 1\r\n"),
    "header-without-end": then(OK + b"X: ", flood, b"x"),
    "continues-drip": then(b"", drip, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "continues-flood": then(b"", flood, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "hints-flood": then(b"", flood, b"HTTP/1.1 103 Hint\r\nX: y\r\n\r\n"),
    "no-http": then(b"SSH-2.0-KEY\r\n", stall),
    "bare-html": then(b"<html>KEY</html>\r\n\r\n", end),
    "unknown-version": then(b"HTTP/9.9 200 OK\r\n\r\nKEY", end),
    "status-of-letters": then(b"HTTP/1.1 KEY OK\r\n\r\n", end),
    "status-too-large": then(b"HTTP/1.1 99999 KEY\r\n\r\n", end),
    "status-1": then(b"HTTP/1.1 001 KEY\r\n\r\n", end),
    "illegal-header": then(OK + b"bad KEY\r\n\r\n", end),
    "null-in-a-header": then(OK + b"X: \0KEY\r\n\r\n", end),
    "switches-protocols": then(b"HTTP/1.1 101 KEY\r\n\r\n", stall),
    # A body that is none.
    "body-drips": then(OK + b"\r\n", drip, SEVEN + b" "),
    "body-floods": then(OK + b"\r\n", flood, b" "),
    "too-large": whole(b" " * BIG),
    "less-than-said": then(OK + b"Content-Length: 999\r\n\r\n{", end),
    "less-and-stalls": then(OK + b"Content-Length: 999\r\n\r\n{", stall),
    "length-below-0": then(OK + b"Content-Length: -1\r\n\r\nKEY", end),
    "two-lengths": then(
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}", end
    ),
    "length-without-end": then(
        OK + b"Content-Length: %b\r\n\r\n" % (b"9" * 400), flood, b" "
    ),
    "chunks-drip": then(CHUNKED, drip, b"1\r\n \r\n"),
    "chunks-of-1": then(CHUNKED, flood, b"1\r\n \r\n"),
    "chunk-of-no-size": then(CHUNKED + b"KEY\r\n{}\r\n", end),
    "chunk-too-large": then(CHUNKED + b"f" * 19 + b"\r\n", flood, b" "),
    "chunk-extension": then(CHUNKED + b"1;", flood, b"x"),
    "trailers-drip": then(
        CHUNKED + b"2\r\n{}\r\n0\r\n", drip, b"X-More: 1\r\n"
    ),
    "trailers-flood": then(
        CHUNKED + b"2\r\n{}\r\n0\r\n", flood, b"X-More: 1\r\n"
    ),
    "no-last-chunk": then(CHUNKED + b"2\r\n{}\r\n", stall),
    "compressed": whole(b"\x1f\x8b" * 99, more=b"Content-Encoding: gzip\r\n"),
    # A body that is no judgement.
    "empty": whole(b""),
    "no-content": then(b"HTTP/1.1 204 KEY\r\n\r\n", end),
    "html": said(b"200 OK", b"<html>KEY</html>"),
    "nested": whole(b"[" * (1 << 20)),
    "many-lists": whole(b"[" + b"[]," * ((1 << 20) // 3 - 9) + b"[]]"),
    "many-objects": whole(b"[" + b'{"":0},' * (1 << 17) + b"0]"),
    "many-keys": whole(
        b"{" + b",".join(b'"%x":[]' % i for i in range(90_000)) + b"}"
    ),
    "long-number": whole(b"9" * (1 << 20)),
    "no-text": whole(b"\xff" * 99),
    "many-places": whole(
        content(b",".join([b'{"token":"7","top_logprobs":[]}'] * 30_000))
    ),
    "long-tokens": whole(
        content(
            b'{"token":"%b","top_logprobs":[{"token":"%b","logprob":0}]}'
            % (b"1" * 500_000, b"1" * 500_000)
        )
    ),
    "many-thoughts": whole(content(text="<think></think>" * 60_000)),
    "thoughts-apart": whole(
        b'{"choices":[{"message":{"reasoning":"x","content":"b%b"},'
        b'"logprobs":{"content":[{"token":"%b","top_logprobs":[]}]}}]}'
        % (b"a" * 250_000, b"a" * 700_000)
    ),
    # The key, wherever a server can say it.
    "answer": said(b"200 OK", content(text="KEY")),
    "thought": said(b"200 OK", content(text="<think>KEY</think>")),
    "token": said(
        b"200 OK",
        content(
            b'{"token":"KEY","top_logprobs":[{"token":"KEY","logprob":0}]}'
        ),
    ),
    "error-with-200": said(b"200 OK", b'{"error":{"message":"KEY"}}'),
    "error-escaped": said(b"200 OK", b'{"error":"no, ESCAPED"}'),
    "shape": said(b"200 OK", b'{"choices":"KEY"}'),
    "refused": said(b"401 KEY", b"no, KEY" + b"KEY" * 900),
    "failing": said(b"500 KEY", b'{"message":"KEY"}'),
    "fails-without-end": then(b"HTTP/1.1 500 KEY\r\n\r\nKEY", flood, b"x"),
    "come-back-late": said(b"503 KEY", more=b"Retry-After: 1e9\r\n"),
    "moved": said(b"307 KEY", more=b"Location: http://KEY@h/KEY?KEY\r\n"),
}


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        head, _, body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        headers = {line[0].lower(): line[2] for line in lines}
        missing = int(headers[b"content-length"]) - len(body)
        while missing > 0:
            missing -= len(self.request.recv(1 << 16))
        name = head.split()[1].decode().split("/")[1]
        key = headers[b"authorization"].removeprefix(b"Bearer ")
        try:
            if name == "resets":
                self._reset()
            else:
                MISBEHAVIOURS[name](self.request.sendall, key)
        except OSError:
            pass  # The client has given up.

    def _until(self, end):
        data = b""
        while end not in data:
            part = self.request.recv(1 << 16)
            if not part:
                raise ConnectionError
            data += part
        return data

    def _reset(self):
        linger = struct.pack("ii", 1, 0)
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100

    def handle_error(self, request, client_address):
        pass  # A client that speaks TLS, or has gone.


if __name__ == "__main__":
    with Server(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()
