"""Any bytes in the place of a run's files: an `InputError` or a sound value.

`KERAS_RESTPG_FUZZ=20000 pytest tests/store/test_fuzz.py` tries more of them.
"""

import json
import os
import pathlib
import tempfile
import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning, Sample, Score
from keras_restpg.run.recipe import Recipe
from keras_restpg.run.status import status
from keras_restpg.store import Lock, RunDirectory
from keras_restpg.store.arrays import from_bytes, to_bytes
from keras_restpg.store.checkpoints import Checkpoints
from keras_restpg.store.files import digest
from keras_restpg.store.stage import Stage
from keras_restpg.store.state import read_state

CASES = int(os.environ.get("KERAS_RESTPG_FUZZ", "100"))
fuzz = settings(max_examples=CASES, deadline=None)

KEYS = st.sampled_from(
    "epoch epochs stage stages best last score sft iteration-1 example_id "
    "index reward text shard sha256 rows pid host".split()
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS | st.text(), inner, max_size=6)
    ),
    max_leaves=12,
)
JSON = VALUES.map(lambda value: json.dumps(value).encode())
DATA = JSON | st.binary()
LINES = st.lists(DATA, max_size=4).map(lambda lines: b"\n".join([*lines, b""]))


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


@pytest.fixture(scope="module")
def run(folder):
    return RunDirectory(folder)


def put(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@fuzz
@given(data=DATA)
@example(data=b"[" * 100_000)
@example(data=b"9" * 5_000)
def test_state(run, folder, data):
    put(folder, "state.json", data)
    stages = [Stage(run, n, {"a": n}) for n in ("sft", "iteration-1")]
    checkpoints = Checkpoints(run, stages, 5)
    try:
        assert isinstance(read_state(run), dict)
        assert isinstance(checkpoints.epoch, int)
    except InputError:
        pass


@fuzz
@given(data=DATA)
def test_json(run, folder, data):
    put(folder, "value.json", data)
    try:
        json.dumps(run.read_json("value.json"))
    except InputError:
        pass


@fuzz
@given(data=LINES)
def test_logs(run, folder, data):
    put(folder, "log.jsonl", data)
    json.dumps(run.read_log("log.jsonl"))


@fuzz
@given(data=LINES)
@example(data=b'{"shard": "../x", "sha256": "", "rows": 0}\n')
@example(data=b'{"shard": "\\ud800", "sha256": "", "rows": 0}\n')
@example(data=b'{"shard": "", "sha256": "", "rows": -1}\n')
def test_manifests(run, folder, data):
    put(folder, "samples/manifest.jsonl", data)
    try:
        shards = run.shards("samples", Sample)
        assert shards.rows >= 0
        for key in shards.keys():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                shards.get(key)
    except InputError:
        pass


@fuzz
@given(data=LINES, cls=st.sampled_from([Reasoning, Sample, Score]))
@example(data=b'{"example_id": "a", "index": 0, "reward": 1e999}\n', cls=Score)
def test_shards(run, folder, data, cls):
    rows = max(0, len(data.split(b"\n")) - 1)
    entry = {"shard": "0", "sha256": digest(data, "any", "", "0"), "rows": rows}
    put(folder, "any/0.jsonl", data)
    put(folder, "any/manifest.jsonl", json.dumps(entry).encode() + b"\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        records = run.shards("any", cls).get("0")
    assert records is None or all(isinstance(each, cls) for each in records)


ARRAYS = [np.arange(6, dtype="float32"), np.array(3, "int32")]


@st.composite
def damaged(draw):
    """The bytes of arrays, some of them changed and the end cut off."""
    data = bytearray(to_bytes(ARRAYS))
    for _ in range(draw(st.integers(0, 8))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@fuzz
@given(data=st.binary() | damaged())
def test_arrays(data):
    found = from_bytes(data)
    assert found is None or all(type(each) is np.ndarray for each in found)


@fuzz
@given(state=DATA, seconds=DATA, manifest=LINES)
def test_status(folder, state, seconds, manifest):
    put(folder, "run/recipe.toml", Recipe().to_toml().encode())
    put(folder, "run/state.json", state)
    put(folder, "run/seconds.json", seconds)
    put(folder, "run/sft/test/samples/manifest.jsonl", manifest)
    try:
        status(folder / "run").encode()
    except InputError:
        pass


@fuzz
@given(data=DATA)
def test_locks(folder, data):
    put(folder, "locked/lock/3", data)
    os.utime(folder / "locked/lock/3", (1, 1))
    run = RunDirectory(folder / "locked")
    with Lock(run.files):
        held = json.loads(run.files.read("lock/4"))
        assert held["pid"] == os.getpid()
    found = run.files.names("lock")
    assert {"gate"} <= {*found} <= {"gate", "generation"}
