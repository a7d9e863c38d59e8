"""Whole files in the wrong place: refused by name, or made again.

Each file that is swapped is one that the package wrote itself, of another
stage, another time or another run, so nothing about it is broken but where it
lies. `KERAS_RESTPG_TAMPERS=1000 pytest tests/store/test_tampering.py` tries
more of them.
"""

import os
import pathlib
import random
import shutil
import warnings

import pytest

from keras_restpg.errors import InputError
from keras_restpg.run.status import status
from keras_restpg.store import RunDirectory
from tests import arithmetic

TAMPERS = int(os.environ.get("KERAS_RESTPG_TAMPERS", "60"))
# What runs that lend their files changed, beside other times of the same run.
OTHERS = {
    "seed": {"seed": 1},
    "reward": {"reward": arithmetic.another_reward},
    "tau": {"selection": {"tau": 1.0}},
    "rate": {"rate": 0.2},
    "samples": {"sampling": {"num_samples": 2}},
}


def snapshots(folder, times):
    """A run that is copied each time that it has written state.json."""
    write = RunDirectory.write_json

    def write_and_copy(run, name, value):
        write(run, name, value)
        if name == "state.json":
            shutil.copytree(folder, times / f"{value['epoch']:02d}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunDirectory, "write_json", write_and_copy)
        return arithmetic.run(folder)


@pytest.fixture(scope="module")
def lent(tmp_path_factory):
    """A whole run, its results, itself at other times, and other runs."""
    folder = tmp_path_factory.mktemp("lent")
    results = snapshots(folder / "whole", folder / "times")
    for name, changes in OTHERS.items():
        arithmetic.run(folder / "others" / name, **changes)
    return folder, results


def files(folder, *patterns):
    return sorted(
        path
        for pattern in patterns
        for path in folder.rglob(pattern)
        if path.is_file()
    )


KINDS = ("*.safetensors", "[0-9]*.jsonl", "manifest.jsonl", "inputs.json")


def two(run, rng, *kinds):
    """Two files of one kind; a run that has just begun lacks some."""
    found = [files(run, kind) for kind in kinds]
    return rng.sample(rng.choice([f for f in found if len(f) > 1]), 2)


def exchange(one, other):
    """Two files, or folders, of one run change places."""
    aside = one.with_name("aside")
    for source, target in ((one, aside), (other, one), (aside, other)):
        source.rename(target)


def two_files(run, lent, rng):
    one, other = two(run, rng, *KINDS)
    exchange(one, other)


def two_folders(run, lent, rng):
    """Samples, scores or weights of two stages, with all that is theirs."""
    kind = rng.choice(["samples", "scores-*", "weights"])
    found = [path for path in sorted(run.rglob(kind)) if path.is_dir()]
    if len(found) > 1:
        exchange(*rng.sample(found, 2))


def the_same_of_another_run(run, lent, rng):
    """A file, or a folder, in the place that it has in another run."""
    other = rng.choice(sorted((lent / "others").iterdir()))
    names = {
        path.relative_to(each)
        for each in (run, other)
        for path in [*files(each, *KINDS, "state.json")]
    }
    name = rng.choice(sorted(n for n in names if (other / n).exists()))
    if rng.random() < 0.5 and name.parent.parts:
        shutil.rmtree(run / name.parent, ignore_errors=True)
        shutil.copytree(other / name.parent, run / name.parent)
        return
    (run / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(other / name, run / name)


def any_of_another_run(run, lent, rng):
    one = rng.choice(files(run, *KINDS))
    kind = next(kind for kind in KINDS if one.match(kind))
    shutil.copy(rng.choice(files(lent / "others", kind)), one)


def another_time(run, lent, rng):
    """`state.json`, or some weights too, of an earlier or a later epoch."""
    then = rng.choice(sorted((lent / "times").iterdir()))
    names = [pathlib.Path("state.json")]
    if rng.random() < 0.5:
        weights = [p.relative_to(then) for p in files(then, "*.safetensors")]
        names += rng.sample(weights, rng.randrange(len(weights)))
    for name in names:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(then / name, run / name)


def rows(run, lent, rng):
    """Rows of one shard in another order, or of two exchanged."""
    one, other = two(run, rng, "[0-9]*.jsonl")
    lines = one.read_bytes().splitlines(keepends=True)
    others = other.read_bytes().splitlines(keepends=True)
    if rng.random() < 0.5:
        rng.shuffle(lines)
    else:
        here, there = rng.randrange(len(lines)), rng.randrange(len(others))
        lines[here], others[there] = others[there], lines[here]
        other.write_bytes(b"".join(others))
    one.write_bytes(b"".join(lines))


WAYS = (
    two_files,
    two_folders,
    the_same_of_another_run,
    any_of_another_run,
    another_time,
    rows,
)


def go_on(run, advised=False):
    """The run's results; None where it was refused by name."""
    try:
        return arithmetic.run(run)
    except InputError as error:
        assert str(run) in str(error)
        # What it advises has to lead to the end.
        assert "emove" in str(error) and not advised, str(error)
        (run / "state.json").unlink()
        return go_on(run, advised=True)


def differing(run, whole):
    """The files of the whole run that aren't the same here."""
    found, wanted = arithmetic.outcome(run), arithmetic.outcome(whole)
    return [name for name in wanted if found.get(name) != wanted[name]]


@pytest.mark.filterwarnings("ignore::UserWarning:keras_restpg")
@pytest.mark.parametrize("first", range(0, TAMPERS, 20))
def test_no_swap_changes_a_result_in_silence(lent, tmp_path, first):
    lent, results = lent
    times = [lent / "whole", *sorted((lent / "times").iterdir())]
    for seed in range(first, first + 20):
        rng = random.Random(seed)
        run = tmp_path / "run"
        begun = rng.choice([times[0], rng.choice(times)])
        shutil.copytree(begun, run)
        shutil.rmtree(run / "lock", ignore_errors=True)
        ways = rng.choices(WAYS, k=rng.choice([1, 1, 2]))
        for way in ways:
            way(run, lent, rng)
        said = f"{seed}: {[way.__name__ for way in ways]} in {begun.name}"
        assert go_on(run) == results, said
        unread = differing(run, lent / "whole")
        verified = status(run, verify=True)
        # What a finished run has no need to read, `--verify` does.
        if unread:
            assert ", 0 of them not sound" not in verified, (said, unread)
        shutil.rmtree(run)


def test_the_whole_run_is_sound(lent):
    assert ", 0 of them not sound" in status(lent[0] / "whole", verify=True)
    warnings.simplefilter("error")
    assert arithmetic.run(lent[0] / "whole") == lent[1]
