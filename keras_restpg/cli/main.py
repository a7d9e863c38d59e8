"""`keras-restpg …`: the arguments, and what ends a command."""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from keras_restpg._version import __version__
from keras_restpg.cli import commands, startup
from keras_restpg.errors import InputError, printable


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script; returns the exit code.

    2 for input that a person must mend, 130 where the user stopped it.
    """
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    options.again = shlex.join(["keras-restpg", *map(str, given)])
    try:
        startup.prepare()
        return options.command(options) or 0
    except InputError as error:
        print(f"error: {printable(error)}", file=sys.stderr)
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


def _missing(error):
    name = (error.name or "").partition(".")[0]
    if name in ("", "keras_restpg"):
        raise error  # Our own fault, not something to install.
    advice = f"pip install {name}"
    if name in startup.BACKENDS:
        advice = f"pip install keras-restpg[{name}], or set KERAS_BACKEND"
    print(f"error: {name} is not installed: {advice}", file=sys.stderr)
    return 2


def _parser():
    parser = argparse.ArgumentParser(
        prog="keras-restpg",
        description="Teach a small language model to reason over a user's "
        "documents before it writes for that user.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    group = parser.add_subparsers(required=True, metavar="COMMAND")
    _demo_parser(group)
    _run_parser(group)
    _add(group, "recipe", commands.recipe, "print the paper's recipe as TOML")
    _status_parser(group)
    _write_parser(group)
    _judge_parser(group)
    _export_parser(group)
    _check_judge_parser(group)
    _compare_parser(group)
    _experiment_parser(group)
    _data_parser(group)
    contriever = _group(group, "contriever", "the paper's retriever")
    about = "turn the public files into a KerasHub preset"
    convert = _add(contriever, "convert", commands.contriever, about)
    _path(convert, "source", help="folder of pytorch_model.bin")
    _path(convert, "target", help="folder of the preset to write")
    return parser


def _demo_parser(group):
    about = "all four methods in a small world"
    demo = _add(group, "demo", commands.demo, about)
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
    _path(
        demo,
        "--out",
        help="folder of the run; default: runs/demo and what is asked",
    )
    _talk(demo)


def _run_parser(group):
    run = _add(group, "run", commands.run, "run, or continue, a recipe")
    _path(run, "recipe", help="TOML; see `keras-restpg recipe`")
    _path(run, "--out", help="run directory; default: runs/<recipe>")
    _settings(run)
    _path(run, "--tensorboard", metavar="DIR", help="write its logs")
    run.add_argument(
        "--allow-backend-change",
        action="store_true",
        help="continue within a stage on another backend than it began on",
    )
    _talk(run)


def _settings(parser):
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting, such as training.steps=100",
    )


def _status_parser(group):
    status = _add(group, "status", commands.status, "how far a run has come")
    _path(status, "out", metavar="DIR")
    status.add_argument(
        "--verify", action="store_true", help="read and check every file"
    )


def _write_parser(group):
    write = _add(group, "write", commands.write, "write for one user")
    _path(write, "out", metavar="DIR", help="a finished run's directory")
    write.add_argument("prompt")
    _path(
        write,
        "--documents",
        required=True,
        metavar="PATH",
        help="the user's texts: a file, or a folder of files, of text, mail, "
        "tables or exported chats",
    )
    _writing(write)
    write.add_argument("--drafts", type=_positive, default=1)
    write.add_argument("--seed", type=int, default=0)
    _talk(write)


def _data_parser(group):
    data = _group(group, "data", "look at a data set, or make one")
    stats = _add(data, "stats", commands.stats, "its sizes, as in Table 2")
    _path(stats, "folder", help="of <task>_train.jsonl and so on")
    make = _add(data, "make", commands.make, "make one of people's own texts")
    _path(make, "path", help="a file, or a folder, of texts, mails, tables, …")
    _path(make, "--out", required=True, metavar="FOLDER")
    make.add_argument("--task", default="own", help="the task's name")
    make.add_argument(
        "--by",
        choices=("auto", "user", "time"),
        default="auto",
        help="test other users, or each user's newest texts; auto: other "
        "users where there are at least 10",
    )
    make.add_argument(
        "--words",
        type=_positive,
        default=20,
        help="words that a text needs to be worth an example",
    )
    make.add_argument("--seed", type=int, default=0)
    _writing(make)


def _writing(parser):
    """How people's own files are read."""
    parser.add_argument(
        "--user",
        action="append",
        default=[],
        help="whose texts: a name or an address; again for the person's others",
    )
    parser.add_argument(
        "--split",
        choices=("whole", "paragraphs"),
        default="whole",
        help="whether a text file is one text, or each paragraph is one",
    )
    parser.add_argument(
        "--columns",
        nargs="+",
        type=_pair,
        default=[],
        metavar="NAME=COLUMN",
        help="a table's columns of text, title, user and date, such as "
        "text=body",
    )
    parser.add_argument(
        "--date-format",
        default="",
        help="how dates are written that could mean two days: %%d/%%m/%%Y",
    )
    parser.add_argument(
        "--encoding", default="", help="of text files; default: UTF-8"
    )


