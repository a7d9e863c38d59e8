"""What one run has computed, taken into another, so that it is made once.

A folder holds for the inputs that it was claimed for, wherever it lies below
a run. So a run that differs from another only from some stage on begins with
the other's folders. Files are linked where they are local, as none is written
in place but manifests; these are copied.
"""

from __future__ import annotations

import json
import os
import posixpath
from typing import TYPE_CHECKING

from keras_restpg.store.stage import stage_name
from keras_restpg.store.state import read_state, write_state

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory

_BEFORE = ("base", "start", "reasoning")


def share(
    source: RunDirectory,
    target: RunDirectory,
    stages: int,
    samples: bool = False,
) -> None:
    """Gives a run what another has made, up to a stage.

    What the target holds for the same inputs stays; what it holds for others
    is moved aside. Where inputs turn out to be others than the source's, the
    run itself moves aside what was taken, and computes.

    Args:
        source: a `RunDirectory`.
        target: a `RunDirectory` that is open.
        stages: how many of the source's stages are taken, sft first, as far
            as it has trained them; 0 takes what lies before them.
        samples: whether the samples of the stage after these are taken too,
            and their scores.
    """
    state, known = read_state(source), read_state(target)
    stages = min(stages, _trained(source, state))
    names = [stage_name(number) for number in range(stages)]
    ours = {name: state.get("stages", {}).get(name) for name in names}
    theirs = known.get("stages", {})
    trained = any(theirs.get(name) != ours[name] for name in names)
    for folder in (*_BEFORE, *names):
        _take(source, target, folder, trained)
    if samples:
        _take(source, target, stage_name(stages), trained, _is_sampled)
    if trained or not target.files.exists("metrics.jsonl"):
        _take_log(source, target, names)
    if trained:
        _take_state(source, target, state, names)


def _is_sampled(name):
    return name == "samples" or name.startswith("scores-")


def _take(source, target, folder, trained, wanted=lambda name: True):
    """Takes a folder, or the claimed ones below it."""
    if source.claimed(folder) is None:
        for name in source.files.names(folder):
            if ".old-" not in name and wanted(name):
                _take(source, target, f"{folder}/{name}", trained)
        return
    # The weights that a run trained itself are named in its state.
    if posixpath.basename(folder) == "weights" and not trained:
        return
    target.claim(folder, source.inputs(folder))
    there = set(target.files.names(folder))
    for name in source.files.names(folder):
        if name not in there:
            _link(source.files, target.files, f"{folder}/{name}")


def _link(source, target, name):
    if source.local and target.local and not name.endswith("/manifest.jsonl"):
        try:
            os.link(source.path(name), target.path(name))
            return
        except OSError:
            pass  # Another disk, or one without links.
    data = source.read(name)
    if data is not None:
        target.write(name, data)


def _take_state(source, target, state, names):
    """Has the target be where the source was when its last stage ended."""
    best = {name: state["best"][name] for name in names}
    write_state(
        target,
        {
            "stage": names[-1],
            "epoch": len(names) * _epochs(source, state),
            "epochs": state["epochs"],
            "score": None,
            "best": best,
            "weights": {f: state["weights"][f] for f in best.values()},
            "stages": {n: state["stages"][n] for n in names},
        },
    )


def _take_log(source, target, names):
    """Has the target tell of what it took."""
    taken = [
        line
        for line in source.read_log("metrics.jsonl")
        if isinstance(line, dict)
        and (
            line.get("kind") in ("base", "reasoning")
            or line.get("stage") in names
            or line.get("iteration") in range(1, len(names))
        )
    ]
    lines = "".join(json.dumps(line) + "\n" for line in taken)
    target.files.write("metrics.jsonl", lines.encode())


def _trained(run, state):
    """How many stages are trained to their end."""
    return state["epoch"] // _epochs(run, state) if state else 0


def _epochs(run, state):
    """Epochs of a stage."""
    return state["epochs"] // (1 + run.noted()["settings"]["iterations"])
