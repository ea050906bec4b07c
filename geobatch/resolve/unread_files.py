"""Files next to a raster, or images after its first one, that are not read: warnings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from geobatch.declare import Loc, RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.declare.hints import show
from geobatch.errors import Problem
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.selection import ProbedSource

_MASK, _OVERVIEWS, _METADATA, _PAGES = "mask", "overviews", "metadata", "pages"
_SUFFIXES = {".msk": _MASK, ".ovr": _OVERVIEWS, ".aux.xml": _METADATA}
_MAX_BYTES = 1 << 18
"""What GDAL's metadata says of bands stands at their beginning, before histograms."""
_SAYS = {
    "SRS": "a CRS",
    "GeoTransform": "a transform",
    "GCPList": "ground control points",
    "NoDataValue": "nodata",
    "Description": "descriptions of bands",
    "UnitType": "units",
    "Scale": "scales",
    "Offset": "offsets",
    "ColorInterp": "colours of bands",
    "ColorTable": "a colour table",
    "CategoryNames": "names of classes",
}
"""What GDAL would read from its metadata, by element; statistics and similar are omitted."""
_ELEMENT = re.compile(rf"<({'|'.join(_SAYS)})\b[^>]*>([^<]*)")
_WORDS = {
    _MASK: (
        "and is not read, though GDAL would use it as the mask",
        "make a separate tileset of it and name that tileset in `mask_bands`",
    ),
    _OVERVIEWS: (
        "and is not read: geobatch builds the levels from the raster itself",
        "nothing is lost; `silence: [unread-overviews]` in `geobatch.yaml` hides this",
    ),
    _METADATA: (
        "and is not read; it declares",
        "declare the same in the spec, such as `missing_data`, `crs` or `affine_transform`",
    ),
}


class _Found(Struct, kw_only=True):
    """Unread things of one kind, for the images of one document."""

    spec: RasterSpec
    loc: Loc
    message: str
    hint: str
    count: int = 0


class Beside:
    """Collects what is not read, over all images of a run: one warning per kind and document."""

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, str]] = {}
        self._found: dict[tuple[str, int, str], _Found] = {}
        self.ids: set[str] = set()
        """Ids of the images that the warnings are about."""

    def note(self, spec: RasterSpec, mosaics: Mapping[str, Mosaic]) -> None:
        """Check the neighbours of an image's files, and their headers."""
        for mosaic in mosaics.values():
            for source in mosaic.sources:
                if not source.driver.has_sidecars:
                    continue
                if source.probe.header.pages:
                    self._note_pages(spec, source)
                if not source.file.url:
                    self._note_files(spec, mosaics, mosaic, source)

    def warnings(self) -> Iterator[Problem]:
        """Yield a warning for each kind of thing and each document."""
        for (_, _, kind), one in self._found.items():
            alike = f" (the same holds for {one.count:,} files)" if one.count > 1 else ""
            yield from warning(one.spec, one.loc, f"unread-{kind}", one.message + alike, one.hint)

    def is_alone(self, path: str) -> bool:
        """Return whether no file beside a raster is like one that would be noted."""
        folder, _, name = path.rpartition("/")
        sidecars = self._sidecars(folder or "/")
        if not sidecars:
            return True
        lower = name.lower()
        stem = os.path.splitext(lower)[0]  # noqa: PTH122
        return not any(base + suffix in sidecars for base in (lower, stem) for suffix in _SUFFIXES)

    def _note_pages(self, spec: RasterSpec, source: ProbedSource) -> None:
        file, pages = source.file, source.probe.header.pages
        images = "another image" if pages == 1 else f"{pages} other images"
        message = f"{source.shown} holds {images} (pages); only the first image is read"
        hint = (
            "write each to a separate file, for example with"
            f" `gdal_translate GTIFF_DIR:2:{file.path.name} page_2.tif`"
        )
        self._add(_PAGES, spec, source, words=(message, hint))

    def _note_files(
        self,
        spec: RasterSpec,
        mosaics: Mapping[str, Mosaic],
        mosaic: Mosaic,
        source: ProbedSource,
    ) -> None:
        folder, name = os.path.split(source.file.path)
        sidecars = self._sidecars(folder)
        if not sidecars:
            return
        lower = name.lower()
        for suffix, kind in _SUFFIXES.items():
            beside = sidecars.get(lower + suffix)
            if beside is None and kind is _OVERVIEWS:
                beside = sidecars.get(os.path.splitext(lower)[0] + suffix)  # noqa: PTH122
            path = Path(folder, beside or "")
            every = (one for other in mosaics.values() for one in other.sources)
            if beside is None or any(path == one.file.path for one in every):
                continue
            if kind is _MASK and any(not mask.band_ids for mask in spec.mask_bands):
                continue
            what, hint = _WORDS[kind]
            if kind is _METADATA:
                allowed = spec.project.allowed
                if allowed is not None and not allowed.holds(path):
                    continue
                says = _says(path, mosaic, source)
                if not says:
                    continue
                what = f"{what} {says}"
            message = f"`{beside}` is next to {source.shown} {what}"
            self._add(kind, spec, source, words=(message, hint))

    def _add(
        self,
        kind: str,
        spec: RasterSpec,
        source: ProbedSource,
        *,
        words: tuple[str, str],
    ) -> None:
        path, line, _ = spec.where()
        made = _Found(spec=spec, loc=source.loc, message=words[0], hint=words[1])
        self._found.setdefault((path, line, kind), made).count += 1
        self.ids.add(spec.id)

    def _sidecars(self, folder: str) -> dict[str, str]:
        """Return the sidecars in a folder, by their names in small letters; it is listed once."""
        known = self._folders.get(folder)
        if known is None:
            names: list[str] = []
            with suppress(OSError):
                names = os.listdir(folder)  # noqa: PTH208 - names alone, of 100,000 files
            known = {name.lower(): name for name in names if name.lower().endswith((*_SUFFIXES,))}
            self._folders[folder] = known
        return known


def _says(path: Path, mosaic: Mosaic, source: ProbedSource) -> str:
    """Return what only GDAL's metadata declares, not the spec or the file; empty for nothing."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return "something that cannot be read"
    found: dict[str, str] = {}
    for name, value in _ELEMENT.findall(text):
        found.setdefault(name, value.strip())
    nodata = found.get("NoDataValue")
    is_own = nodata is not None and _is_number(nodata, source.probe.header.nodata[0])
    if mosaic.has_missing or is_own:
        found.pop("NoDataValue", None)
    if mosaic.declared.crs is not None:
        found.pop("SRS", None)
    if source.declared.affine_transform is not None:
        found.pop("GeoTransform", None)
        found.pop("GCPList", None)
    words = (
        f"{_SAYS[name]} {show(value)}"
        if name == "NoDataValue" and _is_float(value)
        else _SAYS[name]
        for name, value in found.items()
    )
    return ", ".join(words)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_number(text: str, value: float | None) -> bool:
    try:
        return value is not None and repr(float(text)) == repr(float(value))
    except ValueError:
        return False
