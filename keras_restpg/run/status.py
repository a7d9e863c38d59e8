"""What a run directory holds, in words.

Read from the files alone, also while the run goes on; its data and models are
not loaded.
"""

import warnings

from keras_restpg._types import Path
from keras_restpg.errors import InputError
from keras_restpg.records import Reasoning, Sample, Score
from keras_restpg.run import recipe as recipes
from keras_restpg.store import RunDirectory
from keras_restpg.store.stage import BASE, shard_folders, stage_name
from keras_restpg.store.state import read_state
from keras_restpg.tables import visible


def status(folder: Path, verify: bool = False) -> str:
    """A few lines on a run: what is done, what is left, the time it took.

    Args:
        folder: the run directory.
        verify: whether everything that was computed is read and compared
            with its checksums.

    Raises:
        InputError: there is no run in the folder, or its files are damaged.
    """
    run = RunDirectory(folder)
    recipe = recipes.of_run(run)
    if recipe is None:
        raise InputError(f"{folder} holds no run: there is no recipe.toml.")
    state = read_state(run)
    done, total = state.get("epoch", 0), state.get("epochs", 0)
    finished = run.files.exists("report.html") and 0 < total <= done
    parts = [
        *_preparation(run, recipe),
        *_trainings(run, recipe, done, total),
        ("test and report", "done" if finished else "to do", finished),
    ]
    lines = [f"{folder}: {recipe.method}, {recipe.rounds} iterations"]
    lines += [f"{name}: {state}" for name, state, _ in parts]
    lines += _times(run)
    if verify:
        lines += _verified(run, state)
    left = [name for name, _, ended in parts if not ended]
    if finished:
        return "\n".join([*lines, "finished"])
    return "\n".join(
        [*lines, f"left: {', '.join(left)}", "not finished: run it again"]
    )


def _verified(run, state):
    """What is wrong with what was computed, a line each."""
    found, count = [], 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for folder, cls in shard_folders(run, state.get("stages", {})):
            shards = run.shards(folder, cls)
            for key in shards.keys():
                count += 1
                shards.get(key)
        found += [str(each.message) for each in caught]
    for name, checksum in state.get("weights", {}).items():
        count += 1
        if run.load_arrays(name, checksum) is None:
            found.append(f"{run.files.url}/{name} is missing or damaged")
    said = f"verified: {count} files, {len(found)} of them not sound"
    return [said, *map(visible, found)]


def _preparation(run, recipe):
    """`(what, how far, whether done)` of what comes before the trainings."""
    if recipe.model.preset == "scratch":
        made = run.files.exists(f"{BASE}.sha256")
        yield "base", "made" if made else "to do", made
    if recipe.reasons and not recipe.reasoning.file:
        # Training begins when all of it is there.
        made = run.claimed("sft/weights") is not None
        rows = _rows(run, "reasoning", Reasoning)
        known = _at_most(recipe, 1) if not made else ""
        yield "reasoning", f"{rows} examples{known}", made


def _trainings(run, recipe, done, total):
    """The same of supervised fine-tuning and each iteration."""
    each = total // (1 + recipe.rounds)
    for number in range(1 + recipe.rounds):
        name = stage_name(number)
        inside = min(max(done - number * each, 0), each)
        parts = [*_samples(run, recipe, name)] if number else []
        parts += [f"{inside} of {each} epochs"] if inside else []
        parts += _tested(run, name)
        if not parts:
            last = recipe.rounds
            name += f" to {stage_name(last)}" if number < last else ""
            yield name, "to do", False
            return
        yield name, ", ".join(parts), 0 < each == inside


def _samples(run, recipe, name):
    rows = _rows(run, f"{name}/samples", Sample)
    if rows:
        known = _at_most(recipe, recipe.sampling.num_samples)
        # Once they are selected from, there are no more to come.
        ended = run.claimed(f"{name}/weights") is not None
        yield f"{rows} samples{'' if ended else known}"
    yield from _judged(run, name)


def _judged(run, folder):
    for name in run.files.names(folder):
        if name.startswith("scores-") and name.isprintable():
            rows = _rows(run, f"{folder}/{name}", Score)
            yield f"{rows} judged ({name})"


def _tested(run, name):
    rows = _rows(run, f"{name}/test/samples", Sample)
    return [f"{rows} test outputs"] if rows else []


def _rows(run, folder, cls):
    return run.shards(folder, cls).rows


def _at_most(recipe, each):
    """How many there can be, where the recipe limits its examples."""
    data = recipe.data
    most = data.max_train * len(data.tasks) * each
    return f" of at most {most}" if most else ""


def _times(run):
    found = run.read_json("seconds.json", {})
    items = found.items() if isinstance(found, dict) else ()
    # Anything else is no time that a run has noted.
    times = {
        name: seconds
        for name, seconds in items
        if name.isprintable()
        and type(seconds) in (int, float)
        and 0 <= seconds < 1e12
    }
    lines = [
        f"time, {name}: {seconds:.0f} s" for name, seconds in times.items()
    ]
    if times:
        lines.append(f"time in all: {sum(times.values()):.0f} s")
    return lines
