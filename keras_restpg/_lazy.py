"""Public names that load their module on first use."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(
    package: str, public: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its `__name__`.
        public: `{name: module in the package that holds it}`; a name that
            is its own module is the module.
    """

    def load(name):
        if name not in public:
            raise AttributeError(
                f"module {package!r} has no attribute {name!r}"
            )
        module = importlib.import_module(f"{package}.{public[name]}")
        return module if public[name] == name else getattr(module, name)

    return load, lambda: list(public)
