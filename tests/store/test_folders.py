import contextlib
import json
import pathlib
import subprocess
import uuid

import h5py
import numpy as np
import pytest

from keras_restpg.errors import InputError
from keras_restpg.store import Files, RunDirectory


@pytest.fixture(params=["local", "memory"])
def run(request, tmp_path):
    if request.param == "local":
        return RunDirectory(tmp_path / "run")
    return RunDirectory(f"memory://{uuid.uuid4()}")


def filled(**texts):
    def save(path):
        for name, text in texts.items():
            file = pathlib.Path(path, "assets", name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)

    return save


def held(path):
    """`{name: text}` of all files under a folder."""
    return {
        str(file.relative_to(path)): file.read_text()
        for file in pathlib.Path(path).rglob("*")
        if file.is_file()
    }


def test_a_folder_comes_back_and_is_replaced_whole(run):
    assert run.folder("model") is None
    run.save_folder("model", filled(a="1", b="2"))
    assert held(run.folder("model")) == {"assets/a": "1", "assets/b": "2"}
    run.save_folder("model", filled(c="3"))
    found = held(run.folder("model"))
    assert found["assets/c"] == "3"
    assert set(found) == {"assets/c"}
    assert not [n for n in run.files.names() if n.startswith(".")]


def test_a_local_folder_that_can_not_be_filled_leaves_the_old_one(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_folder("model", filled(a="1"))

    for error, message in (
        (OSError(28, "No space left on device"), "No space left"),
        (RuntimeError("unable to close file, errno = 28"), "errno = 28"),
    ):

        def full(path, error=error):
            filled(a="2")(path)
            raise error

        with pytest.raises(InputError, match=f"{message}.*Make space"):
            run.save_folder("model", full)
        assert run.files.names() == ["model"]
        assert held(run.folder("model")) == {"assets/a": "1"}


def test_another_error_is_not_taken_for_a_full_disk(run):
    def save(path):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run.save_folder("model", save)


def test_a_stop_between_the_renames_loses_nothing(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path)
    run.save_folder("model", filled(a="1"))
    move = run.files.move

    def stopped(name, target):
        move(name, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(run.files, "move", stopped)
    with pytest.raises(KeyboardInterrupt):
        run.save_folder("model", filled(a="2"))
    assert run.files.names() == ["model"]
    assert held(run.folder("model")) == {"assets/a": "1"}


def test_a_link_in_a_folder_is_refused(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_folder("model", filled(a="1"))
    (tmp_path / "model/assets/b").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="assets/b is a link"):
        run.folder("model")


@contextlib.contextmanager
def small_disk(folder):
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("file systems can't be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_under_hdf5_is_named(tmp_path):
    def save(path):
        with h5py.File(f"{path}/x.h5", "w") as file:
            file["x"] = np.ones(2**20)

    with small_disk(tmp_path / "disk") as disk:
        run = RunDirectory(disk)
        run.save_folder("model", filled(a="1"))
        with pytest.raises(InputError, match="Make space"):
            run.save_folder("model", save)
        assert held(run.folder("model")) == {"assets/a": "1"}


@pytest.mark.parametrize(
    "damage", [b"", b"[]", b"{", b'{"assets/a": 5}', b'{"b": "0"}']
)
def test_a_remote_folder_that_is_not_whole_is_not_there(damage):
    run = RunDirectory(f"memory://{uuid.uuid4()}")
    run.save_folder("model", filled(a="1"))
    run.files.write("model.json", damage)
    assert run.folder("model") is None


def test_a_remote_folder_with_a_damaged_file_is_not_there():
    run = RunDirectory(f"memory://{uuid.uuid4()}")
    run.save_folder("model", filled(a="1"))
    run.files.write("model/assets/a", b"2")
    assert run.folder("model") is None


def test_no_name_in_a_remote_folder_leads_out_of_the_local_one():
    run = RunDirectory(f"memory://{uuid.uuid4()}")
    run.files.write("model.json", json.dumps({"../../x": "0"}).encode())
    with pytest.raises(InputError, match="not the name of a file"):
        run.folder("model")


def test_who_lost_the_lock_replaces_no_folder(tmp_path):
    run = RunDirectory(tmp_path)
    run.save_folder("model", filled(a="1"))

    def lost():
        raise InputError("took over")

    run.files.guard = lost
    with pytest.raises(InputError, match="took over"):
        run.save_folder("model", filled(a="2"))
    assert held(Files(tmp_path).path("model")) == {"assets/a": "1"}
