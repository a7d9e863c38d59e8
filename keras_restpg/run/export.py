"""A run's model for others: as a KerasHub preset, or for Hugging Face's tools.

With it goes a model card, `README.md`: data, recipe, scores, limits, and the
licence of the base. What the card leaves out are paths and servers.
"""

import dataclasses
import pathlib
import shutil

import jinja2

from keras_restpg import prompts
from keras_restpg._version import __version__
from keras_restpg.errors import InputError
from keras_restpg.evaluation.results import NAMES
from keras_restpg.run import recipe as recipes
from keras_restpg.run.recipe import Recipe
from keras_restpg.store import RunDirectory, folders
from keras_restpg.store.files import Files

FORMATS = ("keras", "hf")
# Settings that say where something was, on the machine of the run.
_PLACES = {
    "data": ("folder",),
    "model": ("preset",),
    "retrieval": ("preset",),
    "reasoning": ("teacher", "file"),
    "reward": ("preset", "url"),
}


def export(run: str, out: str | pathlib.Path, to: str = "hf") -> None:
    """Writes the model of a finished run into a new folder.

    LoRA weights are merged: a run's model holds them so.

    Args:
        run: the run directory, a path or URL.
        out: path of the folder; it must be missing or empty.
        to: `"keras"`, a KerasHub preset, or `"hf"`, what `transformers`,
            vLLM, Ollama and llama.cpp read: a Gemma 1, 2 or 3 that is not
            quantized.

    Raises:
        InputError: no finished run, a folder that is taken, or a model that
            the format can't hold; nothing is left behind.
    """
    out = check(out, to)
    directory = RunDirectory(run)
    recipe, model = recipes.of_run(directory), directory.folder("model")
    if recipe is None or model is None:
        raise InputError(
            f"{run} holds no finished run: recipe.toml or model/ is missing. "
            "Finish it with `keras-restpg run`."
        )
    text = card(directory, recipe, out.name, to)

    def fill(path):
        if to == "keras":
            shutil.copytree(model, path, dirs_exist_ok=True)
        else:
            _hugging_face(model, path, directory)
        pathlib.Path(path, "README.md").write_text(text, encoding="utf-8")

    out.parent.mkdir(parents=True, exist_ok=True)
    folders.save(Files(str(out.parent)), out.name, fill)


def check(out: str | pathlib.Path, to: str) -> pathlib.Path:
    """The path to write to.

    Raises:
        InputError: an unknown format, or something is there already.
    """
    if to not in FORMATS:
        raise InputError(
            f"A model is exported to {' or '.join(FORMATS)}. Received: {to!r}"
        )
    out = pathlib.Path(out).absolute()
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(
            f"{out} is there already. Give --out a new or empty folder."
        )
    return out


def _hugging_face(model, path, directory):
    from keras_restpg.model import hugging_face
    from keras_restpg.run.build import load_preset

    settings = directory.noted().get("settings", {})
    temperature = settings.get("inference_temperature", 0.1)
    generation = {
        "do_sample": temperature > 0,
        "max_new_tokens": settings.get("max_new_tokens", 1536),
    }
    if temperature > 0:
        generation["temperature"] = temperature
        generation["top_p"] = settings.get("top_p", 0.95)
    try:
        hugging_face.save(load_preset(model), path, generation=generation)
    except ValueError as error:
        raise InputError(f"{model}: {error}") from error


def card(directory: RunDirectory, recipe: Recipe, title: str, to: str) -> str:
    """The model card of a run, Markdown with the hub's header.

    Args:
        directory: the `RunDirectory`.
        recipe: its `Recipe`.
        title: the model's name.
        to: as in `export`.
    """
    handed_in = directory.noted().get("handed_in", [])
    preset = recipe.model.preset
    named = "model" not in handed_in and preset != "scratch"
    base = _name(preset) if named else ""
    reward = recipe.reward.kind
    if reward in ("judge", "http"):
        reward = f"an LLM judge, {_name(recipe.reward.preset)}"
        if recipe.reward.kind == "http":
            reward = f"an LLM judge on a server, {recipe.reward.model}"
    if "reward" in handed_in:
        reward = "a reward of the run's own"
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("keras_restpg", "run"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("card.md.j2").render(
        library="keras-hub" if to == "keras" else "transformers",
        base=base,
        licence="gemma" if "gemma" in base.lower() else "other",
        origin="handed in by whoever ran it"
        if "model" in handed_in
        else "made for the run from its own texts",
        title=title,
        method=NAMES[recipe.method],
        prompt=prompts.REASONING_PROMPT
        if recipe.reasons
        else prompts.PLAIN_PROMPT,
        separator=prompts.SEPARATOR,
        sentence=prompts.ANSWER_SENTENCE,
        reasons=recipe.reasons,
        data=_data(recipe, handed_in),
        table=_table(directory.read_json("table.json")),
        reward=reward,
        version=__version__,
        recipe=_public(recipe).to_toml(handed_in).strip(),
    )


def _data(recipe, handed_in):
    if "data" in handed_in:
        return "Handed in by whoever ran it."
    tasks = ", ".join(recipe.data.tasks) or "all tasks"
    return f"The folder `{_name(recipe.data.folder)}`, {tasks}."


def _table(rows):
    """Rows of cells as a Markdown table; empty where there are none."""
    if not rows:
        return ""
    lines = [
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |"
        for row in rows
    ]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join(lines)


def _public(recipe):
    """The recipe without paths: of a folder its name, of a server nothing."""
    for section, names in _PLACES.items():
        part = getattr(recipe, section)
        changed = {name: _name(getattr(part, name)) for name in names}
        part = dataclasses.replace(part, **changed)
        recipe = dataclasses.replace(recipe, **{section: part})
    return recipe


def _name(place):
    """What may be told of a path or address."""
    if "://" in place and not place.startswith(("hf://", "kaggle://")):
        return ""
    path = pathlib.Path(place)
    local = path.is_absolute() or place.startswith(("./", "../", "~"))
    return path.name if local or path.exists() else place
