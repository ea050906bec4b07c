"""Names of a package that are loaded when they are used first: what they need is slow to load."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def late(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package that loads some names late.

    Args:
        package: The name of the package.
        homes: The module of each name, below the package.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module `{package}` has no attribute `{name}`")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        # The next use finds it at once.
        setattr(sys.modules[package], name, value)
        return value

    return load
