"""`keras-restpg …`: argument parsing and nothing else.

Whatever loads a backend is imported only when its command runs.
"""

import argparse
import os
import pathlib
import shlex
import sys

from keras_restpg._version import __version__
from keras_restpg.errors import InputError

_BACKENDS = ("jax", "tensorflow", "torch")


def main(arguments=None):
    """The console script; returns the exit code.

    2 for input that a person must mend, 130 where the user stopped it.
    """
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    options.again = shlex.join(["keras-restpg", *map(str, given)])
    try:
        _choose_backend()
        return options.command(options) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        return _missing(error)
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` has.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-restpg",
        description="Teach a small language model to reason over a user's "
        "documents before it writes for that user.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _demo_parser(commands)
    _run_parser(commands)
    _add(commands, "recipe", _recipe, "print the paper's recipe as TOML")
    status = _add(commands, "status", _status, "how far a run has come")
    status.add_argument("out", metavar="DIR")
    _write_parser(commands)
    _judge_parser(commands)
    data = _group(commands, "data", "look at a data set")
    stats = _add(data, "stats", _stats, "its sizes, as in Table 2")
    stats.add_argument("folder", help="of <task>_train.jsonl and so on")
    contriever = _group(commands, "contriever", "the paper's retriever")
    about = "turn the public files into a KerasHub preset"
    convert = _add(contriever, "convert", _contriever, about)
    convert.add_argument("source", help="folder of pytorch_model.bin")
    convert.add_argument("target", help="folder of the preset to write")
    return parser


def _demo_parser(commands):
    demo = _add(commands, "demo", _demo, "all four methods in a small world")
    size = demo.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="under two minutes")
    size.add_argument("--full", action="store_true", help="five seeds")
    demo.add_argument("--seed", type=int, default=0)
    demo.add_argument(
        "--judge",
        choices=("overlap", "llm"),
        default="overlap",
        help="overlap of words, or a tiny LLM that is trained to judge",
    )
    demo.add_argument(
        "--out", help="folder of the run; default: runs/demo and what is asked"
    )
    _talk(demo)


def _run_parser(commands):
    run = _add(commands, "run", _run, "run, or continue, a recipe")
    run.add_argument("recipe", help="TOML; see `keras-restpg recipe`")
    run.add_argument("--out", help="run directory; default: runs/<recipe>")
    run.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as training.steps=100",
    )
    run.add_argument("--tensorboard", metavar="DIR", help="write its logs")
    _talk(run)


def _write_parser(commands):
    write = _add(commands, "write", _write, "write for one user")
    write.add_argument("out", metavar="DIR", help="a finished run's directory")
    write.add_argument("prompt")
    write.add_argument(
        "--documents",
        required=True,
        metavar="FILE",
        help="the user's texts: .txt with blank lines between them, or "
        '.jsonl with {"text": …} a line',
    )
    write.add_argument("--drafts", type=_positive, default=1)
    write.add_argument("--seed", type=int, default=0)


def _judge_parser(commands):
    judge = _add(commands, "judge", _judge, "score a file of predictions")
    judge.add_argument("predictions")
    judge.add_argument("references")
    judge.add_argument("--preset", help="the judge; none: overlap alone")
    judge.add_argument(
        "--reasoning",
        action="store_true",
        help="outputs hold reasoning: compare the final answers",
    )
    judge.add_argument(
        "--out", metavar="FILE", help="write each score, a line of JSON each"
    )


def _add(commands, name, command, about):
    parser = commands.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    return parser


def _group(commands, name, about):
    parser = commands.add_parser(name, help=about, description=about)
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _talk(parser):
    parser.add_argument("--quiet", action="store_true", help="no live lines")
    parser.add_argument(
        "--log-json", action="store_true", help="progress as JSON lines"
    )


def _demo(options):
    from keras_restpg.demo import demo

    progress = _progress(options)
    kind = "full" if options.full else "quick" if options.quick else "default"
    out = options.out or f"runs/demo-{kind}-{options.judge}-{options.seed}"
    with _stop_message(options.again):
        if options.full:
            print(demo.full(out, options.seed, progress, options.judge))
            return
        size = demo.QUICK if options.quick else demo.DEFAULT
        world = demo.Demo(out, options.seed, size, progress, options.judge)
        world.run()
    print(world.summary())


def _run(options):
    from keras_restpg.run import recipe as recipes

    recipe = recipes.load(options.recipe).with_settings(options.set)
    out = options.out or f"runs/{pathlib.Path(options.recipe).stem}"
    from keras_restpg.evaluation.tables import main_table
    from keras_restpg.run.rest_pg import RestPG
    from keras_restpg.tables import as_text

    run = RestPG(
        recipe,
        out,
        progress=_progress(options),
        tensorboard=options.tensorboard,
    )
    with _stop_message(options.again):
        results = run.run()
    if results:
        print(as_text(main_table(results, run.splits["test"])))
    print(f"Report: {out}/report.html")


def _recipe(options):
    from keras_restpg.run.recipe import Recipe

    print(Recipe().to_toml(), end="")


def _status(options):
    from keras_restpg.run.status import status

    print(status(options.out))


def _write(options):
    from keras_restpg.data.reading import texts
    from keras_restpg.run.writer import PersonalizedWriter

    documents = texts(options.documents)
    writer = PersonalizedWriter.from_run(options.out)
    drafts = writer.drafts(
        options.prompt, documents, options.drafts, options.seed
    )
    for draft in drafts:
        if draft.reasoning:
            print(f"{draft.reasoning}\n")
        print(draft.answer or draft.text)


def _judge(options):
    from keras_restpg.evaluation.predictions import score_file

    reward = None
    if options.preset:
        from keras_restpg.rewards import LLMJudge
        from keras_restpg.run.build import load_preset

        reward = LLMJudge(load_preset(options.preset, "bfloat16"))
    scored = score_file(
        options.predictions, options.references, reward, options.reasoning
    )
    print(scored.table())
    if options.out:
        scored.save(options.out)


def _contriever(options):
    from keras_restpg.retrieval.contriever import convert

    convert(options.source, options.target)
    print(f"Set retrieval.preset = {options.target!r} in the recipe.")


def _stats(options):
    from keras_restpg.data.stats import table

    print(table(options.folder))


def _progress(options):
    from keras_restpg.progress import Progress

    return Progress(options.quiet, options.log_json)


class _stop_message:
    """Says how to go on where the user stopped a run."""

    def __init__(self, command):
        self.command = command

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        from keras_restpg.progress import Stopped

        if kind is not None and issubclass(kind, Stopped):
            print(
                "Stopped; what was saved is kept. Go on with the same "
                f"command: {self.command}",
                file=sys.stderr,
            )
            raise SystemExit(130)


def _choose_backend():
    """JAX where neither the environment nor Keras' own file chose one."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is None:
        home = os.environ.get("KERAS_HOME", os.path.expanduser("~/.keras"))
        if not os.path.exists(os.path.join(home, "keras.json")):
            os.environ["KERAS_BACKEND"] = "jax"
    elif chosen not in _BACKENDS:
        raise InputError(
            f"KERAS_BACKEND must be one of {', '.join(_BACKENDS)}. Received: "
            f"{chosen!r}"
        )


def _missing(error):
    name = (error.name or "").partition(".")[0]
    advice = f"pip install {name}"
    if name in _BACKENDS:
        advice = f"pip install keras-restpg[{name}], or set KERAS_BACKEND"
    print(f"error: {name} is not installed: {advice}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
