"""Rules for COGs that are read in place, and the state to which each is pinned."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.errors import PlanError
from geobatch.model.geobox import ceil_div
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Pin, Plane
from geobatch.model.sources.probe import Probe
from geobatch.sources.driver import InPlace, Weaknesses
from geobatch.sources.gdal_commands import quoted_input, quoted_output

SIDES = (256, 512, 1024, 2048)
"""Sides that the tiles of a COG may have."""
HEADER_LIMIT = 10_000_000
"""Bytes within which Earth Engine searches for the metadata of a COG."""


class CogRules(InPlace):
    """What COGs of external images must be, and what is pinned of them."""

    def check(self, probe: Probe) -> None:
        """Check what a COG must be; see `InPlace.check`.

        Source: Earth Engine's guide to COG-backed assets.
        """
        problems = list(_problems(_layout(probe)))
        if problems:
            raise PlanError(
                f"`{probe.header.uri}` is not a COG that can be read in place: "
                f"{'; '.join(problems)}",
                hint=_rewrite(probe.header),
            )

    def weaknesses(self, probe: Probe) -> Weaknesses | None:
        """Return what a COG should have and lacks; see `InPlace.weaknesses`."""
        weak = list(_weaknesses(probe))
        if not weak:
            return None
        is_rewritten = any(fixes for _, fixes in weak)
        return Weaknesses(
            message="; ".join(text for text, _ in weak),
            hint=_rewrite(probe.header) if is_rewritten else "use larger tiles",
        )

    def level_shapes(self, probe: Probe) -> tuple[tuple[int, int], ...]:
        """Return (rows, columns) of each level; see `InPlace.level_shapes`."""
        return tuple((plane.height, plane.width) for plane in _planes(probe))

    def tile_side(self, probe: Probe) -> int:
        """Return the side of the largest tile; see `InPlace.tile_side`."""
        return max(plane.block[0] for plane in _planes(probe))

    def pin(self, source: DeclaredSource, probe: Probe, *, levels: int) -> Pin:
        """Return the state of a COG that an asset shows; see `InPlace.pin`."""
        layout, remote = _layout(probe), probe.remote
        found = probe.digest if remote is None else remote.generation
        return Pin(
            generation=source.generation or found,
            location=source.url,
            header_bytes=layout.header_bytes,
            overviews=_numbers(probe)[1:levels],
            is_interleaved=probe.header.is_pixel_interleaved,
            remote=remote,
        )


def _layout(found: Probe) -> CogLayout:
    """Return the layout of a COG, which every source of an external image has."""
    if found.layout is None:
        raise PlanError(f"`{found.header.uri}`: was not read as a COG")
    return found.layout


def _numbers(found: Probe) -> tuple[int, ...]:
    return _layout(found).levels(is_masked=found.header.mask == "internal")


def _planes(found: Probe) -> tuple[Plane, ...]:
    """Return the images of a COG that are its levels."""
    layout = _layout(found)
    return tuple(layout.planes[number] for number in _numbers(found))


def _problems(layout: CogLayout) -> Iterator[str]:
    """Yield the rules that a layout breaks: of its tiles the first, and of its directories."""
    for number, plane in enumerate(layout.planes):
        rows, cols = plane.block
        what = f"overview {number}, " if number else ""
        size = f"{what}{plane.width} x {plane.height}"
        if not rows:
            yield f"it is in strips ({size}), expected square tiles"
            break
        if rows != cols or rows not in SIDES:
            sides = ", ".join(map(str, SIDES[:-1]))
            yield (
                f"it has tiles of {cols} x {rows} ({size}), expected squares of {sides} or"
                f" {SIDES[-1]}"
            )
            break
    if layout.data_start and layout.header_bytes > layout.data_start:
        yield (
            f"a directory ends at byte {layout.header_bytes:,}, after the first pixels at"
            f" {layout.data_start:,}; expected all of them at the beginning of the file"
        )


def _weaknesses(found: Probe) -> Iterator[tuple[str, bool]]:
    """Yield what a COG should have and lacks, each with whether rewriting it helps."""
    header, layout = found.header, _layout(found)
    full = layout.planes[0]
    if full.block[0] < 512 < max(full.height, full.width):
        yield f"it has tiles of {full.block[0]}, which cause many small reads", True
    planes = _planes(found)
    odd = [p for level, p in enumerate(planes) if not _is_half(full, p, level)]
    if odd:
        sizes = ", ".join(f"{plane.width} x {plane.height}" for plane in odd)
        yield f"it has overviews that are not half of the one before: {sizes}", True
    if len(planes) < len(layout.planes):
        count = len(layout.planes) - len(planes)
        yield f"{count} of its overviews are not used: they lack its mask", True
    elif len(planes) == 1 and max(full.height, full.width) > full.block[0]:
        yield "it has no overviews, so level 0 is the only one", True
    if header.is_pixel_interleaved:
        yield "it interleaves its bands by pixel: reading one band reads them all", True
    if layout.header_bytes > HEADER_LIMIT:
        size = f"{layout.header_bytes:,} bytes"
        limit = f"the {HEADER_LIMIT:,} in which Earth Engine searches for them"
        yield f"its metadata takes {size}, more than {limit}", False


def _is_half(full: Plane, plane: Plane, level: int) -> bool:
    """Return whether a level halves the one before; GDAL rounds up or down."""
    sides = ((full.height, plane.height), (full.width, plane.width))
    return all(side in (size >> level, ceil_div(size, 1 << level), 1) for size, side in sides)


def _rewrite(header: Header) -> str:
    """Return the hint with the command that makes a good COG of a file."""
    predictor = 3 if header.dtypes[0].startswith("float") else 2
    source, target = quoted_input(header), quoted_output(header, "_cog")
    return (
        "rewrite it, with GDAL 3.11 or newer: "
        f"`gdal_translate {source} {target} -of COG -co OVERVIEWS=IGNORE_EXISTING"
        f" -co COMPRESS=ZSTD -co LEVEL=22 -co PREDICTOR={predictor} -co INTERLEAVE=BAND`"
    )
