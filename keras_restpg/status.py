"""What a run directory holds, in words."""

from keras_restpg.errors import InputError
from keras_restpg.records import Sample
from keras_restpg.store import RunDirectory


def status(folder):
    """A few lines on a run: what is done, what is left, the time it took.

    Raises:
        InputError: there is no run in the folder, or its files are damaged.
    """
    run = RunDirectory(folder)
    recipe = run.recipe()
    if recipe is None:
        raise InputError(f"{folder} holds no run: there is no recipe.toml.")
    state = run.read_json("state.json", {})
    done, total = state.get("epoch", 0), state.get("epochs", 0)
    lines = [f"{folder}: {recipe.method}, {recipe.rounds} iterations"]
    if total:
        lines.append(
            f"trained: {done} of {total} epochs, now {state.get('stage')}"
        )
    else:
        lines.append("trained: nothing yet")
    for t in range(1, recipe.rounds + 1):
        shards = run.shards(f"iteration-{t}/samples", Sample)
        if len(shards):
            lines.append(f"iteration {t}: {len(shards)} shards of samples")
    seconds = run.read_json("seconds.json", {})
    lines += [f"{stage}: {value:.0f} s" for stage, value in seconds.items()]
    finished = run.files.exists("report.html")
    lines.append("finished" if finished else "not finished: run it again")
    return "\n".join(lines)
