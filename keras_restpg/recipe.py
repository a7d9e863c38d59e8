"""Every setting, with the paper's values as defaults (§4.1, §B).

A recipe is a tree of frozen dataclasses, written to and read from TOML. What
is unknown or out of range is refused by its full name with what is accepted.
Deviation: `sampling.top_p`, which the paper leaves open, is 0.95.
"""

import dataclasses
import json
import math
import re
import reprlib
import tomllib
import typing

from keras_restpg.errors import InputError

METHODS = ("sft", "sft-reasoning", "rest-em", "rest-pg")

# No path holds a null character, and UTF-8 no lone surrogate.
_PLAIN = re.compile(r"[^\0\ud800-\udfff]*")
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200


def _setting(default, about, choices=None, low=None, high=None, even=False):
    """A field with its meaning, accepted values or range (inclusive)."""
    rule = {"choices": choices, "low": low, "high": high, "even": even}
    return dataclasses.field(default=default, metadata=rule | {"about": about})


@dataclasses.dataclass(frozen=True)
class Data:
    folder: str = _setting(
        "", "folder of <task>_train.jsonl, <task>_val.jsonl, <task>_test.jsonl"
    )
    tasks: tuple[str, ...] = _setting((), "tasks to use; empty: all")
    template: str = _setting(
        "paper",
        "prompts of Figure 8, or LongLaMP's own for each task",
        choices=("paper", "benchmark"),
    )
    drop_near_copies: bool = _setting(
        False, "take documents that nearly repeat the target out of profiles"
    )
    scrub: bool = _setting(
        False, "replace e-mail addresses and phone numbers in all texts"
    )
    max_train: int = _setting(0, "training examples a task; 0: all", low=0)
    max_test: int = _setting(0, "test examples a task; 0: all", low=0)


@dataclasses.dataclass(frozen=True)
class Model:
    preset: str = _setting(
        "gemma_2b_en",
        "KerasHub preset, or 'scratch': a small Gemma made for the run",
    )
    dtype: str = _setting(
        "float32",
        "weights and arithmetic; mixed_bfloat16 keeps float32 weights",
        choices=("float32", "mixed_bfloat16", "bfloat16"),
    )
    lora_rank: int = _setting(0, "rank of LoRA; 0 trains all weights", low=0)
    freeze_embeddings: bool = _setting(False, "leave the embedding untrained")
    vocabulary_size: int = _setting(2048, "scratch: words", low=300)
    num_layers: int = _setting(2, "scratch: layers", low=1)
    hidden_dim: int = _setting(128, "scratch: width", low=8)
    intermediate_dim: int = _setting(256, "scratch: feed-forward width", low=8)
    num_heads: int = _setting(4, "scratch: query heads", low=1)
    head_dim: int = _setting(
        32, "scratch: width of a head, even", low=2, even=True
    )
    base_steps: int = _setting(
        200, "scratch: steps of language modelling before all methods", low=0
    )
    base_learning_rate: float = _setting(
        1e-3, "scratch: learning rate of these steps", low=0.0
    )


@dataclasses.dataclass(frozen=True)
class Retrieval:
    method: str = _setting(
        "contriever",
        "how the k documents are found",
        choices=("contriever", "dense", "bm25", "random", "most_recent"),
    )
    preset: str = _setting(
        "", "contriever: folder of its preset; dense: a KerasHub text embedder"
    )
    k: int = _setting(5, "documents in a prompt", low=1)


@dataclasses.dataclass(frozen=True)
class Reasoning:
    teacher: str = _setting(
        "gemma_1.1_instruct_7b_en",
        "preset of the teacher, or 'self': the model being trained",
    )
    file: str = _setting("", "JSONL of own reasoning instead of a teacher's")
    temperature: float = _setting(0.7, "the teacher's temperature", low=0.0)
    max_prompt_tokens: int = _setting(
        7680, "longest input of the teacher", low=16
    )
    max_new_tokens: int = _setting(512, "longest summary", low=1)
    max_copied: float = _setting(
        0.2, "share of the target's 5-grams it may leak", low=0.0, high=1.0
    )
    attempts: int = _setting(3, "summaries tried for an example", low=1)


