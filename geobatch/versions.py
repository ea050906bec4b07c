"""Versions of geobatch and of the libraries beside it, none of which is loaded for that."""

from __future__ import annotations

from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

VERSION = "0.1.0"
"""Of geobatch; the build takes it from here."""


@cache
def version_of(library: str) -> str:
    """Return the version of an installed library.

    Its metadata lie beside it, in a folder that is named by it. Where that is not so,
    `importlib.metadata` is asked, which takes longer to load than a plan takes that finds nothing.
    Source: https://packaging.python.org/en/latest/specifications/recording-installed-packages/.

    Raises:
        importlib.metadata.PackageNotFoundError: It is not installed.
    """
    spec = PathFinder.find_spec(library)
    if spec is not None and spec.origin is not None:
        beside = Path(spec.origin).parents[1].glob(f"{library}-*.dist-info")
        found = [folder.stem.removeprefix(f"{library}-") for folder in beside]
        if len(found) == 1:
            return found[0]
    from importlib.metadata import version  # noqa: PLC0415 - slow to import

    return version(library)


def install_hint(library: str) -> str:
    """Return a command that installs a library of an extra into this environment.

    geobatch itself is on no package index, so `pip install 'geobatch[...]'` would fail. An
    environment that uv made has no pip.
    """
    import shlex  # noqa: PLC0415 - seldom needed
    import sys  # noqa: PLC0415
    from importlib.metadata import requires  # noqa: PLC0415 - slow to import

    python = shlex.quote(sys.executable)
    has_pip = PathFinder.find_spec("pip") is not None
    tool = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    wanted = (line.partition(";")[0].strip() for line in requires("geobatch") or ())
    found = next((line for line in wanted if line.startswith(library)), library)
    return f"install it: `{tool} '{found}'`"
