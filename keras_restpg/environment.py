"""What a run runs on: backend, devices and versions.

The same seeds give the same bytes only on the same of these, so a run prints
them, keeps them, and says where they differ from those that it began on.
"""

import importlib.metadata
import math
import platform
import sys
from collections.abc import Mapping

import keras

from keras_restpg._types import Json
from keras_restpg._version import __version__

# Packages whose versions can change results, beside those of the backend.
_PACKAGES = ("keras", "keras_hub", "numpy")
_BACKENDS = {"jax": ("jax", "jaxlib")}


def environment() -> dict[str, Json]:
    """What this process runs on.

    Returns:
        A dict of JSON values: `backend`; `devices`, a list such as
        `["gpu:0", "gpu:1"]`; `versions`, `{package: version}`; `python`;
        `platform`, the operating system; `machine`, the processor's
        architecture.
    """
    backend = keras.config.backend()
    packages = [*_PACKAGES, *_BACKENDS.get(backend, (backend,))]
    versions = {name: _version(name) for name in packages}
    return {
        "backend": backend,
        "devices": _devices(),
        "versions": versions | {"keras_restpg": __version__},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
    }


def line(environment: Mapping[str, Json], causal_lm: keras.Model) -> str:
    """An environment and the model in it, in one line.

    Args:
        environment: as `environment()` gives it.
        causal_lm: a KerasHub causal LM, or any built Keras model.

    Returns:
        A str: backend, devices, versions; the model's class, number of
        weights, share of them that is trained, and dtype.
    """
    versions = dict(environment["versions"])
    backend = environment["backend"]
    parts = [
        f"{backend} {versions.pop(backend)} on "
        f"{_counted(environment['devices'])}",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"{type(causal_lm).__name__}, {_size(causal_lm)}",
        getattr(causal_lm, "backbone", causal_lm).dtype_policy.name,
    ]
    return "; ".join(parts)


def changes(old: Json, new: Mapping[str, Json]) -> list[str]:
    """What differs between two environments that can change results.

    The number of devices and the operating system are not among it.

    Args:
        old: an environment that was read from a file: anything at all.
        new: as `environment()` gives it.

    Returns:
        list of str, such as `"jax: 0.9.0 -> 0.10.2"`; of what `old` does not
        say, or says in another form, there is none.
    """
    before, now = _facts(old), _facts(new)
    return [
        f"{name}: {before[name]} -> {now[name]}"
        for name in now
        if name in before and before[name] != now[name]
    ]


def _facts(environment):
    """`{name: text}` of what can change results, where it is well-formed."""
    if not isinstance(environment, dict):
        return {}
    versions = environment.get("versions")
    facts = {
        **(versions if isinstance(versions, dict) else {}),
        "backend": environment.get("backend"),
        "devices": _kinds(environment.get("devices")),
        "python": environment.get("python"),
        "machine": environment.get("machine"),
    }
    return {
        name: value
        for name, value in facts.items()
        if value and isinstance(value, str)
    }


def _kinds(devices):
    """The kinds of devices, such as `"gpu"`, in one str."""
    if not isinstance(devices, list):
        return ""
    names = [name for name in devices if isinstance(name, str)]
    return ", ".join(sorted({name.partition(":")[0] for name in names}))


def _counted(devices):
    kinds = [name.partition(":")[0] for name in devices]
    return ", ".join(
        f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds))
    )


def _devices():
    try:
        return keras.distribution.list_devices()
    except (AttributeError, ImportError, NotImplementedError):
        # A backend without distribution: where Keras puts an array.
        device = str(keras.ops.zeros(1).device)
        return [device if ":" in device else f"{device}:0"]


def _version(name):
    """The version of a package; empty where it does not say.

    That of the module where it is loaded, as a nightly build is known to the
    installer by another name.
    """
    loaded = getattr(sys.modules.get(name), "__version__", None)
    if loaded:
        return str(loaded)
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _size(model):
    total = _count(model.weights)
    share = _count(model.trainable_weights) / total if total else 0.0
    return f"{_short(total)} weights, {_percent(share)} trained"


def _count(weights):
    return sum(math.prod(weight.shape) for weight in weights)


def _short(count):
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return str(count)


def _percent(share):
    """A share as a percentage; a small one, as LoRA's, keeps two digits."""
    return "100%" if share == 1 else f"{100 * share:.2g}%"
