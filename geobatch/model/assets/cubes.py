"""Time cubes: the images of a folder as one array along time, and why some do not fit together."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from geobatch.model.assets.band import Band
from geobatch.model.assets.image import Raster

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - all times are in UTC
_APART = "put the images of each tile in a folder of their own, such as `id: '{tile}/{date}'`"
_LONGEST = 1 << 63


def folder_of(asset_id: str) -> str:
    """Return the folder of an asset, which names the cube that it may be in; empty for none."""
    return asset_id.rpartition("/")[0]


def cube_folders(asset_ids: Collection[str], collections: Collection[str]) -> frozenset[str]:
    """Return the folders whose images are a cube: those with images, in collections with cubes.

    Args:
        asset_ids: Ids of images.
        collections: Ids of the collections with `cube: true`.
    """
    wanted = tuple(f"{one}/" for one in collections)
    return frozenset(folder_of(one) for one in asset_ids if wanted and one.startswith(wanted))


def nanoseconds(moment: str) -> int:
    """Return a time in RFC 3339, in UTC, as nanoseconds since 1970."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(whole) - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


def cube_problems(images: Sequence[Raster]) -> Iterator[tuple[str, str]]:
    """Yield why images of a folder are no cube, each with what helps; nothing if they are one.

    Each is compared with the first, by time, so that a reader learns of two that differ.
    """
    whole: list[tuple[int, Raster]] = []
    for image in images:
        if image.is_external:
            yield (
                f"`{image.id}` is an external image, whose pixels are in no file of the store",
                "ingest it: `kind: image`",
            )
        elif image.start_time is None:
            yield (
                f"`{image.id}` has no `start_time`, by which images are ordered",
                "declare it in the spec, such as `start_time: '{date:%Y%m%d}'`",
            )
        elif any(abs(nanoseconds(one)) >= _LONGEST for one in (image.start_time, _end(image))):
            yield (
                f"`{image.id}` has a time before 1678 or after 2261, which a cube cannot hold",
                "correct `start_time` and `end_time`",
            )
        else:
            whole.append((nanoseconds(image.start_time), image))
    whole.sort(key=lambda one: (one[0], one[1].id))
    by_time: dict[int, Raster] = {}
    for moment, image in whole:
        if (other := by_time.setdefault(moment, image)) is not image:
            yield (
                f"`{other.id}` and `{image.id}` have the same `start_time`, `{image.start_time}`",
                f"each step of a cube has its own time: correct it, or {_APART}",
            )
    for _, image in whole[1:]:
        if (found := difference(whole[0][1], image)) is not None:
            yield (
                f"`{whole[0][1].id}` and `{image.id}` are not one array: {found}",
                f"each folder is a cube: {_APART}",
            )


def difference(a: Raster, b: Raster) -> str | None:
    """Return why two images cannot be one array along time; None if they can."""
    for what, one, two in (
        ("tiles of", f"{a.tile} pixels", f"{b.tile} pixels"),
        ("codecs", f"`{a.codec.name}`", f"`{b.codec.name}`"),
    ):
        if one != two:
            return f"{what} {one} and {two}"
    if a.codec != b.codec:
        return "the settings of their codecs differ"
    bands = [{band.id: band for band in image.bands} for image in (a, b)]
    if lonely := sorted(bands[0].keys() ^ bands[1].keys()):
        return f"only one has a band `{lonely[0]}`"
    for name, band in bands[0].items():
        if (found := _of_band(band, bands[1][name])) is not None:
            return f"band `{name}` has {found}"
        if (found := _of_grid(a, band, b, bands[1][name])) is not None:
            return f"band `{name}` has {found}"
    return None


def _end(image: Raster) -> str:
    return image.end_time or image.start_time or ""


def _of_band(a: Band, b: Band) -> str | None:
    facts = [_facts(a), _facts(b)]
    for what in facts[0]:
        if facts[0][what] != facts[1][what]:
            return f"the {what} {facts[0][what]} and {facts[1][what]}"
    return None


def _facts(band: Band) -> Mapping[str, str]:
    """Return what must be equal, in words: all that says how a chunk is read."""
    masks = {None: "none", 0: "from level 0", 1: "from level 1"}
    return {
        "type": band.dtype,
        "fill value": f"`{band.fill!r}`",
        "masks": masks[band.mask_from_level],
        "meaning of its fill value:": "masked" if _is_marked(band) else "a value as any other",
        "unit": f"`{band.unit}`",
        "scale": f"`{band.scale}`",
        "offset": f"`{band.offset}`",
    }


def _is_marked(band: Band) -> bool:
    """Return whether a pixel of level 0 that equals the fill value is masked."""
    is_nan = isinstance(band.fill, float) and math.isnan(band.fill)
    return band.can_be_masked and (band.masking.is_fill_free or is_nan)


def _of_grid(a: Raster, of_a: Band, b: Raster, of_b: Band) -> str | None:
    one, two = a.grid(of_a.grid), b.grid(of_b.grid)
    # Grids decide together on the paths of levels.
    if len(a.grids) != len(b.grids):
        return f"{len(a.grids)} and {len(b.grids)} grids"
    if len(a.grids) > 1 and one.name != two.name:
        return f"the grids `{one.name}` and `{two.name}`"
    if one.geobox.crs.identity != two.geobox.crs.identity:
        return f"{one.geobox.crs.identity} and {two.geobox.crs.identity}"
    if one.geobox.transform != two.geobox.transform:
        return f"the transforms {one.geobox.transform} and {two.geobox.transform}"
    if one.geobox.shape != two.geobox.shape:
        return f"{one.geobox.shape} and {two.geobox.shape} rows and columns"
    return None
