"""What is known of the checks of an asset: from its grids, and from counts of its pixels. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from geobatch.model.assets.asset import AnyImage
from geobatch.model.assets.image import Image, Raster
from geobatch.model.checks.check import Check, CheckKind, number_text
from geobatch.model.checks.measure import BandMeasures, Measure
from geobatch.model.checks.result import Basis, CheckResult, Status
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.model.plans.plan import AssetChange, BandWork, Start
from geobatch.model.published import AssetRecord, BandTiles

_CLOSE = 1e-6
"""Relative difference of sizes of pixels that counts as none: a tenth of a pixel in 100,000."""


def grid_results(asset: Raster) -> Iterator[CheckResult]:
    """Yield the results of the checks that need no pixel, for each grid of their bands."""
    for index, check in enumerate(asset.checks):
        if check.kind.is_of_pixels:
            continue
        for grid in asset.grids:
            bands = [name for name in check.bands if asset.band(name).grid == grid.name]
            if bands:
                found, is_right = _of_grid(check, grid.geobox)
                names = ", ".join(f"`{name}`" for name in bands)
                yield CheckResult(
                    index=index,
                    kind=check.kind,
                    severity=check.severity,
                    subject=names,
                    expected=check.expected,
                    status=Status.PASSED if is_right else Status.FAILED,
                    found=found,
                )


def _of_grid(check: Check, box: GeoBox) -> tuple[str, bool]:
    if check.kind is CheckKind.CRS:
        return f"`{box.crs.identity}`", box.crs.identity == check.limit
    a, b, _, d, e, _ = box.transform
    sizes = (math.hypot(a, d), math.hypot(b, e))
    pairs = zip(sizes, check.values, strict=True)
    is_right = all(math.isclose(size, wanted, rel_tol=_CLOSE) for size, wanted in pairs)
    return f"`[{', '.join(number_text(size) for size in sizes)}]`", is_right


def pending_results(
    change: AssetChange, record: AssetRecord | None, known: Mapping[Digest, BandTiles]
) -> Iterator[CheckResult]:
    """Yield the checks of pixels that executing a change answers, and what they are computed from.

    Args:
        change: What happens to the asset.
        record: The published asset of the same id, if there is one.
        known: Tiles of finished bands that are taken over, by pyramid fingerprint.
    """
    asset = change.asset
    for index, check in enumerate(asset.checks if isinstance(asset, Image) else ()):
        for name in check.bands if check.kind.is_of_pixels else ():
            yield CheckResult(
                index=index,
                kind=check.kind,
                severity=check.severity,
                subject=f"`{name}`",
                expected=check.expected,
                status=Status.PENDING,
                basis=_basis(check, name, change, record, known),
            )


def _basis(
    check: Check,
    band_id: str,
    change: AssetChange,
    record: AssetRecord | None,
    known: Mapping[Digest, BandTiles],
) -> Basis:
    if check.kind is CheckKind.MAX_CHANGED:
        return Basis.CHANGES if published_band(record, band_id) else Basis.NOTHING
    work = next((one for one in change.work if one.band == band_id), None)
    if work is not None and is_ingested_whole(work):
        return Basis.SOURCES
    base = dict(change.carried).get(band_id) if work is None else work.base
    if base is None or not is_counted(check, base, record, known):
        return Basis.TILES
    return Basis.CHANGES if work is not None and work.start is Start.SOURCES else Basis.COUNTS


def is_counted(
    check: Check,
    base: tuple[str, str],
    record: AssetRecord | None,
    known: Mapping[Digest, BandTiles],
) -> bool:
    """Return whether the stored band that a band builds upon has the counts of a check."""
    asset_id, name = base
    if not asset_id:
        return check.measure in dict(known[name].measures)
    return record is not None and check.measure in dict(dict(record.measures).get(name, ()))


def is_ingested_whole(work: BandWork) -> bool:
    """Return whether every level-0 tile of a band is computed from the sources."""
    rows, cols = work.tiles.shape
    return work.start is Start.SOURCES and work.tiles.count == rows * cols


def published_band(record: AssetRecord | None, band_id: str) -> bool:
    """Return whether a published image has a band of an id, in tiles."""
    if record is None or not isinstance(record.asset, Image):
        return False
    return any(band.id == band_id for band in record.asset.bands)


def pixel_results(
    asset: AnyImage,
    measures: BandMeasures,
    changed: Mapping[str, Measure],
    inside: Mapping[str, int],
) -> Iterator[CheckResult]:
    """Yield the results of the checks of pixels.

    Args:
        asset: The asset, whose tiles are all put.
        measures: What was counted of each band: of `max_masked`, the valid pixels.
        changed: How many pixels differ from the published ones; without bands not published.
        inside: How many pixels each grid has, inside the footprint if it has one.
    """
    for index, check in enumerate(asset.checks):
        for name in check.bands if check.kind.is_of_pixels else ():
            pixels = inside[asset.band(name).grid]
            if check.kind is CheckKind.MAX_CHANGED:
                measure = changed.get(name)
            else:
                measure = measures[name][check.measure]
            yield _of_pixels(index, check, name, measure, pixels)


def _of_pixels(
    index: int, check: Check, name: str, measure: Measure | None, pixels: int
) -> CheckResult:
    found, first, count = "", None, None
    is_right = True
    if measure is None:
        found, shown = "no published pixels to compare with", None
    else:
        count = measure.count
        if check.kind is CheckKind.MAX_CHANGED:
            pixels = max(pixels, count)  # those outside the footprint may change, too
        if check.kind is CheckKind.MAX_MASKED:
            count = pixels - count
        found, is_right = _of_count(check, count, pixels)
        shown = measure.first if count else None
    if shown is not None:
        first = (shown.row, shown.col)
        value = "" if check.kind is CheckKind.MAX_CHANGED else f"`{number_text(shown.value)}` "
        found += f", the first {value}at row {shown.row:,}, column {shown.col:,}"
    return CheckResult(
        index=index,
        kind=check.kind,
        severity=check.severity,
        subject=f"`{name}`",
        expected=check.expected,
        status=Status.PASSED if is_right else Status.FAILED,
        found=found,
        count=count,
        pixels=None if count is None else pixels,
        first=first,
    )


def _of_count(check: Check, count: int, pixels: int) -> tuple[str, bool]:
    if check.kind in (CheckKind.RANGE, CheckKind.CLASSES):
        word = "outside" if check.kind is CheckKind.RANGE else "of no class"
        return f"{count:,} of {pixels:,} pixels are {word}", count == 0
    word = "masked" if check.kind is CheckKind.MAX_MASKED else "changed"
    share = Fraction(count, pixels) if pixels else Fraction()
    percent = _percent(share, check.share)
    return f"{percent} ({count:,} of {pixels:,} pixels) are {word}", share <= check.share


def _percent(share: Fraction, limit: Fraction) -> str:
    """Return a share with as many digits as show on which side of the limit it is."""
    for digits in (2, 4, 6):
        text = f"{float(share * 100):.{digits}f}"
        shown = Fraction(text) / 100
        if (shown > limit) == (share > limit):
            break
    return f"{text}%"