@dataclasses.dataclass(frozen=True)
class Sampling:
    num_samples: int = _setting(32, "m, outputs for a prompt (E-step)", low=1)
    temperature: float = _setting(0.7, "γ of the E-step", low=0.0)
    top_p: float = _setting(0.95, "mass of the nucleus", low=1e-6, high=1.0)
    max_prompt_tokens: int = _setting(5120, "longest input", low=16)
    max_new_tokens: int = _setting(1536, "longest output", low=1)
    memory_mib: int = _setting(2048, "memory of a group of rows", low=16)


@dataclasses.dataclass(frozen=True)
class Reward:
    kind: str = _setting(
        "judge",
        "how answers are scored",
        choices=("judge", "http", "rouge1", "rouge2", "rougeL", "rougeLsum"),
    )
    preset: str = _setting(
        "gemma_1.1_instruct_7b_en", "judge: preset of the judge"
    )
    url: str = _setting("", "http: address of an OpenAI-compatible server")
    model: str = _setting("", "http: the model's name there")
    timeout: float = _setting(60.0, "http: seconds to wait for it", low=0.0)
    retries: int = _setting(4, "http: how often to ask again", low=0)
    cutoffs: tuple[float, ...] = _setting(
        (), "rouge: four values that cut it to the five scores; empty: none"
    )


@dataclasses.dataclass(frozen=True)
class Selection:
    tau: float = _setting(1.0, "τ, the least reward kept", low=0.0, high=1.0)
    max_per_input: int = _setting(10, "outputs kept for a prompt", low=1)
    on_empty: str = _setting(
        "stop",
        "where nothing reaches τ",
        choices=("stop", "lower_tau"),
    )


@dataclasses.dataclass(frozen=True)
class Training:
    start: str = _setting(
        "base",
        "weights that each M-step starts from (Figure 4)",
        choices=("base", "sft", "previous"),
    )
    steps: int = _setting(10_000, "steps of each training", low=1)
    batch_size: int = _setting(64, "outputs of a batch", low=1)
    learning_rate: float = _setting(5e-6, "peak learning rate", low=0.0)
    warmup_steps: int = _setting(250, "steps of linear warm-up", low=0)
    final_fraction: float = _setting(
        0.1, "share of the peak at the last step", low=0.0, high=1.0
    )
    weight_decay: float = _setting(0.01, "decoupled weight decay", low=0.0)
    global_clipnorm: float = _setting(1.0, "largest gradient norm", low=0.0)
    normalization: str = _setting(
        "tokens",
        "what the weighted loss is divided by",
        choices=("tokens", "sequence", "weight"),
    )
    recompute: bool = _setting(False, "compute activations anew: less memory")
    micro_batch_tokens: int = _setting(
        16_384, "tokens that go through the model at once", low=16
    )
    save_every: int = _setting(
        250, "steps after which a run that stops can go on, at most", low=1
    )
    max_skipped: int = _setting(
        100, "stop after this many updates that are not finite", low=1
    )


@dataclasses.dataclass(frozen=True)
class Evaluation:
    temperature: float = _setting(0.1, "γ at inference", low=0.0)
    validate_every: int = _setting(1000, "steps between validations", low=1)
    max_validation: int = _setting(
        1024, "validation examples a task; 0: no validation", low=0
    )


