"""An asset as a Cloud Optimized GeoTIFF, whose overviews are its own levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geobatch.errors import ExportError
from geobatch.export.cog_levels import (
    MaskKind,
    Progress,
    level_windows,
    mask_kind,
    write_levels,
)
from geobatch.export.destination import Destination
from geobatch.export.selection import Selection
from geobatch.model.asset import Asset, Band
from geobatch.raster.cog import CogBand, CogHeader, write_cog
from geobatch.store.tilestore import TileStore

_SUFFIXES = (".tif", ".tiff")
_PALETTE_DTYPES = ("uint8", "uint16")


@dataclass(frozen=True, slots=True, kw_only=True)
class CogExport:
    """What an export wrote."""

    path: Path
    """The file."""
    overviews: int
    """Overviews, each a level of the asset bit for bit."""
    levels: int
    """Levels of the asset above the one that is exported."""
    mask: MaskKind
    """How masked pixels are told."""
    interleave: str
    """How bands are: `band`, or `pixel` where GDAL is too old."""
    without_palette: tuple[str, ...]
    """Bands whose colour table this GeoTIFF cannot hold."""

    @property
    def bytes(self) -> int:
        """Bytes of the file."""
        return self.path.stat().st_size


def export_cog(
    store: TileStore,
    selection: Selection,
    destination: Destination,
    *,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress = lambda *_: None,
) -> CogExport:
    """Write a selection as one COG; its overviews are copied from the levels above, not computed.

    At any time there are at most 32 MiB of pixels with their masks, or a block of all bands, and
    128 MiB of decoded tiles; on disk, beside the COG, its levels without compression.

    Args:
        store: The store.
        selection: What to export.
        destination: Folder and name of the file, with or without `.tif`.
        overwrite: Whether a file that is there is replaced.
        workers: Threads that compress.
        progress: Told of pixels that are read, all levels together.

    Raises:
        ExportError: The bands cannot stand in one GeoTIFF, a file is in the way, or the disk
            refused.
        CorruptObjectError: A tile is damaged; no file is written.
        InterruptedRunError: The user stopped the run.
    """
    asset, bands = selection.record.asset, selection.bands
    _check_one_dtype(asset, bands)
    is_named = destination.prefix.lower().endswith(_SUFFIXES)
    name = destination.prefix if is_named else f"{destination.prefix}.tif"
    names = re.compile(re.escape(name))
    destination.check_free(names, overwrite=overwrite)
    levels = level_windows(selection)
    with destination.writing() as hidden:
        kind = mask_kind(bands)
        paths = write_levels(store, selection, levels, hidden, kind=kind, progress=progress)
        if paths is None:
            kind = MaskKind.INTERNAL
            paths = write_levels(store, selection, levels, hidden, kind=kind, progress=progress)
        header = _header(selection, kind)
        interleave = write_cog(hidden / name, paths or [], header, workers=workers)
        (path,) = destination.publish([hidden / name], replaced=names)
    count = asset.grid(bands[0].grid).geobox.level_count
    return CogExport(
        path=path,
        overviews=len(levels) - 1,
        levels=count - 1 - selection.level,
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
            f"the bands of `{asset.id}` have {len(dtypes)} pixel types, a GeoTIFF one: {listed}",
            hint=f"export the bands of one type at a time: `--bands {first}`",
        )


def _header(selection: Selection, kind: MaskKind) -> CogHeader:
    bands = selection.bands
    can_have_palette = len(bands) == 1 and kind is not MaskKind.ALPHA
    alpha = (CogBand(name="alpha", is_alpha=True),) if kind is MaskKind.ALPHA else ()
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
                )
                for band in bands
            ),
            *alpha,
        ),
        nodata=bands[0].fill if kind is MaskKind.NODATA else None,
        has_mask=kind is MaskKind.INTERNAL,
        metadata=_asset_items(selection.record.asset),
    )


def _asset_items(asset: Asset) -> tuple[tuple[str, str], ...]:
    """Return times and properties as metadata items.

    A colon in a key would end it for GDAL's readers. A property that bears the name of a time is
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
