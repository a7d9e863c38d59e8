"""Plain values to frozen dataclasses, strictly.

A field's type says what it takes: bool, int, float, str, a tuple of one of
them, another dataclass, or one of these and None. Its metadata may narrow
that; `rules` writes it.
"""

import dataclasses
import functools
import math
import re
import reprlib
import types
import typing
from typing import Any

from keras_restpg.errors import InputError

# No path holds a null character, and UTF-8 no lone surrogate.
_PLAIN = re.compile(r"[^\0\ud800-\udfff]*")
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = 200


def rules(
    about: str = "",
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    even: bool = False,
    plain: bool = False,
) -> dict[str, Any]:
    """A field's metadata: its meaning and what it accepts (inclusive).

    With `plain`, text must be such as all files and paths can hold.
    """
    return locals()


def field(default: Any, about: str = "", **metadata: Any) -> Any:
    """A dataclass field with a default and `rules`."""
    return dataclasses.field(default=default, metadata=rules(about, **metadata))


def decode(cls: Any, values: Any, name: str | None = None) -> Any:
    """The dataclass `cls` that `dataclasses.asdict` made `values` from.

    Args:
        cls: a dataclass.
        values: a dict, of what JSON or TOML has; fields with a default may be
            left out.
        name: what the values are called in errors, before a dot and a field;
            None: as the class.

    Raises:
        InputError: a field is missing, unknown, of another type or out of
            its range; the message names it.
    """
    name = cls.__name__ if name is None else name
    if not isinstance(values, dict):
        raise InputError(
            f"{name} must hold named values. Received: {_shown(values)}"
        )
    fields = {each.name: each for each in dataclasses.fields(cls)}
    prefix = f"{name}." if name else ""
    for key in values:
        if key not in fields:
            raise InputError(
                f"There is no {_shown(f'{prefix}{key}')}. In its place are "
                f"known: {', '.join(fields)}"
            )
    hints = _hints(cls)
    found = {}
    for key, each in fields.items():
        if key in values:
            found[key] = _checked(
                hints[key], each.metadata, prefix + key, values[key]
            )
        elif each.default is dataclasses.MISSING:
            raise InputError(f"{prefix}{key} is missing.")
    return cls(**found)


_hints = functools.cache(typing.get_type_hints)


def check(record: Any) -> None:
    """Checks a new dataclass's fields, for its `__post_init__`.

    Raises:
        InputError: as `decode`.
    """
    for each in dataclasses.fields(record):
        name = f"{type(record).__name__}.{each.name}"
        value = _checked(
            each.type, each.metadata, name, getattr(record, each.name)
        )
        object.__setattr__(record, each.name, value)


def _checked(hint, rule, name, given):
    """A value as its field has it: a tuple for a list, a float for an int."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if given is None:
            return None
        return _checked(inner[0], rule, name, given)
    if origin is tuple:
        if not isinstance(given, list | tuple):
            raise InputError(
                f"{name} must be a list. Received: {_shown(given)}"
            )
        # Samples have thousands of tokens.
        if inner[0] is int and all(type(item) is int for item in given):
            return tuple(given)
        return tuple(_checked(inner[0], rule, name, item) for item in given)
    if dataclasses.is_dataclass(hint):
        return decode(hint, given, name)
    value = _as_float(given) if hint is float else given
    if must := _must(hint, rule, value):
        raise InputError(f"{name} must be {must}. Received: {_shown(given)}")
    return value


def _as_float(value):
    try:
        return float(value) if type(value) is int else value
    except OverflowError:
        return math.inf


def _must(kind, rule, value):
    """What a value must be where it is not, else None."""
    if type(value) is not kind:
        return f"of type {kind.__name__}"
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
    if kind is float and not math.isfinite(value):
        return "a finite number"
    if kind is int and value.bit_length() > 63:
        return "below 2**63, as all of TOML's integers are"
    if rule.get("plain") and kind is str and not _PLAIN.fullmatch(value):
        return "text without null characters or lone surrogates"
    return None


def _shown(value):
    """A value in a message: short, whatever it is."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python prints no number of so many digits.
        return "a number of very many digits"
