"""What a results table says about the machine that made it: no host names, no paths."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "geobatch", "rasterio", "numpy", "imagecodecs", "zarr", "blake3",
    "tensorstore", "dask", "xarray", "rioxarray",
)  # fmt: skip


def machine_facts() -> list[tuple[str, str]]:
    """Return (name, value) pairs: processors, memory, system, interpreter, libraries."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [
        ("processors", f"{os.cpu_count()} x {_processor()}"),
        ("memory", f"{memory / 2**30:.0f} GiB"),
        ("system", f"{platform.system()} {platform.machine()}"),
        ("Python", platform.python_version()),
        ("GDAL", _gdal_version()),
        *((name, found) for name in PACKAGES if (found := _version(name))),
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    facts = {}
    for line in reversed(lines):
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    text = facts.get("model name", platform.machine())
    detail = [f"{key} {facts[key]}" for key in ("cpu family", "model") if key in facts]
    return f"{text} ({', '.join(detail)})" if detail else text


def _gdal_version() -> str:
    code = "import rasterio; print(rasterio.__gdal_version__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
