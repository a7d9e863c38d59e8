"""What a part of a run is, so that a change of it is noticed.

`describe` turns any part (model, optimizer, retriever, reward, teacher, a bare
function) into JSON values that differ where it would compute something else;
`digest` makes a short text of them. A part says what it is by `get_config()`,
as in Keras. A model is its configuration, its tokenizer and its weights. A
function is its qualified name, its source and what it holds on to. Another
object is its class, the source of it and its attributes. What can't be told so
has to be named: `named(part, "my reward, version 2")`.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import types
from collections.abc import Iterable
from typing import Any

import numpy as np

from keras_restpg.errors import InputError

# Classes of these packages change with their versions, not in their users'
# hands: their names say enough.
_KEPT = ("keras", "keras_hub", "keras_restpg")
_DEPTH = 12


def named(part: Any, name: str) -> Any:
    """`part`, known by `name` from now on, whatever it holds.

    For functions and objects that can't say what they are. Give another name
    when it would compute something else.

    Raises:
        InputError: it takes no attributes; wrap it in a function of your own.
    """
    try:
        part.identity = str(name)
    except (AttributeError, TypeError):
        raise InputError(
            f"{part!r} takes no name. Wrap it in a function or an object of "
            "your own, and name that."
        ) from None
    return part


def digest(value: Any) -> str:
    """16 hexadecimal digits that differ where JSON values do."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(records: Iterable[Any]) -> str:
    """As `digest`, of dataclass records in their order."""
    found = hashlib.sha256()
    for record in records:
        found.update((json.dumps(dataclasses.asdict(record)) + "\n").encode())
    return found.hexdigest()[:16]


def describe(part: Any) -> Any:
    """What tells a part from others, as JSON values.

    Raises:
        InputError: it can't be told; name it, or give it `get_config()`.
    """
    return _describe(part, 0)


def describe_optimizer(optimizer: Any) -> Any:
    """An optimizer, its schedule included; not the steps it has made."""
    import keras

    return _describe(_unnamed(keras.optimizers.serialize(optimizer)), 0)


def describe_model(causal_lm: Any) -> dict[str, Any]:
    """A KerasHub causal LM: configuration, tokenizer, weights.

    Returns:
        A dict of `class`, `config`, `tokenizer` and `weights`, the last two
        as digests.
    """
    return {
        "class": _name(type(causal_lm)),
        "config": _describe(_nameless(causal_lm.backbone.get_config()), 0),
        "tokenizer": _tokenizer(causal_lm),
        "weights": _weights(causal_lm.backbone.variables),
    }


