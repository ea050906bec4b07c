"""Count the functions of geobatch that pass the uri of a source on, while a program runs.

    uv run python benchmarks/count_journey.py               # the three numbers
    uv run python benchmarks/count_journey.py --list        # and the functions

`sys.setprofile` sees each call and return in `geobatch` during `apply` of a new TIFF, a COG of an
external image, and an export, until the first pixels are read (of the COG: until the commit). A
value carries the uri if it is a text or path that ends with the file's name, a struct with such a
field, or a struct within it; also in a list, tuple or mapping of up to 16. A function is counted
once, over all three. docs/decisions/040-drivers-answer.md has the numbers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from inspect import CO_VARARGS, CO_VARKEYWORDS
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgspec
import numpy as np
import rasterio
from rasterio.shutil import copy as copy_raster

import geobatch

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = os.fspath(ROOT / "geobatch") + os.sep
BARE = ("str", "Path")
NESTED, MANY = 4, 16
SPECS = {
    "scene.tif": "kind: image\nid: a/tiff\ntilesets: [{id: t, sources: [{uris: [scene.tif]}]}]\n",
    "scene-cog.tif": (
        "kind: external_image\nid: a/cog\ntilesets: [{id: t, sources: [{uris: [scene-cog.tif]}]}]\n"
    ),
    "predictions": (
        "kind: image\nid: a/export\ntilesets:\n  - id: t\n"
        "    sources: [{uris: ['predictions-*.tfrecord.gz', predictions-mixer.json]}]\n"
        "    tfrecord: {kernel_size: [16, 16], features: [forest]}\n"
        "bands: [{id: forest, feature: forest}]\n"
    ),
}


class Journey:
    """What each function received and returned."""

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.received: dict[CodeType, set[str]] = defaultdict(set)
        self.returned: dict[CodeType, set[str]] = defaultdict(set)
        self._is_over = False

    def follow(self, folder: Path, names: tuple[str, ...]) -> None:
        """Apply the spec in a folder, and count the functions that names of files pass."""
        self.names, self._is_over = names, False
        threading.setprofile(self._see)
        sys.setprofile(self._see)
        try:
            geobatch.apply(folder / "spec.yaml", store=folder / "store", workers=1)
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _see(self, frame: FrameType, event: str, value: Any) -> None:
        code = frame.f_code
        if self._is_over or event not in {"call", "return"}:
            return
        if not code.co_filename.startswith(PACKAGE) or code.co_name.startswith("<"):
            return
        found = self.received if event == "call" else self.returned
        values = _arguments(frame) if event == "call" else (value,)
        for one in values:
            found[code].update(self._forms(one, NESTED))
        if event == "return" and code.co_qualname == "Sources.read":
            self._is_over = True

    def _forms(self, value: Any, depth: int) -> Iterator[str]:
        """Yield how a value carries the name: its type, or those of what is in it."""
        if isinstance(value, str | Path):
            if os.fspath(value).endswith(self.names):
                yield "Path" if isinstance(value, Path) else "str"
        elif depth:
            inner = (form for one in _parts(value) for form in self._forms(one, depth - 1))
            if not isinstance(value, msgspec.Struct):
                yield from inner
            elif any(True for _ in inner):
                yield type(value).__name__


def _parts(value: Any) -> tuple[Any, ...]:
    """Return what is in a struct, or in a small list, tuple or mapping."""
    if isinstance(value, msgspec.Struct):
        return tuple(getattr(value, name, None) for name in value.__struct_fields__)
    if not isinstance(value, dict | list | tuple) or len(value) > MANY:
        return ()
    return (*value, *value.values()) if isinstance(value, dict) else tuple(value)


def _arguments(frame: FrameType) -> list[Any]:
    code = frame.f_code
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & CO_VARARGS) + bool(code.co_flags & CO_VARKEYWORDS)
    return [frame.f_locals.get(name) for name in code.co_varnames[:count]]


def make_sources(folder: Path) -> None:
    """Write a TIFF and a COG, and copy the export of the examples."""
    pixels = np.arange(600 * 600, dtype=np.uint16).reshape(1, 600, 600)
    profile = {
        "driver": "GTiff", "width": 600, "height": 600, "count": 1, "dtype": "uint16",
        "crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    }  # fmt: skip
    with rasterio.open(folder / "scene.tif", "w", **profile) as file:
        file.write(pixels)
    copy_raster(folder / "scene.tif", folder / "scene-cog.tif", driver="COG", BLOCKSIZE=512)
    for path in (ROOT / "specs" / "data").glob("predictions-*"):
        shutil.copy(path, folder)


def name_of(code: CodeType) -> str:
    """Return module and name of a function."""
    return f"{code.co_filename.removeprefix(PACKAGE)}:{code.co_firstlineno} {code.co_qualname}"


def main() -> None:
    """Print how many functions there are of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="print the functions, too")
    is_listed = parser.parse_args().list
    journey = Journey()
    with tempfile.TemporaryDirectory() as made:
        for name, text in SPECS.items():
            folder = Path(made) / name.partition(".")[0]
            folder.mkdir()
            make_sources(folder)
            (folder / "spec.yaml").write_text(text)
            files = tuple(path.name for path in folder.glob(f"{name}*") if path.is_file())
            journey.follow(folder, files)
    received, returned = journey.received, journey.returned
    every = {code for code in (*received, *returned) if received[code] or returned[code]}
    kinds = {
        "receive the bare uri or path": {
            code for code in every if received[code].intersection(BARE)
        },
        "return it in a form that they did not receive": {
            code for code in every if returned[code] - received[code]
        },
        "receive or return it in any form": every,
    }
    for what, codes in kinds.items():
        print(f"{len(codes):4} functions {what}")
        for code in sorted(codes, key=name_of) if is_listed else ():
            forms = (", ".join(sorted(one[code])) or "-" for one in (received, returned))
            print(f"       {name_of(code)}: {' -> '.join(forms)}")


if __name__ == "__main__":
    main()
