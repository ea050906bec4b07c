"""Optional libraries, and the command that installs one: geobatch itself is on no package index."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from shlex import quote
from typing import Literal

LIBRARIES = {
    "dask": ("distributed>=2025.1",),
    "geometry": ("shapely>=2.0",),
    "gs": ("google-auth[requests]>=2.30",),
    "s3": ("boto3>=1.34",),
    "serve": ("starlette>=1.0", "uvicorn>=0.34"),
    "stac": ("rustac>=0.9",),
    "table": ("pyarrow>=18",),
    "tfrecord": ("tensorflow>=2.18",),
    "xarray": ("xarray>=2025.1",),
}
"""What each extra of `pyproject.toml` requires."""


def install_hint(
    extra: Literal["dask", "geometry", "gs", "s3", "serve", "stac", "table", "tfrecord", "xarray"],
) -> str:
    """Return a hint with a command that works in any folder.

    It names the Python that runs: environments made by uv have no pip of their own.
    """
    python = quote(sys.executable)
    has_pip = PathFinder.find_spec("pip") is not None
    note = ""
    if extra == "tfrecord" and sys.version_info >= (3, 14):
        note = "; TensorFlow may have no release for this Python yet: then use Python 3.13"
    installer = f"{python} -m pip install" if has_pip else f"uv pip install --python {python}"
    libraries = " ".join(map(quote, LIBRARIES[extra]))
    return f"install it: `{installer} {libraries}`{note}"
