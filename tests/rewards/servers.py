"""Servers of a judge on loopback, and a judge that asks them quickly."""

import dataclasses
import http.server
import json
import threading
import time

from keras_restpg.rewards.http import HTTPJudge
from keras_restpg.rewards.http_settings import Connection, Request
from tests.rewards.records import example
from tests.rewards.replies import place, reply

EXAMPLE = example()


SEVEN = reply(place("7", n7=0.6, n1=0.2, n5=0.1))


class Server:
    """Serves `replies`: `(status, body, headers)`, the last one for ever."""

    protocol = "HTTP/1.0"

    def __init__(self, *replies, delay=0.0):
        self.replies = list(replies)
        self.delay = delay
        self.requests, self.headers = [], []
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = self.protocol

            def do_POST(self):
                outer.serve(self)

            def log_message(self, *args):
                pass

        address = ("127.0.0.1", 0)
        self.server = http.server.ThreadingHTTPServer(address, Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(0.02,)
        )
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def send(self, handler, sent):
        handler.wfile.write(sent)

    def serve(self, handler):
        size = int(handler.headers["Content-Length"])
        body = json.loads(handler.rfile.read(size))
        with self.lock:
            self.requests.append((handler.path, body))
            self.headers.append(dict(handler.headers))
            self.running += 1
            self.most = max(self.most, self.running)
            chosen = self.replies[0]
            if len(self.replies) > 1:
                self.replies.pop(0)
        time.sleep(self.delay)
        with self.lock:
            self.running -= 1
        status, sent, headers = (*chosen, {})[:3]
        sent = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        try:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            if "Content-Length" not in headers:
                handler.send_header("Content-Length", str(len(sent)))
            handler.end_headers()
            self.send(handler, sent)
        except OSError:
            pass  # The client has given up waiting.


class Dripping(Server):
    """Sends a few bytes at a time, with pauses, and perhaps not to the end."""

    def __init__(self, *replies, pause=0.0, stall=False):
        super().__init__(*replies)
        self.pause = pause
        self.stall = stall

    def send(self, handler, sent):
        for first in range(0, len(sent) // (1 + self.stall), 4):
            handler.wfile.write(sent[first : first + 4])
            time.sleep(self.pause)
        if self.stall:
            time.sleep(1.0)


def settings(cls, options):
    """An object of those options that are its fields, taken out of them."""
    names = [each.name for each in dataclasses.fields(cls)]
    return cls(**{n: options.pop(n) for n in names if n in options})


def judge(server, **options):
    options = {"backoff": 0.01, "timeout": 5.0, **options}
    return HTTPJudge(
        server.url,
        "a-model",
        request=settings(Request, options),
        connection=settings(Connection, options),
        **options,
    )
