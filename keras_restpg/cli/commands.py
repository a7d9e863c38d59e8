"""One function for each command; each takes the parsed options.

A command first looks at what can be wrong with its arguments, and only then
imports what loads a backend: that takes seconds, a wrong path an instant.
"""

import contextlib
import dataclasses
import os
import pathlib
import sys
from argparse import Namespace

from keras_restpg.errors import InputError, printable

# What `experiment` knows: methods of `run.experiments.Experiments`.
EXPERIMENTS = ("main", "iterations", "budget", "start", "shuffle")
EXPERIMENTS += ("cases", "human", "stats")


def demo(options: Namespace) -> None:
    from keras_restpg.demo import demo

    progress = _progress(options)
    kind = "full" if options.full else "quick" if options.quick else "default"
    out = options.out or f"runs/demo-{kind}-{options.judge}-{options.seed}"
    with _stop_message(options.again):
        if options.full:
            _print(demo.full(out, options.seed, progress, options.judge))
            return
        size = demo.QUICK if options.quick else demo.DEFAULT
        world = demo.Demo(out, options.seed, size, progress, options.judge)
        world.run()
    _print(world.summary())


def run(options: Namespace) -> None:
    from keras_restpg.run import recipe as recipes

    recipe = recipes.load(options.recipe).with_settings(options.set)
    out = options.out or f"runs/{pathlib.Path(options.recipe).stem}"
    _check_paths(recipe, out)
    from keras_restpg.evaluation.tables import main_table
    from keras_restpg.run.rest_pg import RestPG
    from keras_restpg.tables import as_text

    run = RestPG(
        recipe,
        out,
        progress=_progress(options),
        tensorboard=options.tensorboard,
        allow_backend_change=options.allow_backend_change,
    )
    with _stop_message(options.again):
        results = run.run()
    if results:
        _print(as_text(main_table(results, run.splits["test"]).rows()))
    _print(f"Report: {out}/report.html")


def recipe(options: Namespace) -> None:
    from keras_restpg.run.recipe import Recipe

    print(Recipe().to_toml(), end="")


def status(options: Namespace) -> None:
    from keras_restpg.run.status import status

    _print(status(options.out, options.verify))


def write(options: Namespace) -> None:
    writing = _load_writing(options.documents, options)
    documents = writing.documents
    _check_finished(options.out)
    for note in writing.notes():
        print(printable(note), file=sys.stderr)
    progress = _progress(options)
    with progress.waiting("loading the model"):
        from keras_restpg.run.writer import PersonalizedWriter

        writer = PersonalizedWriter.from_run(options.out)
    with progress.waiting("writing"):
        drafts = writer.drafts(
            options.prompt, documents, options.drafts, options.seed
        )
    for draft in drafts:
        if draft.reasoning:
            _print(f"{draft.reasoning}\n")
        _print(draft.answer or draft.text)


def judge(options: Namespace) -> None:
    for path in (options.predictions, options.references):
        if not os.path.exists(path):
            raise InputError(f"{path}: there is no such file.")
    from keras_restpg.evaluation import predictions

    references = predictions.read_references(options.references)
    predictions.read_predictions(options.predictions)
    if options.out and os.path.isdir(options.out):
        raise InputError(f"{options.out} is a folder; --out must be a file.")
    progress, reward = _progress(options), _server(options)
    if options.preset:
        _check_preset(options.preset)
        with progress.waiting("loading the judge"):
            from keras_restpg.rewards import LLMJudge
            from keras_restpg.run.build import load_preset

            reward = LLMJudge(load_preset(options.preset, "bfloat16"))
    with progress.waiting("judging"):
        scored = predictions.score_file(
            options.predictions,
            references,
            reward,
            options.reasoning,
            tokenizer=options.tokenizer,
        )
    _print(scored.table())
    if options.out:
        scored.save(options.out)


def _server(options):
    """The judge on a server that the options name, or None."""
    others = [options.model, options.cache, *options.set]
    if options.preset and options.url:
        raise InputError("Give --preset or --url: there is one judge.")
    if not options.url and any(others):
        raise InputError(
            "--model, --set and --cache are of a judge on a server: give "
            "--url too."
        )
    if not options.url:
        return None
    if not options.model:
        raise InputError("--url needs --model, the judge's name there.")
    from keras_restpg.run.recipe import Recipe
    from keras_restpg.run.server import http_judge

    settings = Recipe().with_settings(options.set).reward
    named = {"url": options.url, "model": options.model}
    return http_judge(dataclasses.replace(settings, **named), options.cache)


def export(options: Namespace) -> None:
    from keras_restpg.run import export as exporting

    exporting.check(options.out, options.to)
    _check_finished(options.run)
    with _progress(options).waiting("exporting the model"):
        exporting.export(options.run, options.out, options.to)
    _print(f"{options.out}: the model and its card, README.md.")


