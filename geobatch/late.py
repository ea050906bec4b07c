"""Names and libraries that are loaded when they are used first, because loading them is slow."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
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


class _Deferred(ModuleType):
    """A module whose code runs when a name of it is used."""

    def __getattr__(self, name: str) -> Any:
        # Called for names that are missing: before the code has run, those are all of the module.
        with _LOADING:
            spec = self.__spec__
            if spec is not None and spec.loader is not None and self.__name__ not in _begun:
                _begun.add(self.__name__)
                spec.loader.exec_module(self)
            if name not in self.__dict__:
                raise AttributeError(f"module `{self.__name__}` has no attribute `{name}`")
            return self.__dict__[name]


_LOADING = RLock()
_begun: set[str] = set()


def defer(library: str) -> None:
    """Let imports of a library load it only when something of it is used.

    For what another library imports and does not need. Nothing happens if the library is loaded
    already, or is not installed.
    """
    spec = None if library in sys.modules else find_spec(library)
    if spec is not None and spec.loader is not None:
        module = sys.modules[library] = module_from_spec(spec)
        module.__class__ = _Deferred
