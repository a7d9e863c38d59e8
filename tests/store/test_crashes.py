"""Faults at every file operation of a whole run, which then goes on.

A sample of the places, spread over the run; `KERAS_RESTPG_CRASHES=all pytest
tests/store/test_crashes.py` kills it at all of them and tears every write,
and takes larger samples of the other faults. After each fault the run is
started again, undisturbed, and has to come to the same bytes.
"""

import contextlib
import errno
import itertools
import os
import shutil

import pytest

from keras_restpg.errors import InputError
from keras_restpg.run.status import status
from tests import arithmetic
from tests.store.faults import Fault, Killed

ALL = os.environ.get("KERAS_RESTPG_CRASHES") == "all"
NO_VALIDATION = {"evaluation": {"max_validation": 0}}
# What may be another when a run goes on.
CHANGES = {
    "tau": {"selection": {"tau": 1.0}},
    "T": {"iterations": 1},
    "reward": {"reward": arithmetic.another_reward, **NO_VALIDATION},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an undisturbed run comes to, and its operations counted."""
    folder = tmp_path_factory.mktemp("whole")
    with Fault(folder)() as counted:
        results = arithmetic.run(folder)
    return results, arithmetic.outcome(folder), counted


@contextlib.contextmanager
def fresh(tmp_path):
    folder = tmp_path / "run"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def befall(folder, how, number, **changes):
    """A run with a fault, which it ends by, tells or does without."""
    with contextlib.suppress(Killed):
        try:
            with Fault(folder, how, number)():
                arithmetic.run(folder, **changes)
        except InputError as error:
            assert str(folder) in str(error)


def check(folder, whole):
    results, outcome, _ = whole
    assert arithmetic.run(folder) == results
    assert arithmetic.outcome(folder) == outcome
    assert ", 0 of them not sound" in status(folder, verify=True)


def places(count, sample, offset=0):
    """`sample` numbers below `count`, at even distances; more where asked."""
    step = max(1, count // (sample * (10 if ALL else 1)))
    return range(offset % step, count, step)


@pytest.mark.parametrize("how", ["kill", "tear"])
def test_a_run_that_is_killed_anywhere_ends_as_it_would_have(
    whole, tmp_path, how
):
    count = whole[2].count if how == "kill" else whole[2].writes
    for number in range(count) if ALL else places(count, 14):
        with fresh(tmp_path) as folder:
            befall(folder, how, number)
            check(folder, whole)


@pytest.mark.parametrize(
    "how",
    [errno.EIO, errno.ENOSPC, errno.EROFS, errno.ESTALE, "lie"],
    ids=["EIO", "ENOSPC", "EROFS", "ESTALE", "done but reported as failed"],
)
def test_an_operation_that_fails_is_told_and_loses_nothing(
    whole, tmp_path, how
):
    for number in places(whole[2].count, 3, offset=hash(how) % 97):
        with fresh(tmp_path) as folder:
            befall(folder, how, number)
            check(folder, whole)


def test_a_second_fault_while_the_first_is_mended(whole, tmp_path):
    kinds = itertools.cycle(["kill", "tear", errno.ENOSPC, "lie"])
    for number in places(whole[2].count, 3, offset=31):
        with fresh(tmp_path) as folder:
            for each in (number, 3 + number // 3, number // 7):
                befall(folder, next(kinds), each)
            check(folder, whole)


@pytest.mark.parametrize("changed", CHANGES)
def test_after_a_fault_a_run_may_go_on_otherwise(whole, tmp_path, changed):
    changes = CHANGES[changed]
    asked = arithmetic.run(tmp_path / "asked", **changes)
    wanted = arithmetic.outcome(tmp_path / "asked")
    before = NO_VALIDATION if changed == "reward" else {}
    for number in places(whole[2].count, 3, offset=57):
        with fresh(tmp_path) as folder:
            befall(folder, "kill", number, **before)
            assert arithmetic.run(folder, **changes) == asked
            found = arithmetic.outcome(folder)
            for name in wanted:
                # With a higher T it may have come further than it has to now.
                further = name == "state.json" or "/last-" in name
                if changed != "T" or not further:
                    assert found.get(name) == wanted[name], name
            assert status(folder).endswith("\nfinished")
