"""The judge on a server, against real servers on loopback."""

import http.server
import json
import math
import threading
import time

import numpy as np
import pytest

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.rewards import http as http_judge
from tests.rewards.records import example

EXAMPLE = example()


def listing(**probabilities):
    """`top_logprobs` of probabilities by token; `_7` is " 7"."""
    return [
        {"token": token.replace("_", " ").strip("n"), "logprob": math.log(p)}
        for token, p in probabilities.items()
    ]


def place(token, **probabilities):
    return {"token": token, "top_logprobs": listing(**probabilities)}


def reply(*places, text=""):
    choice = {"message": {"content": text}, "logprobs": {"content": places}}
    return {"choices": [choice]}


SEVEN = reply(place("7", n7=0.6, n1=0.2, n5=0.1))


class Server:
    """Serves `replies`: `(status, body, headers)`, the last one for ever."""

    def __init__(self, *replies, delay=0.0):
        self.replies = list(replies)
        self.delay = delay
        self.requests, self.headers = [], []
        self.running = self.most = 0
        self.lock = threading.Lock()

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                outer.serve(self)

            def log_message(self, *args):
                pass

        address = ("127.0.0.1", 0)
        self.server = http.server.ThreadingHTTPServer(address, Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

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
            handler.send_header("Content-Length", str(len(sent)))
            handler.end_headers()
            handler.wfile.write(sent)
        except OSError:
            pass  # The client has given up waiting.


def judge(server, **options):
    options = {"backoff": 0.01, "timeout": 5.0, **options}
    return http_judge.HTTPJudge(server.url, "a-model", **options)


def test_what_is_asked():
    with Server((200, SEVEN)) as server:
        reward = judge(server, api_key="a-key")
        assert reward.score([EXAMPLE], ["an answer"]).tolist() == [
            np.float32(0.7)
        ]
    (path, body) = server.requests[0]
    assert path == "/v1/chat/completions"
    assert body["model"] == "a-model"
    assert body["logprobs"] is True
    content = body["messages"][0]["content"]
    assert content == prompts.fill(
        prompts.JUDGE_PROMPT,
        prompt=EXAMPLE.prompt,
        expected=EXAMPLE.expected,
        answer="an answer",
    )
    assert server.headers[0]["Authorization"] == "Bearer a-key"


def test_an_address_may_end_in_v1():
    with Server((200, SEVEN)) as server:
        server.url += "/v1/"
        judge(server).score([EXAMPLE], ["a"])
    assert server.requests[0][0] == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        # Digits apart: P(10) = P("1") P("0"|"1").
        (
            [place("1", n1=0.5, n7=0.4), place("0", n0=0.9, n1=0.05)],
            [0.05, 0, 0, 0.4, 0.45],
        ),
        # A number ends: "1" and then the end of the turn.
        (
            [place("1", n1=0.5, n7=0.4), place("", n0=0.1, n=0.9)],
            [0.45, 0, 0, 0.4, 0.05],
        ),
        # "10" is a token; " 7" and "7" are the same score.
        ([place("10", n10=0.5, n7=0.2, _7=0.1)], [0, 0, 0, 0.3, 0.5]),
        # A space first.
        ([place(" ", n=1.0), place("3", n3=0.8)], [0, 0.8, 0, 0, 0]),
        # Prose.
        ([place("The", nThe=0.9, n5=0.01)], [0, 0, 0.01, 0, 0]),
        ([place("The", nThe=0.9)], [0, 0, 0, 0, 0]),
        ([place(" ", n=1.0)], [0, 0, 0, 0, 0]),
    ],
)
def test_scores_are_whole_strings(places, expected):
    tokens = http_judge._first_tokens(places)
    found = np.exp(http_judge.criteria_log_probs(tokens))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_who_does_not_judge_gives_the_lowest_score():
    with Server((200, reply(place("The", nThe=1.0)))) as server:
        found = judge(server).judge([EXAMPLE], ["a"])[0]
    assert found.score == 0.1
    assert found.probabilities == (0, 0, 0, 0, 0)


def test_control_symbols_are_broken_up():
    with Server((200, SEVEN)) as server:
        judge(server).score([EXAMPLE], ["a<end_of_turn>b<|im_end|>\ud800"])
    content = server.requests[0][1]["messages"][0]["content"]
    assert "a< end_of_turn>b< |im_end|>?" in content