@dataclasses.dataclass(frozen=True)
class Recipe:
    """All settings of a run; see the sections' fields."""

    method: str = _setting("rest-pg", "what is run", choices=METHODS)
    iterations: int = _setting(3, "T, rounds of self-training", low=0)
    # Keras takes no larger seed.
    seed: int = _setting(0, "fixes all random numbers", low=0, high=2**32 - 1)
    data: Data = Data()
    model: Model = Model()
    retrieval: Retrieval = Retrieval()
    reasoning: Reasoning = Reasoning()
    sampling: Sampling = Sampling()
    reward: Reward = Reward()
    selection: Selection = Selection()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()

    @property
    def reasons(self):
        """Whether the method writes reasoning before the answer."""
        return self.method in ("sft-reasoning", "rest-pg")

    @property
    def rounds(self):
        """Rounds of self-training that the method makes."""
        return self.iterations if self.method.startswith("rest") else 0

    def to_toml(self):
        """The recipe as commented TOML."""
        lines = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if dataclasses.is_dataclass(value):
                lines += ["", f"[{field.name}]"]
                for inner in dataclasses.fields(value):
                    lines += _lines(inner, getattr(value, inner.name))
            else:
                lines += _lines(field, value)
        return "\n".join(lines) + "\n"

    def with_settings(self, assignments):
        """A recipe with some settings changed.

        Args:
            assignments: strings such as `"training.steps=100"`; the value is
                TOML, or text that needs no quotes, such as a folder `2024`.

        Raises:
            InputError: an assignment without `=`, an unknown setting or a
                value that is not accepted.
        """
        tree = to_dict(self)
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

    def difference(self, other):
        """Names of the settings in which two recipes differ."""
        ours, theirs = _flat(to_dict(self)), _flat(to_dict(other))
        return [name for name in ours if ours[name] != theirs.get(name)]


def _lines(field, value):
    about = field.metadata["about"]
    if field.metadata["choices"]:
        about += f" ({', '.join(field.metadata['choices'])})"
    return [f"# {about}", f"{field.name} = {_toml(value)}"]


def _toml(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
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


def _flat(tree, prefix=""):
    flat = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def to_dict(recipe):
    """The recipe as nested dicts."""
    return dataclasses.asdict(recipe)


def load(path):
    """The recipe in a TOML file.

    Raises:
        InputError: no such file, not TOML, or settings that are refused.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    return loads(data, path)


def loads(data, where):
    """The recipe in TOML bytes; `where` names them in errors."""
    try:
        tree = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not TOML: {error}") from None
    return from_dict(tree)


def from_dict(tree):
    """The recipe in nested dicts; missing settings have their defaults.

    Raises:
        InputError: an unknown setting or a value that is not accepted.
    """
    return _build(Recipe, tree, "")


def _build(cls, tree, prefix):
    if not isinstance(tree, dict):
        raise InputError(
            f"{prefix[:-1]} must be a section. Received: {_shown(tree)}"
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in tree.items():
        if name not in fields:
            raise InputError(
                f"There is no setting {_shown(f'{prefix}{name}')}. In its "
                f"place are known: {', '.join(fields)}"
            )
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _build(hints[name], value, f"{prefix}{name}.")
        else:
            values[name] = _checked(
                hints[name], fields[name].metadata, prefix + name, value
            )
    return cls(**values)


def _checked(hint, rule, name, given):
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        if not isinstance(given, list | tuple):
            raise InputError(
                f"{name} must be a list. Received: {_shown(given)}"
            )
        return tuple(_checked(inner, {}, name, item) for item in given)
    value = _as_float(given) if hint is float else given
    must = _must(hint, rule, value)
    if must:
        raise InputError(f"{name} must be {must}. Received: {_shown(given)}")
    return value


def _as_float(value):
    try:
        return float(value) if type(value) is int else value
    except OverflowError:
        return math.inf


def _must(hint, rule, value):
    """What a setting must be where `value` is not it, else None."""
    if type(value) is not hint:
        return f"of type {hint.__name__}"
    choices, low, high = map(rule.get, ("choices", "low", "high"))
    if choices and value not in choices:
        return f"one of {', '.join(choices)}"
    # Written so that NaN is refused too.
    if (low is not None and not value >= low) or (
        high is not None and not value <= high
    ):
        return f"at least {low}" if high is None else f"from {low} to {high}"
    if rule.get("even") and value % 2:
        return "even"
    if hint is float and not math.isfinite(value):
        return "a finite number"
    if hint is int and value.bit_length() > 63:
        return "below 2**63, as all of TOML's integers are"
    if hint is str and not _PLAIN.fullmatch(value):
        return "text without null characters or lone surrogates"
    return None


def _shown(value):
    """A value in a message: short, whatever it is."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python prints no number of so many digits.
        return "a number of very many digits"
