"""An asset as a Cloud Optimized GeoTIFF, whose overviews are its own levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import ExportError
from geobatch.exports.cog_levels import (
    MaskKind,
    Progress,
    level_windows,
    mask_kind,
    write_levels,
)
from geobatch.exports.destination import Destination
from geobatch.exports.options import COMPRESSIONS
from geobatch.exports.selection import Selection
from geobatch.model.assets.asset import Asset, Band
from geobatch.sources.cog.writer import BLOCK, CogBand, CogHeader, write_cog
from geobatch.store.tilestore import TileStore

_SUFFIXES = ("tif", "tiff")
_PALETTE_DTYPES = ("uint8", "uint16")
_COLOURS = {"red": "Red", "green": "Green", "blue": "Blue", "r": "Red", "g": "Green", "b": "Blue"}
"""GDAL's colours by the ids of bands, in lowercase."""


class CogFile(Struct, frozen=True, kw_only=True):
    """One file of an export."""

    path: Path
    """The file."""
    overviews: int
    """Overviews, each a level of the asset bit for bit."""
    mask: MaskKind
    """How masked pixels are marked."""
    interleave: str
    """How bands are: `band`, or `pixel` where GDAL is too old."""
    without_palette: tuple[str, ...]
    """Bands whose colour table this GeoTIFF cannot hold."""


class CogExport(Struct, frozen=True, kw_only=True):
    """What an export wrote."""

    files: tuple[CogFile, ...]
    """The files, row by row."""
    levels: int
    """Levels of the asset above the one that is exported."""

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.path.stat().st_size for file in self.files)


