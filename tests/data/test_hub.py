"""A folder in the hub's layout stands for the hub, which is elsewhere."""

import json
import os
import subprocess
import sys

import pytest

from keras_restpg.cli import main as cli
from keras_restpg.data import hub as hub_data
from keras_restpg.data import load_longlamp
from keras_restpg.errors import InputError

ROWS = [
    {
        "author": "a",
        "input": "Generate the content for a reddit post",
        "output": output,
        "profile": [{"author": "a", "content": "Long", "summary": summary}],
    }
    for output, summary in (("One", "Short"), ("Two", None))
]
README = """---
configs:
- config_name: topic_writing_user
  data_files: [{split: train, path: user.SUFFIX}]
- config_name: topic_writing_temporal
  data_files: [{split: val, path: temporal.SUFFIX}]
- config_name: damaged
  data_files: [{split: train, path: damaged.SUFFIX}]
---
"""


@pytest.fixture(params=["jsonl", "parquet"])
def hub(tmp_path, monkeypatch, request):
    pytest.importorskip("datasets")
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    readme = README.replace("SUFFIX", request.param)
    (tmp_path / "README.md").write_text(readme)
    for name, rows in (("user", ROWS), ("temporal", ROWS[::-1])):
        path = tmp_path / f"{name}.{request.param}"
        if request.param == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_text("\n".join(map(json.dumps, rows)))
    data = path.read_bytes()
    path.with_stem("damaged").write_bytes(data[: len(data) // 2])
    monkeypatch.setattr(hub_data, "LONGLAMP", str(tmp_path))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "kept")
    return tmp_path


@pytest.mark.parametrize("limit", [0, 1])
@pytest.mark.parametrize(
    ("config", "split"),
    [("topic_writing_user", "train"), ("topic_writing_temporal", "val")],
)
def test_the_hubs_rows_are_those_of_a_file(hub, config, split, limit):
    (path,) = hub.glob(f"{config.removeprefix('topic_writing_')}.*")
    expected = load_longlamp(config, split, path, limit)
    assert load_longlamp(config, split, limit=limit) == expected
    assert expected[0].id == f"{config}-{split}-0"
    # With a limit nothing is kept whole.
    kept = list((hub / "kept").rglob("*.arrow"))
    assert bool(kept) == (limit == 0)


@pytest.mark.parametrize("limit", [0, 9])
@pytest.mark.parametrize(
    ("config", "split"),
    [
        ("damaged", "train"),
        ("no_such_config", "train"),
        ("topic_writing_user", "test"),
    ],
)
def test_what_the_library_raises_is_an_input_error(hub, config, split, limit):
    with pytest.raises(InputError, match=f"{hub}, {config}, {split}: "):
        load_longlamp(config, split, limit=limit)


def test_a_hub_that_is_not_reached_is_named(monkeypatch):
    datasets = pytest.importorskip("datasets")

    class ConnectError(Exception):
        """As an HTTP client's own, no OSError."""

    def load_dataset(*_, **__):
        raise ConnectError("no route")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(InputError, match="ConnectError: no route"):
        load_longlamp("topic_writing_user", "val")


# What the hub answers, for a data set that is a folder on this machine.
SERVER = """
import hashlib, http.server, json, os, pathlib, sys, threading

ROOT = pathlib.Path(sys.argv[1])
SHA = "0123456789" * 4
FILES = [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.*")]


class Hub(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        file = ROOT / path.partition(f"/resolve/{SHA}/")[2]
        listing = {"sha": SHA, "siblings": [{"rfilename": f} for f in FILES]}
        if path == "/api/datasets/me/data/revision/main":
            return self.answer(json.dumps(listing | {"id": "me/data"}))
        if path == f"/api/datasets/me/data/tree/{SHA}":
            tree = [
                {"type": "file", "path": f, "size": 1, "oid": f} for f in FILES
            ]
            return self.answer(json.dumps(tree))
        if "/resolve/" in path and file.is_file():
            return self.answer(file.read_text())
        self.send_error(404)

    do_HEAD = do_GET

    def answer(self, text):
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Repo-Commit", SHA)
        self.send_header("ETag", hashlib.sha256(data).hexdigest())
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_XET"] = "1"
from keras_restpg.data import hub, load_folder
from keras_restpg.errors import InputError

folder = hub.download("me/data", ["topic_writing_user"])
print([e.id for e in load_folder(folder, "train")])
print(sorted(p.name for p in pathlib.Path(folder).rglob("*.json")))
for name, configs in (("me/none", ["a"]), ("me/data", [])):
    try:
        hub.download(name, configs)
    except InputError as error:
        print(error)
"""


def test_a_data_set_is_downloaded_from_a_hub(tmp_path):
    pytest.importorskip("huggingface_hub")
    root = tmp_path / "data"
    for config, names in (
        (
            "topic_writing_user",
            ["train-00000-of-00002", "train-00001-of-00002"],
        ),
        ("other", ["train"]),
    ):
        (root / config).mkdir(parents=True)
        for name in names:
            (root / config / f"{name}.json").write_text(json.dumps(ROWS))
    done = subprocess.run(
        [sys.executable, "-c", SERVER, str(root)],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "home")},
    )
    assert done.returncode == 0, done.stderr
    ids, files, missing = done.stdout.splitlines()[:3]
    assert ids == str([f"topic_writing_user-train-{i}" for i in range(4)])
    assert files == str([f"train-0000{i}-of-00002.json" for i in range(2)])
    assert missing.startswith("me/none: ")
    assert "say which of me/data's configurations" in done.stdout


def test_a_recipe_asks_the_hub_before_anything_else(tmp_path, capsys):
    (tmp_path / "recipe.toml").write_text('[data]\nsource = "hub"\n')
    assert cli.main(["run", str(tmp_path / "recipe.toml")]) == 2
    assert "say which of LongLaMP/LongLaMP's conf" in capsys.readouterr().err
