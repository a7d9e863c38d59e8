"""What a run runs on: backend, devices, versions."""

import importlib.metadata
import platform
from typing import Any

# What computes: another version of it may give other bytes.
_COMPUTING = ("jax", "jaxlib", "tensorflow", "torch", "keras", "keras-hub")


def environment() -> dict[str, Any]:
    """Backend, devices and versions, as JSON values."""
    import keras

    backend = keras.config.backend()
    computing = [n for n in _COMPUTING if n.startswith(("keras", backend))]
    return {
        "backend": backend,
        "devices": [str(d) for d in keras.distribution.list_devices()],
        "versions": {
            name: found
            for name in (*computing, "numpy", "keras-restpg")
            if (found := _version(name))
        },
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def line(found: dict[str, Any], causal_lm: Any) -> str:
    """One line on what runs on what.

    Args:
        found: as `environment` gives it.
        causal_lm: the KerasHub model that is trained.
    """
    count = causal_lm.backbone.count_params()
    trained = sum(
        _size(v.shape) for v in causal_lm.backbone.trainable_variables
    )
    versions = [f"{n} {v}" for n, v in found["versions"].items()]
    return (
        f"{found['backend']} on {', '.join(found['devices'])}; "
        f"{', '.join(versions)}; {type(causal_lm).__name__} of {count:,} "
        f"weights, {trained:,} trained, {causal_lm.backbone.dtype_policy.name}"
    )


def changes(old: Any, new: dict[str, Any]) -> list[str]:
    """What differs between two environments and can change bytes.

    Args:
        old: as read from a file: it may be anything.
        new: as `environment` gives it.

    Returns:
        Short sentences such as `"backend jax → torch"`.
    """
    old = old if isinstance(old, dict) else {}
    found = []
    for name in ("backend", "devices", "machine"):
        if name in old and old[name] != new[name]:
            found.append(f"{name} {old[name]} → {new[name]}")
    before = old.get("versions")
    before = before if isinstance(before, dict) else {}
    for name, version in new["versions"].items():
        if name in before and before[name] != version:
            found.append(f"{name} {before[name]} → {version}")
    return found


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _size(shape):
    size = 1
    for each in shape:
        size *= each
    return size
