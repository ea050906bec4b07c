"""Rules for COGs that are read in place, and the state to which each is pinned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geobatch.errors import PlanError
from geobatch.model.geobox import ceil_div
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.model.sources.pin import CogLayout, Pin, Plane
from geobatch.model.sources.probe import Probe
from geobatch.sources.driver import InPlace, InPlaceState, Weaknesses
from geobatch.sources.gdal.commands import quoted_files

SIDES = (256, 512, 1024, 2048)
"""Sides that the tiles of a COG may have."""
HEADER_LIMIT = 10_000_000
"""Bytes within which Earth Engine searches for the metadata of a COG."""


class CogRules(InPlace):
    """What COGs of external images must be, and what is pinned of them."""

    def state(self, source: DeclaredSource, probe: Probe) -> InPlaceState:
        """Return the state of a COG; see `InPlace.state`.

        Source: Earth Engine's guide to COG-backed assets.
        """
        header, layout, remote = probe.header, probe.layout, probe.remote
        if layout is None:
            raise PlanError(f"`{header.uri}`: was not read as a COG")
        command = _rewrite(header)
        problems = list(_problems(layout))
        if problems:
            raise PlanError(
                f"`{header.uri}` is not a COG that can be read in place: {'; '.join(problems)}",
                hint=command,
            )
        numbers = layout.levels(is_masked=header.mask == "internal")
        planes = [layout.planes[number] for number in numbers]
        weak = list(_weaknesses(layout, planes, is_interleaved=header.is_pixel_interleaved))
        found = probe.digest if remote is None else remote.generation
        return InPlaceState(
            shapes=tuple((plane.height, plane.width) for plane in planes),
            tile=max(plane.block[0] for plane in planes),
            pin=Pin(
                generation=source.generation or found,
                location=source.url,
                header_bytes=layout.header_bytes,
                overviews=numbers[1:],
                is_interleaved=header.is_pixel_interleaved,
                remote=remote,
            ),
            weaknesses=Weaknesses(
                message="; ".join(text for text, _ in weak),
                hint=command if any(fixes for _, fixes in weak) else "use larger tiles",
            )
            if weak
            else None,
        )


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


def _weaknesses(
    layout: CogLayout, planes: Sequence[Plane], *, is_interleaved: bool
) -> Iterator[tuple[str, bool]]:
    """Yield what a COG should have and lacks, each with whether rewriting it helps.

    Args:
        layout: Its layout.
        planes: Its images that are levels.
        is_interleaved: Whether a tile holds all of its bands.
    """
    full = layout.planes[0]
    if full.block[0] < 512 < max(full.height, full.width):
        yield f"it has tiles of {full.block[0]}, which cause many small reads", True
    odd = [p for level, p in enumerate(planes) if not _is_half(full, p, level)]
    if odd:
        sizes = ", ".join(f"{plane.width} x {plane.height}" for plane in odd)
        yield f"it has overviews that are not half of the one before: {sizes}", True
    if len(planes) < len(layout.planes):
        count = len(layout.planes) - len(planes)
        yield f"{count} of its overviews are not used: they lack its mask", True
    elif len(planes) == 1 and max(full.height, full.width) > full.block[0]:
        yield "it has no overviews, so level 0 is the only one", True
    if is_interleaved:
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
    return (
        "rewrite it, with GDAL 3.11 or newer: "
        f"`gdal_translate {quoted_files(header, '_cog')} -of COG -co OVERVIEWS=IGNORE_EXISTING"
        f" -co COMPRESS=ZSTD -co LEVEL=22 -co PREDICTOR={predictor} -co INTERLEAVE=BAND`"
    )