def _describe(part, depth):
    if depth > _DEPTH:
        raise _untold(part)
    go_on = functools.partial(_describe, depth=depth + 1)
    if part is None or isinstance(part, bool | int | float | str):
        return part if part == part else "nan"
    if isinstance(getattr(part, "identity", None), str):
        return {"named": part.identity}
    if isinstance(part, np.generic | np.ndarray):
        return _array(np.asarray(part))
    if isinstance(part, bytes):
        return hashlib.sha256(part).hexdigest()[:16]
    if isinstance(part, dict):
        return {str(key): go_on(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [go_on(value) for value in part]
    if isinstance(part, set | frozenset):
        return sorted(map(digest, map(go_on, part)))
    if hasattr(part, "backbone") and hasattr(part, "preprocessor"):
        return describe_model(part)
    if isinstance(part, type):
        return _name(part)
    if callable(part) and (found := _function(part, go_on)) is not None:
        return found
    return _object(part, go_on)


def _function(part, go_on):
    """What a function is; None for an object that is called."""
    if isinstance(part, functools.partial):
        return [go_on(part.func), go_on(part.args), go_on(part.keywords)]
    if isinstance(part, types.MethodType):
        return {"method": part.__name__, "of": go_on(part.__self__)}
    if isinstance(part, types.BuiltinFunctionType | np.ufunc):
        return {"function": getattr(part, "__qualname__", part.__name__)}
    if not isinstance(part, types.FunctionType):
        return None
    found = {"function": _name(part)}
    if not _is_kept(part):
        found["source"] = _source(part)
    if part.__name__ == "<lambda>":
        # A line of source may hold two of them.
        code = part.__code__
        found["code"] = go_on([code.co_code, repr(code.co_consts)])
    if part.__defaults__ or part.__kwdefaults__:
        found["defaults"] = go_on([part.__defaults__, part.__kwdefaults__])
    if part.__closure__:
        cells = [cell.cell_contents for cell in part.__closure__]
        names = part.__code__.co_freevars
        found["holds"] = go_on(dict(zip(names, cells, strict=True)))
    return found


def _object(part, go_on):
    cls = type(part)
    found = {"class": _name(cls)}
    if not _is_kept(cls):
        found["source"] = _source(cls)
    if hasattr(part, "get_config"):
        return found | {"config": go_on(_nameless(part.get_config()))}
    if dataclasses.is_dataclass(part):
        fields = dataclasses.fields(part)
        return found | {f.name: go_on(getattr(part, f.name)) for f in fields}
    if not hasattr(part, "__dict__"):
        raise _untold(part)
    return found | {"state": go_on(vars(part))}


def _is_kept(part):
    return (part.__module__ or "").partition(".")[0] in _KEPT


def _source(part):
    try:
        source = inspect.getsource(part)
    except (OSError, TypeError):
        raise _untold(part) from None
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def _untold(part):
    return InputError(
        f"A run can't tell {part!r} from others: its source can't be read. "
        "Give it a `get_config()` that returns what it is, or name it: "
        'keras_restpg.named(part, "my part, version 1").'
    )


def _name(part):
    return f"{part.__module__}.{part.__qualname__}"


def _nameless(config):
    """Keras numbers the names of layers by how many a process has made."""
    return {k: v for k, v in config.items() if k not in ("name", "trainable")}


def _unnamed(config):
    """As `_nameless`, of all that is serialized within it."""
    if not isinstance(config, dict):
        return config
    return {k: _unnamed(v) for k, v in config.items() if k != "name"}


def _array(array):
    data = np.ascontiguousarray(array)
    found = hashlib.sha256(f"{data.dtype} {data.shape}".encode())
    if data.size:
        # NumPy declares its arrays' buffers from Python 3.12 on.
        found.update(data.view("uint8").reshape(-1))  # pyright: ignore[reportArgumentType]
    return found.hexdigest()[:16]


def _tokenizer(causal_lm):
    tokenizer = getattr(causal_lm.preprocessor, "tokenizer", None)
    if tokenizer is None:
        return None
    proto = getattr(tokenizer, "proto", None)
    if isinstance(proto, bytes):
        return hashlib.sha256(proto).hexdigest()[:16]
    if hasattr(tokenizer, "get_vocabulary"):
        return digest(list(tokenizer.get_vocabulary()))
    return _name(type(tokenizer))


def _weights(variables):
    """One digest of all weights, in their order.

    LoRA draws one factor at random and begins the other with zeros: as long
    as that is zero, the model is the same whatever was drawn.
    """
    from keras import ops

    found = hashlib.sha256()
    values = {id(v): v for v in variables}.values()
    waiting = None
    for variable in values:
        array = np.asarray(ops.convert_to_numpy(variable.value))
        shape = f"{array.shape} {array.dtype} {bool(variable.trainable)}"
        found.update(shape.encode())
        name = variable.name
        if name.startswith("lora_") and name.endswith("_a"):
            waiting = array
            continue
        if name.startswith("lora_") and name.endswith("_b"):
            if waiting is not None and array.any():
                found.update(_array(waiting).encode())
            waiting = None
        found.update(_array(array).encode())
    return found.hexdigest()[:16]