def check_judge(options: Namespace) -> int:
    from keras_restpg.run import recipe as recipes

    recipe = recipes.load(options.recipe).with_settings(options.set)
    _check_data(recipe)
    _check_reward(recipe)
    progress = _progress(options)
    with progress.waiting("loading the reward"):
        from keras_restpg.evaluation.reward_check import check_judge
        from keras_restpg.run import build

        examples = build.load_splits(recipe, progress)[options.split]
        reward = build.make_reward(recipe)
        embedding = options.embedder and build.load_embedding(options.embedder)
    with progress.waiting("judging"):
        found = check_judge(
            reward, examples, embedding, options.examples, recipe.seed
        )
    _print(found.text())
    return 1 if found.doubt else 0


def compare(options: Namespace) -> None:
    if options.out and os.path.isfile(options.out):
        raise InputError(f"{options.out} is a file; --out must be a folder.")
    from keras_restpg.run.compare import compare

    found = compare(options.runs, options.split)
    _print(found.text())
    if options.out:
        found.report(options.out)


def experiment(options: Namespace) -> None:
    progress, seeds = _progress(options), options.seeds
    if options.demo:
        from keras_restpg.demo import demo

        size = demo.QUICK if options.demo == "quick" else demo.DEFAULT
        found = demo.experiments(options.out, 0, size, progress, count=seeds)
        found.recipe = found.recipe.with_settings(options.set)
    else:
        from keras_restpg.run import recipe as recipes

        recipe = recipes.load(options.recipe).with_settings(options.set)
        _check_paths(recipe, options.out)
        from keras_restpg.run.experiments import Experiments

        found = Experiments(recipe, options.out, seeds, progress=progress)
    given = {"budget": [options.sizes], "human": [options.filled]}
    with _stop_message(options.again):
        text = getattr(found, options.name)(*given.get(options.name, []))
    _print(text)


def contriever(options: Namespace) -> None:
    _check_folder(options.source)
    from keras_restpg.retrieval.contriever import convert

    convert(options.source, options.target)
    _print(f"Set retrieval.preset = {options.target!r} in the recipe.")


def stats(options: Namespace) -> None:
    from keras_restpg.data.stats import table

    _print(table(options.folder))


def make(options: Namespace) -> None:
    from keras_restpg.data.making import make_splits, write_examples

    writing = _load_writing(options.path, options)
    made = make_splits(
        writing, options.task, options.by, options.words, seed=options.seed
    )
    paths = write_examples(made.splits, options.out)
    _print("\n".join([made.table(), *writing.notes()]))
    for path in paths:
        _print(f"Wrote {path}")
    for warning in made.warnings():
        print(f"warning: {warning}", file=sys.stderr)


def _load_writing(path, options):
    from keras_restpg.data.writing import load_writing

    return load_writing(
        path,
        options.user,
        options.split,
        dict(options.columns),
        options.date_format,
        options.encoding,
    )


def _print(text):
    """For texts that hold what files, servers or models gave."""
    print(printable(text))


def _progress(options):
    from keras_restpg.progress import Progress

    return Progress(options.quiet, options.log_json)


def _check_paths(recipe, out):
    """What a recipe names on this machine, as far as a look can tell."""
    _check_data(recipe)
    _check_preset(recipe.model.preset)
    if recipe.retrieval.method in ("contriever", "dense"):
        _check_preset(recipe.retrieval.preset)
    _check_reward(recipe)
    if os.path.isfile(out):
        raise InputError(f"{out} is a file; a run needs a folder.")


def _check_data(recipe):
    if recipe.data.source == "hub":
        from keras_restpg.data import hub

        hub.download(recipe.data.folder, recipe.data.tasks)
    elif not recipe.data.folder:
        raise InputError(
            "data.folder is not set. Set it in the recipe or with --set "
            "data.folder=PATH."
        )
    elif "://" not in recipe.data.folder:
        _check_folder(os.path.expanduser(recipe.data.folder))


def _check_reward(recipe):
    if recipe.reward.kind == "judge":
        _check_preset(recipe.reward.preset)
    if recipe.reward.kind == "http":
        from keras_restpg.run.server import http_judge

        http_judge(recipe.reward)


def _check_preset(preset):
    """A preset that can't be a name must be a folder."""
    if preset.startswith(("/", "./", "../")):
        _check_folder(preset)


def _check_folder(path):
    if not os.path.isdir(path):
        raise InputError(f"{path}: there is no such folder.")


def _check_finished(folder):
    from keras_restpg.run import recipe as recipes
    from keras_restpg.store import RunDirectory

    run = RunDirectory(folder)
    if not run.files.exists("model") or recipes.of_run(run) is None:
        raise InputError(
            f"{folder} holds no finished run: recipe.toml or model/ is "
            "missing. Finish it with `keras-restpg run`."
        )


@contextlib.contextmanager
def _stop_message(command):
    """Says how to go on where the user stopped a run."""
    from keras_restpg.progress import Stopped

    try:
        yield
    except Stopped:
        print(
            "Stopped; what was saved is kept. Go on with the same command: "
            f"{command}",
            file=sys.stderr,
        )
        raise SystemExit(130) from None
