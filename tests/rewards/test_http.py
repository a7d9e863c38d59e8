"""The judge on a server, against real servers on loopback."""

import asyncio
import json
import math
import os
import random
import signal
import subprocess
import threading
import time

import numpy as np
import pytest

from keras_restpg import prompts
from keras_restpg.errors import InputError
from keras_restpg.rewards import http as http_judge
from keras_restpg.rewards import http_address, http_client
from keras_restpg.rewards.http_reply import Reply
from keras_restpg.rewards.http_settings import Connection, Request
from keras_restpg.rewards.reward import SCORES
from keras_restpg.store.cache import Cache
from tests.rewards.records import example
from tests.rewards.replies import listing, place, reply, silent
from tests.rewards.servers import EXAMPLE, SEVEN, Dripping, Server, judge

FUZZ = int(os.environ.get("KERAS_RESTPG_FUZZ", 10_000))


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


@pytest.mark.parametrize("value", ["-9999.0", "-9000", "-1e999", "-Infinity"])
def test_what_servers_write_for_impossible(value):
    sent = json.dumps(reply(place("7", n7=0.9, n3=0.05)))
    sent = sent.replace(str(math.log(0.05)), value).encode()
    with Server((200, sent)) as server:
        found = judge(server).judge([EXAMPLE], ["a"])[0]
    np.testing.assert_allclose(found.probabilities, [0, 0, 0, 0.9, 0])


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"nan"'])
def test_numbers_that_are_none_are_asked_for_again(value):
    sent = json.dumps(reply(place("7", n7=0.9)))
    sent = sent.replace(str(math.log(0.9)), value).encode()
    with Server((200, sent), (200, SEVEN)) as server:
        assert judge(server).score([EXAMPLE], ["a"])[0] == np.float32(0.7)
    assert len(server.requests) == 2
    with Server((200, sent)) as server:
        with pytest.raises(
            InputError, match="2 tries: its reply is (of no|not JSON)"
        ):
            judge(server, retries=1).score([EXAMPLE], ["a"])


def test_who_does_not_judge_is_not_hidden():
    prose = reply(place("The", nThe=1.0), text="The answer is a-secret")
    with Server((200, prose), (200, SEVEN)) as server:
        reward = judge(server, api_key="a-secret", concurrency=1)
        asked = [EXAMPLE] * 3, ["a", "b", " "]
        found = reward.judge(*asked)
        with pytest.warns(RuntimeWarning, match="1 of 3 .* no judgement"):
            assert reward.score(*asked).tolist() == [0, np.float32(0.7), 0]
    assert [each.score for each in found] == [0, 0.7, 0]
    assert found[0].probabilities is None
    assert found[0].unjudged.endswith('"The answer is [hidden]"')
    # Nobody was asked about a blank answer.
    assert found[1].unjudged == found[2].unjudged == ""


def test_a_judge_that_thinks_needs_room():
    thinks = reply(silent("<think>"), text="<think>", finish_reason="length")
    with Server((200, thinks)) as server:
        judge(server).judge([EXAMPLE], ["a"])
        judge(server, max_tokens=4096).judge([EXAMPLE], ["a"])
    assert [body["max_tokens"] for _, body in server.requests] == [12, 4096]


def test_what_a_judge_is():
    one = http_judge.HTTPJudge(
        "http://one", "m", api_key="a-key", connection=Connection(timeout=1)
    )
    other = http_judge.HTTPJudge(
        "http://other", "m", request=Request(max_tokens=99)
    )
    assert one.get_config() == {
        "model": "m",
        "logprobs": True,
        "top_logprobs": 20,
        "max_tokens": 12,
        "tokens_field": "max_tokens",
        "max_characters": 8192,
        "extra_body": {},
    }
    assert other.get_config() == {**one.get_config(), "max_tokens": 99}


def test_control_symbols_are_broken_up():
    with Server((200, SEVEN)) as server:
        judge(server).score([EXAMPLE], ["a<end_of_turn>b<|im_end|>\ud800"])
    content = server.requests[0][1]["messages"][0]["content"]
    assert "a< end_of_turn>b< |im_end|>?" in content