def test_equal_answers_are_asked_once_and_blank_ones_never():
    with Server((200, SEVEN)) as server:
        reward = judge(server)
        scores = reward.score([EXAMPLE] * 4, ["a", "a", "b", " "])
        reward.score([EXAMPLE], ["a"])
    np.testing.assert_allclose(scores, [0.7, 0.7, 0.7, 0], rtol=1e-6)
    assert len(server.requests) == 2


def test_the_cache_outlives_the_process_and_a_cut_line(tmp_path):
    path = tmp_path / "replies" / "cache.jsonl"
    with Server((200, SEVEN)) as server:
        judge(server, cache=path).score([EXAMPLE] * 2, ["a", "b"])
        path.write_text(path.read_text()[:-5])
        again = judge(server, cache=path)
        again.score([EXAMPLE] * 2, ["a", "b"])
        judge(server, cache=path).score([EXAMPLE] * 2, ["a", "b"])
    assert len(server.requests) == 3


def test_a_broken_cache_is_refused(tmp_path):
    path = tmp_path / "cache.jsonl"
    path.write_text("nonsense\n")
    with pytest.raises(InputError, match="cache.jsonl, line 1"):
        http_judge.HTTPJudge("http://localhost", "m", cache=path)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_failures_are_tried_again(status):
    busy = (status, b"busy", {"Retry-After": "0"})
    with Server(busy, busy, (200, SEVEN)) as server:
        scores = judge(server).score([EXAMPLE], ["a"])
    assert scores.tolist() == [np.float32(0.7)]
    assert len(server.requests) == 3


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "1000"}])
def test_half_a_reply_is_tried_again(headers):
    half = (200, b'{"choices": [', headers)
    with Server(half, (200, SEVEN)) as server:
        judge(server).score([EXAMPLE], ["a"])
    assert len(server.requests) == 2


def test_retries_come_to_an_end():
    with Server((503, b"overloaded")) as server:
        with pytest.raises(InputError, match="3 tries.*overloaded"):
            judge(server, retries=2).score([EXAMPLE], ["a"])
    assert len(server.requests) == 3


def test_waits_double():
    client = http_judge.http_client.Client("http://localhost", backoff=1.0)
    waits = [client._wait(attempt, None) for attempt in range(4)]
    for attempt, wait in enumerate(waits):
        assert 2**attempt / 2 <= wait <= 2**attempt
    assert client._wait(0, "7") == 7
    assert client._wait(30, None) == 60


def test_a_slow_server_times_out():
    with Server((200, SEVEN), delay=0.5) as server:
        with pytest.raises(InputError, match="timed out"):
            judge(server, timeout=0.1, retries=0).score([EXAMPLE], ["a"])


def test_no_server_is_said_plainly():
    with Server((200, SEVEN)) as server:
        pass
    with pytest.raises(InputError, match="Is the server running"):
        judge(server, retries=1).score([EXAMPLE], ["a"])


def test_a_refused_request_is_not_tried_again():
    with Server((401, b"wrong key")) as server:
        with pytest.raises(InputError, match="status 401: wrong key"):
            judge(server).score([EXAMPLE], ["a"])
    assert len(server.requests) == 1


def test_no_more_requests_at_once_than_asked_for():
    answers = [f"answer {i}" for i in range(12)]
    with Server((200, SEVEN), delay=0.05) as server:
        judge(server, concurrency=3).score([EXAMPLE] * 12, answers)
    assert len(server.requests) == 12
    assert server.most == 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"choices": []},
        {"choices": [{"message": {"content": "7"}}]},
        {"choices": [{"logprobs": {"content": []}}]},
        [],
        reply({"token": "7", "top_logprobs": []}),
        reply({"token": "7", "top_logprobs": listing(n7=1) + [{}]}),
    ],
)
def test_a_reply_without_log_probabilities_is_refused(wrong):
    with Server((200, wrong)) as server:
        with pytest.raises(InputError, match="logprobs=False"):
            judge(server).score([EXAMPLE], ["a"])


@pytest.mark.parametrize(
    ("text", "score"),
    [("10", 1), (" **7** since", 0.7), ("1", 0.1), ("100", 0.1), ("Good", 0.1)],
)
def test_a_server_without_log_probabilities(text, score):
    with Server((200, reply(text=text))) as server:
        found = judge(server, logprobs=False).judge([EXAMPLE], ["a"])[0]
    assert found.score == score
    assert found.probabilities is None
    assert "logprobs" not in server.requests[0][1]


def test_other_addresses_are_refused():
    with pytest.raises(InputError, match="Received: file:///etc"):
        http_judge.HTTPJudge("file:///etc", "m")
