import json
import os
import socket
import subprocess
import sys
import textwrap

import pytest

from keras_restpg.errors import InputError
from keras_restpg.store import Files, Lock


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    code = textwrap.dedent("""
        import sys
        from keras_restpg.store import Files, Lock
        with Lock(Files(sys.argv[1])):
            print("held", flush=True)
            sys.stdin.read()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"):
            Lock(Files(tmp_path)).__enter__()
        other.kill()
    # Killed, it left its lock behind: a stale one is taken over.
    assert (tmp_path / "lock.json").exists()
    with Lock(Files(tmp_path)):
        assert (tmp_path / "lock.json").exists()
    assert not (tmp_path / "lock.json").exists()


def test_a_lock_of_another_machine_is_left_to_a_person(tmp_path):
    held = {"host": "elsewhere", "pid": 1, "started": 1}
    (tmp_path / "lock.json").write_text(json.dumps(held))
    with pytest.raises(InputError, match="elsewhere"):
        Lock(Files(tmp_path)).__enter__()


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{", '{"host": "%s", "pid": "x"}']
)
def test_a_lock_that_says_nothing_is_stale(tmp_path, text):
    text = text.replace("%s", socket.gethostname())
    (tmp_path / "lock.json").write_text(text)
    with Lock(Files(tmp_path)):
        pass


def test_the_number_of_a_dead_process_may_be_used_again(tmp_path):
    held = {"host": socket.gethostname(), "pid": os.getppid(), "started": 1}
    (tmp_path / "lock.json").write_text(json.dumps(held))
    with Lock(Files(tmp_path)):
        pass
