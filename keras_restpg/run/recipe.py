"""Every setting, with the paper's values as defaults (§4.1, §B).

A recipe is a tree of frozen dataclasses, written to and read from TOML. What
is unknown or out of range is refused by its full name with what is accepted.
Deviation: `sampling.top_p`, which the paper leaves open, is 0.95.
"""

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from keras_restpg import settings
from keras_restpg._types import Path
from keras_restpg.decoding import decode
from keras_restpg.errors import InputError
from keras_restpg.rewards.http_settings import Connection, Request
from keras_restpg.settings import Settings, setting
from keras_restpg.tables import flat

if TYPE_CHECKING:
    from keras_restpg.store import RunDirectory

METHODS = ("sft", "sft-reasoning", "rest-em", "rest-pg")


def _of(name: str) -> Any:
    """A field that is one of `Settings`, with its default and range."""
    return _field(Settings, name)


def _field(cls: Any, name: str, prefix: str = "") -> Any:
    """A field that is one of a class's, with its default and range."""
    (found,) = (f for f in dataclasses.fields(cls) if f.name == name)
    return dataclasses.field(
        default=found.default,
        default_factory=found.default_factory,
        metadata={**found.metadata, "about": prefix + found.metadata["about"]},
    )


def _request(name: str) -> Any:
    return _field(Request, name, "http: ")


def _connection(name: str) -> Any:
    return _field(Connection, name, "http: ")


@dataclasses.dataclass(frozen=True)
class Data:
    source: str = setting(
        "folder",
        "a local folder, or a data set of the Hugging Face hub",
        choices=("folder", "hub"),
    )
    folder: str = setting(
        "",
        "folder of <task>_train.jsonl, <task>_val.jsonl, <task>_test.jsonl, "
        "or in the hub's layout; hub: the data set's name, empty: LongLaMP",
    )
    tasks: tuple[str, ...] = setting(
        (), "tasks to use; empty: all; hub: the configurations, at least one"
    )
    template: str = setting(
        "paper",
        "prompts of Figure 8, or LongLaMP's own for each task",
        choices=("paper", "benchmark"),
    )
    drop_near_copies: bool = setting(
        False, "take documents that nearly repeat the target out of profiles"
    )
    scrub: bool = setting(
        False, "replace e-mail addresses and phone numbers in all texts"
    )
    date_format: str = setting(
        "", "how all dates are written, such as %d/%m/%Y; empty: found out"
    )
    max_train: int = setting(0, "training examples a task; 0: all", low=0)
    max_test: int = setting(0, "test examples a task; 0: all", low=0)


@dataclasses.dataclass(frozen=True)
class Model:
    preset: str = setting(
        "gemma_2b_en",
        "KerasHub preset, or 'scratch': a small Gemma made for the run",
    )
    dtype: str = setting(
        "float32",
        "weights and arithmetic; mixed_bfloat16 keeps float32 weights",
        choices=("float32", "mixed_bfloat16", "bfloat16"),
    )
    lora_rank: int = setting(0, "rank of LoRA; 0 trains all weights", low=0)
    freeze_embeddings: bool = setting(False, "leave the embedding untrained")
    vocabulary_size: int = setting(2048, "scratch: words", low=300)
    num_layers: int = setting(2, "scratch: layers", low=1)
    hidden_dim: int = setting(128, "scratch: width", low=8)
    intermediate_dim: int = setting(256, "scratch: feed-forward width", low=8)
    num_heads: int = setting(4, "scratch: query heads", low=1)
    head_dim: int = setting(
        32, "scratch: width of a head, even", low=2, even=True
    )
    base_steps: int = setting(
        200, "scratch: steps of language modelling before all methods", low=0
    )
    base_learning_rate: float = setting(
        1e-3, "scratch: learning rate of these steps", low=0.0
    )