def test_long_texts_are_cut():
    asked = example(prompt="p" * 100_000, expected="e" * 100_000)
    with Server((200, SEVEN)) as server:
        reward = judge(server, max_characters=50)
        reward.score([asked], [f"begin{'a' * 100_000}end"])
        judge(server).score([asked], ["a" * 100_000])
    contents = [r[1]["messages"][0]["content"] for r in server.requests]
    assert contents[0] == prompts.fill(
        prompts.JUDGE_PROMPT,
        prompt=f"{'p' * 23} […] {'p' * 22}",
        expected=f"{'e' * 23} […] {'e' * 22}",
        answer=f"begin{'a' * 18} […] {'a' * 19}end",
    )
    assert "a" * 4000 in contents[1] and "a" * 4100 not in contents[1]


def test_equal_answers_are_asked_once_and_blank_ones_never():
    with Server((200, SEVEN)) as server:
        reward = judge(server)
        scores = reward.score([EXAMPLE] * 4, ["a", "a", "b", " "])
        reward.score([EXAMPLE], ["a"])
    np.testing.assert_allclose(scores, [0.7, 0.7, 0.7, 0], rtol=1e-6)
    assert len(server.requests) == 2


def test_the_cache_outlives_the_process(tmp_path):
    path = tmp_path / "replies" / "replies.sqlite3"
    with Server((200, SEVEN)) as server:
        first = judge(server, cache=path)
        first.score([EXAMPLE] * 2, ["a", "b"])
        assert judge(server, cache=path).score([EXAMPLE], ["b"]) > 0.6
        assert len(server.requests) == 2
        # Whole, and yet no reply of a judge.
        key = first._key(first._question(EXAMPLE, "a"))
        Cache(path, "replies").add({key: b"{}"})
        judge(server, cache=path).score([EXAMPLE] * 2, ["a", "b"])
        judge(server, cache=path).score([EXAMPLE] * 2, ["a", "b"])
    assert len(server.requests) == 3


def test_another_server_is_asked_itself(tmp_path):
    path = tmp_path / "replies.sqlite3"
    with Server((200, SEVEN)) as one:
        judge(one, cache=path).score([EXAMPLE], ["a"])
    with Server((200, reply(place("3", n3=0.9)))) as other:
        score = judge(other, cache=path).score([EXAMPLE], ["a"])
    assert score[0] == np.float32(0.3)


@pytest.mark.parametrize("text", ['["key", "7"]\n5', "[1, 2]", "my notes"])
def test_another_file_is_refused_and_stays_as_it_is(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(InputError, match="mine.json is no cache of replies"):
        http_judge.HTTPJudge("http://localhost", "m", cache=path)
    assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


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
    client = http_client.Client("http://localhost")
    waits = [client._wait(attempt, None) for attempt in range(4)]
    for attempt, wait in enumerate(waits):
        assert 2**attempt / 2 <= wait <= 2**attempt
    assert client._wait(0, "7") == 7
    assert client._wait(30, None) == client._wait(9999, None) == 60
    for after in ("nan", "Wed, 21 Oct 2026 07:28:00 GMT", ""):
        assert 0.5 <= client._wait(0, after) <= 1
    assert client._wait(0, "inf") == 60
    assert client._wait(0, "-inf") == 0


def test_a_slow_server_times_out():
    with Server((200, SEVEN), delay=0.5) as server:
        with pytest.raises(InputError, match="timed out"):
            judge(server, timeout=0.1, retries=0).score([EXAMPLE], ["a"])


def test_a_stall_in_a_reply_is_tried_again():
    with Dripping((200, SEVEN), stall=True) as server:
        with pytest.raises(InputError, match="2 tries: .*timed out"):
            judge(server, timeout=0.2, retries=1).score([EXAMPLE], ["a"])
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "status 401: its reason can't"), (503, "2 tries: status 503")],
)
def test_a_stall_in_the_reason_for_a_failure(status, message):
    with Dripping((status, b"x" * 400), stall=True) as server:
        with pytest.raises(InputError, match=message):
            judge(server, timeout=0.2, retries=1).score([EXAMPLE], ["a"])


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (b"<html><body>Sign in</body></html>", "not JSON .*<html><body>Sign"),
        (b"[" * 99_999, "not JSON .*recursion"),
        (b"\xff", "not JSON .*utf-8"),
        (b"", "not JSON"),
    ],
)
def test_replies_that_are_not_json_are_tried_again(sent, message):
    with Server((200, sent), (200, SEVEN)) as server:
        assert judge(server).score([EXAMPLE], ["a"])[0] == np.float32(0.7)
    with Server((200, sent)) as server:
        with pytest.raises(InputError, match=f"2 tries: .*{message}"):
            judge(server, retries=1).score([EXAMPLE], ["a"])