def export_cog(
    store: TileStore,
    selection: Selection,
    destination: Destination,
    *,
    file_dimensions: tuple[int, int] | None = None,
    compression: str = COMPRESSIONS[0],
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> CogExport:
    """Write a selection as COGs; their overviews are copied from the levels above, not computed.

    At any time there are at most 32 MiB of pixels with their masks, or a block of all bands, and
    128 MiB of decoded tiles; on disk, beside the COG, its levels without compression.

    Args:
        store: The store.
        selection: What to export.
        destination: Folder and name of the file, with or without `.tif`.
        file_dimensions: (width, height) of a file, each a multiple of 512; by default there is one
            file. Several are named by the row and the column of their first pixel.
        compression: One of `zstd`, `deflate`, `lzw` and `none`; all keep every bit.
        overwrite: Whether files that are there are replaced.
        workers: Threads that decode, then threads that compress.
        progress: Told of pixels that are read, of all levels and files together.

    Raises:
        ExportError: The bands do not fit into one GeoTIFF, a file is in the way, or the disk
            refused.
        CorruptObjectError: A tile is damaged; no file is written.
        InterruptedRunError: The user stopped the run.
    """
    asset, bands = selection.record.image, selection.bands
    _check_one_dtype(asset, bands)
    stem, suffix = _stem(destination.prefix)
    names = re.compile(rf"{re.escape(stem)}(-\d{{10}}-\d{{10}})?{re.escape(suffix)}")
    parts = _parts(selection, file_dimensions)
    destination.check_free(names, overwrite=overwrite)
    count = _Count(total=sum(_pixels(part) for part in parts.values()), progress=progress)
    made = []
    with destination.writing() as hidden:
        for place, part in parts.items():
            path = hidden / f"{stem}{place}{suffix}"
            made.append(
                _write(
                    store, part, path,
                    workers=workers, compression=compression, progress=count.add,
                )
            )  # fmt: skip
            count.done += _pixels(part)
        placed = destination.publish([file.path for file in made], replaced=names)
    return CogExport(
        files=tuple(replace(file, path=path) for file, path in zip(made, placed, strict=True)),
        levels=selection.grid.level_count - 1 - selection.level,
    )


class _Count(Struct, kw_only=True):
    """Adds up the pixels of files."""

    total: int
    progress: Progress
    done: int = 0

    def add(self, done: int, _: int) -> None:
        self.progress(self.done + done, self.total)


def _pixels(selection: Selection) -> int:
    return sum(part.window.height * part.window.width for part in level_windows(selection))


def _stem(prefix: str) -> tuple[str, str]:
    """Return the name of a file and its suffix, `.tif` where it has none."""
    stem, dot, suffix = prefix.rpartition(".")
    return (stem, f".{suffix}") if dot and suffix.lower() in _SUFFIXES else (prefix, ".tif")


def _parts(selection: Selection, file_dimensions: tuple[int, int] | None) -> dict[str, Selection]:
    """Return what goes into each file, by what its name adds to the prefix."""
    window = selection.window
    width, height = file_dimensions or (window.width, window.height)
    if file_dimensions is not None and (width % BLOCK or height % BLOCK or not width * height):
        raise ExportError(
            f"`fileDimensions` are {width} x {height} pixels, expected multiples of {BLOCK}",
            hint="then the blocks and overviews of neighbouring files align",
        )
    if width >= window.width and height >= window.height:
        return {"": selection}
    return {
        f"-{part.row - window.row:010}-{part.col - window.col:010}": replace(selection, window=part)
        for part in window.parts((height, width))
    }


def _write(
    store: TileStore,
    selection: Selection,
    path: Path,
    *,
    workers: int,
    compression: str,
    progress: Progress,
) -> CogFile:
    """Write one file."""
    bands, levels = selection.bands, level_windows(selection)
    kind = mask_kind(bands)
    write = partial(
        write_levels, store, selection, levels, path.parent, workers=workers, progress=progress
    )
    paths = write(kind=kind)
    if paths is None:
        kind = MaskKind.INTERNAL
        paths = write(kind=kind)
    header = _header(selection, kind)
    interleave = write_cog(path, paths or [], header, workers=workers, compression=compression)
    return CogFile(
        path=path,
        overviews=len(levels) - 1,
        mask=kind,
        interleave=interleave,
        without_palette=tuple(
            band.id
            for band, said in zip(bands, header.bands, strict=False)
            if band.palette and not said.palette
        ),
    )


def _check_one_dtype(asset: Asset, bands: Sequence[Band]) -> None:
    dtypes: dict[str, list[str]] = {}
    for band in bands:
        dtypes.setdefault(band.dtype, []).append(band.id)
    if len(dtypes) > 1:
        listed = "; ".join(f"{dtype}: {', '.join(ids)}" for dtype, ids in dtypes.items())
        first = ",".join(next(iter(dtypes.values())))
        raise ExportError(
            f"the bands of `{asset.id}` have {len(dtypes)} pixel types, "
            f"but a GeoTIFF has only one: {listed}",
            hint=f"export the bands of one type at a time: `--bands {first}`",
        )


def _header(selection: Selection, kind: MaskKind) -> CogHeader:
    bands = selection.bands
    can_have_palette = len(bands) == 1 and kind is not MaskKind.ALPHA
    alpha = (CogBand(name="alpha", is_alpha=True),) if kind is MaskKind.ALPHA else ()
    colours = _colours(bands)
    return CogHeader(
        geobox=selection.geobox,
        dtype=bands[0].dtype,
        bands=(
            *(
                CogBand(
                    name=band.id,
                    unit=band.unit,
                    scale=band.scale,
                    offset=band.offset,
                    palette=band.palette
                    if can_have_palette and band.dtype in _PALETTE_DTYPES
                    else None,
                    metadata=_band_items(band),
                    colour=colour,
                )
                for band, colour in zip(bands, colours, strict=True)
            ),
            *alpha,
        ),
        nodata=bands[0].fill if kind is MaskKind.NODATA else None,
        has_mask=kind is MaskKind.INTERNAL,
        metadata=_asset_items(selection.record.asset),
    )


def _colours(bands: Sequence[Band]) -> list[str]:
    """Return GDAL's colour of each band: red, green and blue if all three are there."""
    found = [_COLOURS.get(band.id.lower(), "Undefined") for band in bands]
    is_complete = all(found.count(colour) == 1 for colour in ("Red", "Green", "Blue"))
    return found if is_complete else ["Gray"] * len(bands)


def _asset_items(asset: Asset) -> tuple[tuple[str, str], ...]:
    """Return times and properties as metadata items.

    A colon in a key would end it for GDAL's readers. A property that has the name of a time is
    told from it.
    """
    times = {"start_time": asset.start_time, "end_time": asset.end_time}
    items = {name: time for name, time in times.items() if time is not None}
    for key, value in asset.properties:
        name = f"property_{key}" if key in times else key.replace(":", "_")
        items[name] = str(value)
    return tuple(items.items())


def _band_items(band: Band) -> tuple[tuple[str, str], ...]:
    items = [("pyramiding_policy", band.policy.value)]
    if band.description and band.description != band.id:
        items.append(("description", band.description))
    return tuple(items)
