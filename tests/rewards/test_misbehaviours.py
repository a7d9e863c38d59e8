"""Whatever a server does, a judgement ends: in time, in little memory, and
with the key in no output."""

import concurrent.futures
import logging
import subprocess
import sys
import time
import traceback
import tracemalloc

import pytest

from keras_restpg.errors import InputError
from keras_restpg.rewards.http import HTTPJudge
from keras_restpg.rewards.http_settings import Connection
from tests.rewards.misbehaviours import MISBEHAVIOURS
from tests.rewards.records import example

KEY = "sk-a-very-secret-key"
LATEST = 1.5
MOST = 64 << 20
# These cost computing time, and are asked one after the other.
BUSY = [
    name
    for name in MISBEHAVIOURS
    if name.startswith(("many-", "continues-f", "hints-", "chunks-of"))
]
OTHERS = [name for name in MISBEHAVIOURS if name not in BUSY]
# These send as much as is read.
LARGE = [
    name
    for name in MISBEHAVIOURS
    if name.startswith(("many-", "too-", "long-", "nested", "thoughts-"))
    or name.endswith(("floods", "without-end"))
]


@pytest.fixture(scope="module")
def port():
    command = [sys.executable, "-m", "tests.rewards.misbehaviours"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        yield int(server.stdout.readline())
        server.terminate()


def ask(url, folder, timeout, clock):
    """Seconds; all that a user could come to see is without the key."""
    cache = folder / f"{abs(hash(url))}.sqlite3"
    connection = Connection(timeout=timeout, retries=0)
    judge = HTTPJudge(url, "m", api_key=KEY, connection=connection, cache=cache)
    begin = clock()
    try:
        output = repr(judge.judge([example()], ["an answer"]))
    except InputError as error:
        output = "".join(traceback.format_exception(error))
    seconds = clock() - begin
    assert KEY not in output
    assert KEY.encode() not in cache.read_bytes()
    return seconds


def test_every_judgement_ends_in_time(port, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    urls = [f"http://127.0.0.1:{port}/{name}" for name in OTHERS]
    # To a server that waits for something else than a handshake.
    urls.append(f"https://127.0.0.1:{port}/nothing")

    def seconds(url):
        return ask(url, tmp_path, 3.0, time.monotonic)

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = dict(zip(urls, pool.map(seconds, urls), strict=True))
    late = {url: s for url, s in found.items() if s > LATEST * 3.0}
    assert not late
    assert KEY not in caplog.text
    assert len(MISBEHAVIOURS) > 50


@pytest.mark.parametrize("name", BUSY)
def test_no_reply_keeps_the_processor_busy(port, tmp_path, name):
    url = f"http://127.0.0.1:{port}/{name}"
    # On a busy machine the time of this process alone says what it did.
    assert ask(url, tmp_path, 2.0, time.process_time) < LATEST * 2.0


@pytest.mark.parametrize("name", LARGE)
def test_no_reply_takes_much_memory(port, tmp_path, name):
    tracemalloc.start()
    ask(f"http://127.0.0.1:{port}/{name}", tmp_path, 1.0, time.monotonic)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MOST