def _pair(text):
    name, _, column = text.partition("=")
    if name not in ("text", "title", "user", "date") or not column:
        raise argparse.ArgumentTypeError(
            "must be text, title, user or date, = and a column's name"
        )
    return name, column


def _judge_parser(group):
    judge = _add(group, "judge", commands.judge, "score a file of predictions")
    _path(judge, "predictions")
    _path(judge, "references")
    _path(judge, "--preset", help="the judge; none: overlap alone")
    judge.add_argument(
        "--url",
        help="a judge on an OpenAI-compatible server; its key is "
        "KERAS_RESTPG_API_KEY",
    )
    judge.add_argument("--model", help="the judge's name on that server")
    judge.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="how it is asked, such as reward.max_tokens=4096",
    )
    _path(judge, "--cache", metavar="FILE", help="keep the server's replies")
    judge.add_argument(
        "--tokenizer",
        choices=("rouge", "words"),
        default="rouge",
        help="what ROUGE compares: words of a-z and 0-9, or of any script",
    )
    judge.add_argument(
        "--reasoning",
        action="store_true",
        help="outputs hold reasoning: compare the final answers",
    )
    _path(
        judge,
        "--out",
        metavar="FILE",
        help="write each score, a line of JSON each",
    )
    _talk(judge)


def _export_parser(group):
    about = "the model of a run, for other tools"
    export = _add(group, "export", commands.export, about)
    _path(export, "run", metavar="DIR", help="a finished run's directory")
    export.add_argument(
        "--to",
        choices=("keras", "hf"),
        default="hf",
        help="a KerasHub preset, or files for transformers, vLLM, Ollama and "
        "llama.cpp (default); LoRA weights are merged",
    )
    _path(export, "--out", required=True, metavar="FOLDER", help="new folder")
    _talk(export)


def _compare_parser(group):
    about = "the paper's tables over runs that exist"
    compare = _add(group, "compare", commands.compare, about)
    _path(
        compare,
        "runs",
        nargs="+",
        metavar="RUN",
        help="run directories, or folders with run directories in them",
    )
    compare.add_argument(
        "--split", choices=("test", "validation"), default="test"
    )
    _path(
        compare,
        "--out",
        metavar="DIR",
        help="write tables (CSV, LaTeX, Markdown), plots and a report",
    )


def _experiment_parser(group):
    about = "one of the paper's experiments, with all the runs that it needs"
    experiment = _add(group, "experiment", commands.experiment, about)
    experiment.add_argument("name", choices=commands.EXPERIMENTS)
    data = experiment.add_mutually_exclusive_group(required=True)
    _path(data, "--recipe", help="TOML; its method is not read")
    data.add_argument(
        "--demo",
        choices=("quick", "default"),
        help="in the demo's small world",
    )
    _path(experiment, "--out", required=True, metavar="DIR")
    _settings(experiment)
    experiment.add_argument("--seeds", type=_positive, default=1)
    experiment.add_argument(
        "--sizes",
        type=_positive,
        nargs="+",
        default=[],
        metavar="M",
        help="budget: samples of a prompt",
    )
    _path(
        experiment,
        "--filled",
        nargs="+",
        default=[],
        metavar="CSV",
        help="human: pairs.csv as people have filled it in",
    )
    _talk(experiment)


def _check_judge_parser(group):
    about = "whether a recipe's reward can tell one user from another"
    check = _add(group, "check-judge", commands.check_judge, about)
    _path(check, "recipe", help="TOML; its data and its reward")
    _settings(check)
    check.add_argument(
        "--split", choices=("train", "val", "test"), default="val"
    )
    check.add_argument("--examples", type=_positive, default=64)
    _path(
        check,
        "--embedder",
        metavar="PRESET",
        help="a KerasHub text embedder whose similarity is correlated too",
    )
    _talk(check)


def _add(group, name, command, about):
    parser = group.add_parser(name, help=about, description=about)
    parser.set_defaults(command=command)
    return parser


def _group(group, name, about):
    parser = group.add_parser(name, help=about, description=about)
    return parser.add_subparsers(required=True, metavar="COMMAND")


def _path(parser, name, **kwargs):
    """An argument that is a path; shells leave the ~ of `--out=~/x` to us."""
    parser.add_argument(name, type=os.path.expanduser, **kwargs)


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


if __name__ == "__main__":
    sys.exit(main())