@dataclasses.dataclass(frozen=True)
class Retrieval:
    method: str = setting(
        "contriever",
        "how the k documents are found",
        choices=("contriever", "dense", "bm25", "random", "most_recent"),
    )
    preset: str = setting(
        "", "contriever: folder of its preset; dense: a KerasHub text embedder"
    )
    k: int = _of("k")


@dataclasses.dataclass(frozen=True)
class Reasoning:
    teacher: str = setting(
        "gemma_1.1_instruct_7b_en",
        "preset of the teacher, or 'self': the model being trained",
    )
    file: str = setting("", "JSONL of own reasoning instead of a teacher's")
    temperature: float = setting(0.7, "the teacher's temperature", low=0.0)
    max_prompt_tokens: int = setting(
        7680, "longest input of the teacher", low=16
    )
    max_new_tokens: int = setting(512, "longest summary", low=1)
    max_copied: float = setting(
        0.2, "share of the target's 5-grams it may leak", low=0.0, high=1.0
    )
    attempts: int = setting(3, "summaries tried for an example", low=1)


@dataclasses.dataclass(frozen=True)
class Reward:
    kind: str = setting(
        "judge",
        "how answers are scored",
        choices=("judge", "http", "rouge1", "rouge2", "rougeL", "rougeLsum"),
    )
    preset: str = setting(
        "gemma_1.1_instruct_7b_en", "judge: preset of the judge"
    )
    url: str = setting("", "http: address of an OpenAI-compatible server")
    model: str = setting("", "http: the model's name there")
    logprobs: bool = _request("logprobs")
    top_logprobs: int = _request("top_logprobs")
    max_tokens: int = _request("max_tokens")
    tokens_field: str = _request("tokens_field")
    max_characters: int = _request("max_characters")
    extra_body: dict[str, Any] = _request("extra_body")
    timeout: float = _connection("timeout")
    retries: int = _connection("retries")
    backoff: float = _connection("backoff")
    concurrency: int = _connection("concurrency")
    tokenizer: str = setting(
        "rouge",
        "rouge: what words are, rouge-score's of a-z and 0-9 or any script's",
        choices=("rouge", "words"),
    )
    cutoffs: tuple[float, ...] = setting(
        (), "rouge: four values that cut it to the five scores; empty: none"
    )
    on_doubt: str = setting(
        "stop",
        "where it can't tell a user's own text from another's (check-judge)",
        choices=("stop", "warn", "unchecked"),
    )


@dataclasses.dataclass(frozen=True)
class Optimizer:
    learning_rate: float = setting(5e-6, "peak learning rate", low=0.0)
    warmup_steps: int = setting(250, "steps of linear warm-up", low=0)
    final_fraction: float = setting(
        0.1, "share of the peak at the last step", low=0.0, high=1.0
    )
    weight_decay: float = setting(0.01, "decoupled weight decay", low=0.0)
    global_clipnorm: float = setting(1.0, "largest gradient norm", low=0.0)