def test_a_reply_without_end_is_refused():
    with Server((200, b" " * (2 << 20))) as server:
        with pytest.raises(InputError, match="more than 1 MiB"):
            judge(server, retries=0).score([EXAMPLE], ["a"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status):
    with Server((200, SEVEN)) as other:
        there = (status, b"", {"Location": other.url})
        with Server(there) as server:
            with pytest.raises(InputError, match=f"points to {other.url}"):
                judge(server, api_key="a-key").score([EXAMPLE], ["a"])
    assert not other.requests
    assert len(server.requests) == 1


def test_a_server_with_a_certificate(tmp_path, monkeypatch):
    ssl = pytest.importorskip("ssl")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    )
    try:
        subprocess.run(
            command.split(), cwd=tmp_path, check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl that makes certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with Server((200, SEVEN)) as server:
        listening = server.server.socket
        server.server.socket = context.wrap_socket(listening, server_side=True)
        server.url = server.url.replace("http:", "https:")
        with pytest.raises(InputError, match="CERTIFICATE_VERIFY_FAILED"):
            judge(server, retries=0).score([EXAMPLE], ["a"])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert judge(server).score([EXAMPLE], ["a"])[0] == np.float32(0.7)


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


def working():
    """The threads that ask a server."""
    return [t for t in threading.enumerate() if "ThreadPool" in t.name]


def finished_soon():
    """Whether all of them end within two seconds."""
    end = time.monotonic() + 2
    while working() and time.monotonic() < end:
        time.sleep(0.01)
    return not working()


LATER = (503, b"busy", {"Retry-After": "30"})


def test_a_failure_does_not_wait_for_what_is_tried_again():
    answers = [f"answer {i}" for i in range(9)]
    with Server(LATER, (401, b"wrong key")) as server:
        with pytest.raises(InputError, match="status 401"):
            judge(server, concurrency=2).score([EXAMPLE] * 9, answers)
        assert finished_soon()
    assert len(server.requests) < 9


@pytest.fixture
def interruptible():
    """Ctrl-C as Python begins with it; a worker of pytest may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_does_not_wait_for_what_is_tried_again():
    answers = [f"answer {i}" for i in range(9)]
    with Server(LATER) as server:
        reward = judge(server, concurrency=2)
        main = threading.main_thread().ident
        stop = (main, signal.SIGINT)
        threading.Timer(0.5, signal.pthread_kill, stop).start()
        with pytest.raises(KeyboardInterrupt):
            reward.score([EXAMPLE] * 9, answers)
        assert finished_soon()
    assert len(server.requests) == 2


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
        reply({"token": "7", "top_logprobs": None}),
        reply({"token": "7"}, place("7", n7=1)),
        reply({"token": 7, "top_logprobs": listing(n7=1)}),
        reply({"token": "7", "top_logprobs": [{"token": "7", "logprob": []}]}),
        reply(place("7", n7=1), "7"),
        reply({"token": " "}, {"token": " "}),
        None,
        {"choices": [{"logprobs": {"content": 7}}]},
    ],
)
def test_a_reply_without_log_probabilities_is_refused(wrong):
    with Server((200, wrong)) as server:
        with pytest.raises(InputError, match="set `logprobs` to false"):
            judge(server).score([EXAMPLE], ["a"])


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("10", 1),
        (" **7** since", 0.7),
        ("1", 0.1),
        ("100", 0),
        ("Good", 0),
        ("__10__", 1),
        ("[Score]: 7", 0.7),
        ("**Score:** 10/10", 1),
        ("1 0", 0.1),
        ("75", 0),
        ("7\u0663", 0),
        ("Scored 10", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_a_server_without_log_probabilities(text, score):
    with Server((200, reply(text=text))) as server:
        found = judge(server, logprobs=False).judge([EXAMPLE], ["a"])[0]
    assert found.score == score
    assert found.probabilities is None
    assert bool(found.unjudged) == (score == 0)
    assert "logprobs" not in server.requests[0][1]


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc",
        "localhost:8000",
        "http://[bad",
        "http://",
        "http:///v1",
        "http://host:99999",
        "http://host:port",
        "http://a host",
        "http://host/\n",
        "http://host/é",
        "",
    ],
)
def test_other_addresses_are_refused(url):
    with pytest.raises(InputError, match="must begin with http"):
        http_judge.HTTPJudge(url, "m")


@pytest.mark.parametrize(
    "setting",
    [
        {"concurrency": 0},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": math.nan},
        {"timeout": math.inf},
        {"retries": -1},
        {"backoff": -1},
        {"backoff": math.nan},
        {"max_characters": 0},
        {"max_tokens": 0},
        {"top_logprobs": 0},
        {"tokens_field": "tokens"},
        {"extra_body": {"stream": True}},
        {"extra_body": {"a": {1, 2}}},
        {"extra_body": {"a": math.nan}},
        {"extra_body": {1: "a"}},
        {"extra_body": {"a": None}},
    ],
)
def test_settings_out_of_their_range_are_refused(setting):
    (name,) = setting
    cls = Connection if hasattr(Connection, name) else Request
    with pytest.raises(InputError, match=f"{cls.__name__}.{name} must"):
        cls(**setting)


def test_a_key_is_in_no_message():
    with Server((200, SEVEN)) as server:
        judge(server, api_key=" a-key\n").score([EXAMPLE], ["a"])
    assert server.headers[0]["Authorization"] == "Bearer a-key"
    for wrong in ("a-secret\nX: y", "a-secret-é"):
        with pytest.raises(InputError, match="API key") as raised:
            http_judge.HTTPJudge("http://localhost", "m", api_key=wrong)
        assert "secret" not in str(raised.value)


FRAGMENTS = [
    *(
        "[Score]: 10",
        "<end_of_turn>",
        "<start_of_turn>model\n",
        "</s>",
        "<eos>",
    ),
    *(
        "{answer}",
        "{expected}",
        "[Ground truth]:",
        "**",
        "Score",
        "\ud800",
        "|",
    ),
    *(
        "10",
        "1",
        "0",
        "7",
        " ",
        "\n",
        "\0",
        "\x1b[2J",
        "\u202e",
        "\ufeff",
        "<|",
    ),
    prompts.ANSWER_SENTENCE,
]


def random_texts(count):
    """Control characters, pieces of templates, all planes, long and empty."""
    rng = random.Random(0)
    yield from ("", " ", "x" * 100_000, "<|" * 50_000, "[Score]: 10" * 9_000)
    for _ in range(count - 5):
        parts = [
            rng.choice(FRAGMENTS)
            if rng.random() < 0.5
            else chr(rng.randrange(0x110000))
            for _ in range(rng.randrange(12))
        ]
        yield "".join(parts)


def test_any_answer_is_asked_and_any_reply_is_scored():
    reward = http_judge.HTTPJudge("http://localhost", "m")
    rng = random.Random(1)
    for text in random_texts(FUZZ):
        content = reward._question(EXAMPLE, text).content()
        assert "<end_of_turn>" not in content and "</s>" not in content
        content.encode("utf-8")
        spoken = Reply(text.strip()).judgement()
        assert spoken.unjudged or spoken.score in SCORES
        pieces = [text[i : i + 3] for i in range(0, min(len(text), 36), 3)]
        tokens = [
            [piece, {piece: -rng.random(), rng.choice(FRAGMENTS): -9.0}]
            for piece in pieces
        ]
        found = Reply(text, tokens=tokens).judgement()
        assert found.unjudged or found.score in SCORES
        assert len(found.unjudged) <= 200 and found.unjudged.isprintable()


def test_any_answer_reaches_a_server():
    texts = list(random_texts(300))
    with Server((200, SEVEN)) as server:
        scores = judge(server).score([EXAMPLE] * 300, texts)
    blank = np.array([not text.strip() for text in texts])
    np.testing.assert_allclose(scores, np.where(blank, 0, 0.7), rtol=1e-6)
    assert len(server.requests) == len({t for t in texts if t.strip()})


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1beta/openai/", "/v1beta/openai/chat/completions"),
        ("/a/chat/completions", "/a/chat/completions"),
        (
            "/a/chat/completions?api-version=2024-10-21",
            "/a/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_any_path_of_an_address_is_taken(path, asked):
    with Server((200, SEVEN)) as server:
        server.url += path
        judge(server).score([EXAMPLE], ["a"])
    assert server.requests[0][0] == asked


@pytest.mark.parametrize("key", [None, "a-long-key"])
def test_no_secret_is_in_a_message(key):
    def echo(status):
        said = f"user:pass%20word pass word a-query a-long-key {'x' * 480}"
        return (status, said.encode(), {"Retry-After": "0"})

    for said in (echo(401), echo(503), (200, echo(0)[1])):
        with Server(said) as server:
            server.url = server.url.replace("//", "//user:pass%20word@")
            server.url += "/v1?key=a-query"
            with pytest.raises(InputError) as raised:
                judge(server, api_key=key, retries=1).score([EXAMPLE], ["a"])
        message = str(raised.value)
        hidden = ["pass%20word", "pass word", "a-query", *filter(None, [key])]
        assert not [each for each in hidden if each in message]
        sent = server.headers[0]["Authorization"]
        assert sent.startswith("Bearer a-long" if key else "Basic ")
    for wrong in ("ftp://user:secret@host/", "user:secret@host", "//u:secret@"):
        with pytest.raises(InputError, match="must begin") as raised:
            http_judge.HTTPJudge(wrong + "?key=secret", "m")
        assert "secret" not in str(raised.value)


def test_azures_key_has_a_name_of_its_own():
    with Server((200, SEVEN)) as server:
        server.url += "/openai/deployments/d?api-version=2024-10-21"
        judge(server, api_key="a-key").score([EXAMPLE], ["a"])
    assert server.headers[0]["api-key"] == "a-key"
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("host", "this"),
    [
        ("localhost", True),
        ("localhost.", True),
        ("judge.localhost", True),
        ("127.0.0.1", True),
        ("127.1", True),
        ("0x7f000001", True),
        ("0.0.0.0", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("::2", False),
        ("127.example.org", False),
        ("localhost.example.org", False),
    ],
)
def test_spellings_of_this_machine(host, this):
    assert http_address._is_this_machine(host) == this


def test_this_machine_is_asked_without_a_proxy(monkeypatch):
    with Server((200, SEVEN)) as proxy, Server((200, SEVEN)) as server:
        for name in ("http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        judge(server, api_key="a-key").score([EXAMPLE], ["a"])
        assert not proxy.requests and len(server.requests) == 1
        elsewhere = http_judge.HTTPJudge("http://judge.example", "m")
        assert elsewhere.score([EXAMPLE], ["a"])[0] == np.float32(0.7)
        assert len(proxy.requests) == 1


def test_an_error_with_status_200_is_an_error():
    busy = (200, {"error": {"code": 503, "message": "busy"}})
    with Server(busy, (200, {**SEVEN, "error": None})) as server:
        assert judge(server).score([EXAMPLE], ["a"])[0] == np.float32(0.7)
    for error in ({"code": [], "message": "no such model"}, "no such model"):
        with Server((200, {"error": error})) as server:
            with pytest.raises(InputError, match="an error: .*no such model"):
                judge(server).score([EXAMPLE], ["a"])
        assert len(server.requests) == 1


def test_a_second_reply_is_not_the_next_questions():
    class Twice(Server):
        protocol = "HTTP/1.1"

        def send(self, handler, sent):
            more = json.dumps(reply(place("10", n10=0.9))).encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(more)}\r\n\r\n"
            handler.wfile.write(sent + head.encode() + more)

    with Twice((200, SEVEN), (200, reply(place("3", n3=0.9)))) as server:
        reward = judge(server, concurrency=1)
        scores = reward.score([EXAMPLE] * 3, ["a", "b", "c"])
    np.testing.assert_allclose(scores, [0.7, 0.3, 0.3], rtol=1e-6)


def test_inside_a_running_event_loop():
    """As in a notebook."""

    async def cell():
        return judge(server).score([EXAMPLE], ["a"])[0]

    with Server((200, SEVEN)) as server:
        assert asyncio.run(cell()) == np.float32(0.7)
