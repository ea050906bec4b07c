"""Optional tilesets of a collection: an image whose files are absent is made without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from geobatch.declare.files import in_bucket
from geobatch.declare.files.find import is_absent, is_broken, is_file, is_literal, matches, unusable
from geobatch.declare.hints import listed
from geobatch.declare.projects.confine import outside
from geobatch.declare.specs import Loc, MaskBandSpec, Positions, RasterSpec, TilesetSpec
from geobatch.errors import Problem

R = TypeVar("R", bound=RasterSpec)
_SHOWN = 5


def optional_problems(spec: RasterSpec, *, is_of_collection: bool) -> Iterator[Problem]:
    """Yield what may not be optional, since it would not be clear what is left without it."""
    places = [n for n, tileset in enumerate(spec.tilesets) if tileset.is_optional]
    names = {spec.tilesets[n].id for n in places}
    loc: Loc = ("tilesets", places[0], "optional") if places else ()
    if not places:
        return
    if not is_of_collection:
        message = "`optional` is for the tilesets of a collection's image"
        yield _problem(spec, loc, message, "remove the tileset while its files are absent")
        return
    if len(places) == len(spec.tilesets):
        message = "every tileset is optional, so an image could have none"
        yield _problem(
            spec,
            loc,
            message,
            "at least one tileset must exist for every image: remove its `optional`",
        )
    masking = {mask.tileset_id for mask in spec.mask_bands}
    if spec.bands is None and not names <= masking:
        message = (
            f"the bands of the optional tileset {listed(sorted(names - masking))} have no names"
        )
        yield _problem(spec, loc, message, "declare `bands`, each with its `tileset_id`")
    going = {band.id for band in spec.bands or () if band.tileset_id in names}
    if spec.bands and all(band.id in going for band in spec.bands):
        message = "every band comes from an optional tileset, so an image could have none"
        yield _problem(
            spec,
            loc,
            message,
            "at least one band must exist for every image: remove `optional` from its tileset",
        )
    for name, members in spec.array_bands:
        if lost := [band for band in members if band in going]:
            message = f"the array band `{name}` needs {listed(lost)} of an optional tileset"
            hint = "remove these bands from it, or `optional` from the tileset"
            yield _problem(spec, ("array_bands", name), message, hint)
    if spec.footprint is not None and spec.bands:
        band = spec.footprint.band_id or spec.bands[0].id
        if band in going:
            message = f"the footprint is in pixels of band `{band}` of an optional tileset"
            hint = "set its `band_id` to a band that every image has"
            yield _problem(spec, ("footprint",), message, hint)


def _problem(spec: RasterSpec, loc: Loc, message: str, hint: str) -> Problem:
    path, line, column = spec.where(*loc)
    return Problem(
        path=path, line=line, column=column, rule="optional-files", message=message, hint=hint
    )


def prepare_optional(images: Sequence[RasterSpec], folder: Path) -> None:
    """Learn at once which files of optional tilesets are in buckets."""
    locations = (
        image.project.locate(image.uri_prefix + uri, folder)
        for image in images
        for tileset in image.tilesets
        if tileset.is_optional
        for source in tileset.sources
        for uri in source.uris
    )
    in_bucket.prepare(one for one in locations if one.is_in_bucket and not outside(one))


def without_absent(image: R, folder: Path) -> R:
    """Return an image without its optional tilesets of which no file is there.

    Their bands go with them, and so do the masks that they hold.
    """
    gone = {
        tileset.id
        for tileset in image.tilesets
        if tileset.is_optional and _is_absent(image, tileset, folder)
    }
    if not gone:
        return image
    tilesets = [n for n, tileset in enumerate(image.tilesets) if tileset.id not in gone]
    bands = [n for n, band in enumerate(image.bands or ()) if band.tileset_id not in gone]
    left = {band.id for band in image.bands or () if band.tileset_id not in gone}
    masks = [n for n, mask in enumerate(image.mask_bands) if _masks(image, mask, gone, left)]
    kept = {"tilesets": tilesets, "bands": bands, "mask_bands": masks}
    mask_bands = [image.mask_bands[n] for n in masks]
    if image.bands is not None:
        mask_bands = [
            replace(mask, band_ids=tuple(name for name in mask.band_ids if name in left))
            for mask in mask_bands
        ]
    return replace(
        image,
        tilesets=tuple(image.tilesets[n] for n in tilesets),
        bands=None if image.bands is None else tuple(image.bands[n] for n in bands),
        mask_bands=tuple(mask_bands),
        absent=tuple(sorted(gone)),
        positions=_moved(image.positions, kept),
    )


def absent_warnings(specs: Sequence[RasterSpec]) -> Iterator[Problem]:
    """Yield one warning for each optional tileset of a collection that some images lack."""
    found: dict[tuple[str, int, str], list[RasterSpec]] = {}
    count: dict[tuple[str, int], int] = {}
    for spec in specs:
        if spec.absent or any(tileset.is_optional for tileset in spec.tilesets):
            path, line, _ = spec.where()
            count[path, line] = count.get((path, line), 0) + 1
            for name in () if "absent-files" in spec.project.silenced else spec.absent:
                found.setdefault((path, line, name), []).append(spec)
    for (path, line, name), lacking in found.items():
        every = count[path, line]
        more = f", and {len(lacking) - _SHOWN:,} more" if len(lacking) > _SHOWN else ""
        yield Problem(
            path=path,
            line=line,
            column=lacking[0].where()[2],
            rule="absent-files",
            message=f"{len(lacking):,} of {every:,} images are made without the optional tileset "
            f"`{name}`, whose files are absent: "
            f"{listed(spec.id for spec in lacking[:_SHOWN])}{more}",
            hint="are the uris right, and is the disk mounted? If no image has the files, leave "
            "the tileset out"
            if len(lacking) == every
            else "when the files are there, the next plan shows these images as changed",
        )


def _masks(image: RasterSpec, mask: MaskBandSpec, gone: set[str], left: set[str]) -> bool:
    """Return whether a mask is left: its tileset is, and a band that it names."""
    if mask.tileset_id in gone:
        return False
    return image.bands is None or not mask.band_ids or not left.isdisjoint(mask.band_ids)


def _is_absent(image: RasterSpec, tileset: TilesetSpec, folder: Path) -> bool:
    """Return whether no file of a tileset is there; a link that leads nowhere is one."""
    for source in tileset.sources:
        for uri in source.uris:
            place = image.project.locate(image.uri_prefix + uri, folder)
            # What may not be read is refused when the files of the image are searched.
            if unusable(place) or outside(place) or is_broken(place):
                return False
            if is_file(place) or (is_literal(place) and not is_absent(place)):
                return False
            if not is_literal(place):
                found = matches(place, is_hinted=False)
                is_sure = found.problem is not None and found.problem[0] == "missing-file"
                if found.files or found.links or not is_sure:
                    return False
    return True


def _moved(positions: Positions, kept: dict[str, list[int]]) -> Positions:
    """Return positions of a document of which only some elements of its lists are left."""
    numbers = {key: {old: new for new, old in enumerate(left)} for key, left in kept.items()}
    places: dict[Loc, tuple[int, int]] = {}
    for loc, place in positions.by_loc.items():
        if len(loc) > 1 and (renumbered := numbers.get(str(loc[0]))) is not None:
            number = renumbered.get(int(loc[1]))
            if number is None:
                continue
            loc = (loc[0], number, *loc[2:])  # noqa: PLW2901
        places[loc] = place
    return Positions(path=positions.path, by_loc=places)