@dataclasses.dataclass(frozen=True)
class Training(settings.Training):
    normalization: str = setting(
        "tokens",
        "what the weighted loss is divided by",
        choices=("tokens", "sequence", "weight"),
    )
    recompute: bool = setting(False, "compute activations anew: less memory")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    temperature: float = _of("inference_temperature")
    validate_every: int = _of("validate_every")
    max_validation: int = _of("max_validation")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of a run; see the sections' fields."""

    method: str = setting("rest-pg", "what is run", choices=METHODS)
    iterations: int = _of("iterations")
    seed: int = _of("seed")
    data: Data = Data()
    model: Model = Model()
    retrieval: Retrieval = Retrieval()
    reasoning: Reasoning = Reasoning()
    sampling: settings.Sampling = settings.Sampling()
    reward: Reward = Reward()
    selection: settings.Selection = settings.Selection()
    optimizer: Optimizer = Optimizer()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    @property
    def reasons(self) -> bool:
        """Whether the method writes reasoning before the answer."""
        return self.method in ("sft-reasoning", "rest-pg")

    @property
    def rounds(self) -> int:
        """Rounds of self-training that the method makes."""
        return self.iterations if self.method.startswith("rest") else 0

    @property
    def settings(self) -> Settings:
        """What Algorithm 1 reads of the recipe, `Settings`."""
        values = vars(self.evaluation) | {
            "inference_temperature": self.evaluation.temperature,
            "iterations": self.rounds,
            "seed": self.seed,
            "k": self.retrieval.k,
        }
        for part in (self.sampling, self.selection, self.training):
            values |= vars(part)
        names = [field.name for field in dataclasses.fields(Settings)]
        return Settings(**{name: values[name] for name in names})

    def to_toml(self, handed_in: Iterable[str] = ()) -> str:
        """The recipe as commented TOML.

        Args:
            handed_in: names of sections whose part did not come from the
                recipe: they are left out, and a comment says so.
        """
        lines = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in handed_in:
                lines += ["", f"# {field.name}: handed in, see run.json"]
            elif dataclasses.is_dataclass(value):
                lines += ["", f"[{field.name}]"]
                for inner in dataclasses.fields(value):
                    lines += _lines(inner, getattr(value, inner.name))
            else:
                lines += _lines(field, value)
        return "\n".join(lines) + "\n"

    def with_settings(self, assignments: Iterable[str]) -> "Recipe":
        """A recipe with some settings changed.

        Args:
            assignments: strings such as `"training.steps=100"`; the value is
                TOML, or text that needs no quotes, such as a folder `2024`.

        Raises:
            InputError: an assignment without `=`, an unknown setting or a
                value that is not accepted.
        """
        tree = dataclasses.asdict(self)
        for assignment in assignments:
            name, equals, text = assignment.partition("=")
            if not equals:
                raise InputError(
                    "A setting is given as name=value. "
                    f"Received: {assignment!r}"
                )
            *sections, last = name.strip().split(".")
            place = tree
            for section in sections:
                place = place.setdefault(section, {})
                if not isinstance(place, dict):
                    raise InputError(f"{section} has no settings in it.")
            place[last] = _value(text.strip(), place.get(last))
        return from_dict(tree)

    def difference(self, other: "Recipe") -> list[str]:
        """Names of the settings in which two recipes differ."""
        ours, theirs = (flat(dataclasses.asdict(r)) for r in (self, other))
        names = ours | theirs
        return [n for n in names if ours.get(n) != theirs.get(n)]


def _lines(field, value):
    about = field.metadata["about"]
    if field.metadata["choices"]:
        about += f" ({', '.join(field.metadata['choices'])})"
    return [f"# {about}", f"{field.name} = {_toml(value)}"]


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        items = (f"{_toml(k)} = {_toml(v)}" for k, v in value.items())
        return f"{{{', '.join(items)}}}"
    # JSON's escapes are TOML's too, but for DEL, which JSON leaves as it is.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(text, old):
    """The one TOML value in `text`; else, or for text, `text` itself."""
    try:
        tree = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    value = tree["value"]
    if len(tree) > 1 or (isinstance(old, str) and not isinstance(value, str)):
        return text
    return value


def load(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        InputError: no such file, not TOML, or settings that are refused.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return loads(data, str(path))


def loads(data: bytes, where: str) -> Recipe:
    """The recipe in TOML bytes; `where` names them in errors."""
    try:
        tree = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not TOML: {error}") from None
    try:
        return from_dict(tree)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def of_run(run: "RunDirectory") -> Recipe | None:
    """The `Recipe` of a run directory, or None where it has none.

    Raises:
        InputError: `recipe.toml` does not hold one.
    """
    data = run.files.read("recipe.toml")
    if data is None:
        return None
    return loads(data, f"{run.files.url}/recipe.toml")


def from_dict(tree: Mapping[str, Any]) -> Recipe:
    """The recipe in nested dicts; missing settings have their defaults.

    Raises:
        InputError: an unknown setting or a value that is not accepted.
    """
    return decode(Recipe, tree, "")
