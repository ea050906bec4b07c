"""Warnings about likely mistakes in specs, which `geobatch.yaml` can silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from operator import attrgetter

from geobatch.declare.collections.optional import absent_warnings
from geobatch.declare.files.order import in_order, shown_order
from geobatch.declare.files.uris import Expansion, found_files
from geobatch.declare.hints import listed, show
from geobatch.declare.loading.enough import MAX_HINTED
from geobatch.declare.loading.load import problem
from geobatch.declare.specs import AssetSpec, Declaration, Loc, RasterSpec
from geobatch.errors import Problem
from geobatch.model.assets.class_names import is_class_like
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.text.suggest import suggestion


def lint(specs: Sequence[AssetSpec]) -> tuple[Problem, ...]:
    """Return the warnings about specs and names of files, without duplicates.

    What only headers tell (palettes, types, compression) is warned about when a plan is made.
    """
    images = [spec for spec in specs if isinstance(spec, RasterSpec)]
    found = [warning for spec in images for warning in _categorical(spec)]
    for spec in specs:
        if isinstance(spec, RasterSpec):
            found += _same_bands(spec)
        if (files := found_files(spec)) is not None:
            found += order_warnings(spec, files)
    return tuple(
        dict.fromkeys(
            [
                *found,
                *inclusive_ends(specs),
                *mixed_types(specs),
                *absent_warnings(images),
                *ignored_allow(specs),
            ]
        )
    )


def ignored_allow(specs: Sequence[AssetSpec]) -> Iterator[Problem]:
    """Yield a warning for each project file whose `allow` does not count in a confined run."""
    for project in {spec.project.path: spec.project for spec in specs}.values():
        allowed = project.allowed
        ignored = () if allowed is None else set(project.allow or ()) - allowed.entries
        if allowed is not None and ignored:
            yield Problem(
                path=project.path,
                line=1,
                column=1,
                rule="ignored-allow",
                message=f"{listed(sorted(ignored))} of `allow` does not count in this run",
                hint=f"what counts is `allow` of `{allowed.named_by}`",
            )


def categorical_words(
    band: str, *, has_palette: bool = False, description: str | None = None
) -> tuple[str, str, str] | None:
    """Return rule, message and hint of the warning that the default policy mixes classes.

    Args:
        band: Id of a band of integers, for which no policy is declared.
        has_palette: Whether it has a colour table.
        description: What its file says of it.

    Returns:
        None if its values are probably not classes; how many there are would have to be read.
    """
    if has_palette:
        why = "has a colour table"
    elif is_class_like(band):
        why = "is named like classes"
    elif description is not None and is_class_like(description):
        why = f"is described as {show(description)}"
    else:
        return None
    message = f"the band {show(band)} {why}, and the default policy MEAN mixes classes"
    hint = "write `pyramiding_policy: MODE`; or `MEAN`, if you mean it"
    return "categorical-mean", message, hint


def warning(spec: Declaration, loc: Loc, rule: str, message: str, hint: str) -> Iterator[Problem]:
    """Yield a warning at an element of a spec, unless its project silences the rule."""
    if rule not in spec.project.silenced:
        yield problem(spec, loc, rule, message, hint)


def order_warnings(spec: AssetSpec, files: Expansion) -> Iterator[Problem]:
    """Yield a warning where files are in another order by number than by text; one per spec.

    The files of a glob are taken by number. Those that a spec lists are taken as listed; rows and
    patches in the order of text are what a shell makes of a glob.

    Args:
        spec: The spec.
        files: Its files.
    """
    found: list[tuple[Loc, str, str]] = []
    for loc, group, is_of_records in _sources(files):
        by_uri = [[f.uri for f in one] for _, one in groupby(group, key=attrgetter("uri_index"))]
        indexes = dict.fromkeys(file.uri_index for file in group)
        for index, names in zip(indexes, by_uri, strict=True):
            if names != sorted(names):
                message = f"files are sorted by the numbers in their names: {shown_order(names)}"
                hint = "list the files in `uris` if you need another order"
                found.append(((*loc, "uris", index), message, hint))
        listed = [names[0] for names in by_uri if len(names) == 1]
        if is_of_records and listed == sorted(listed) != in_order(listed):
            order = shown_order(listed)
            message = f"files are read as listed, not in the order of their numbers: {order}"
            hint = "write a glob, whose files are sorted by number, or list them in that order"
            found.append(((*loc, "uris"), message, hint))
    if found:
        loc, message, hint = found[0]
        more = f"; likewise in {len(found) - 1} more of its `uris`" if len(found) > 1 else ""
        yield from warning(spec, loc, "file-order", message + more, hint)


def _sources(files: Expansion) -> Iterator[tuple[Loc, list[DeclaredSource], bool]]:
    """Yield, for each source of several files: its loc, its files, and whether they are records."""
    for number, tileset in enumerate(files.tilesets):
        if len(tileset) == 1 and not tileset[0].shards:
            continue  # a single file is in order; for thousands this check takes a while
        for source, group in groupby(tileset, key=attrgetter("source")):
            found = list(group)
            parts = [part for file in found for part in file.shards or (file,)]
            yield ("tilesets", number, "sources", source), parts, bool(found[0].shards)
    for source, group in groupby(files.table, key=attrgetter("source")):
        yield ("sources", source), list(group), True


def peak_warnings(spec: RasterSpec, peaks: Mapping[str, int]) -> Iterator[Problem]:
    """Yield a warning for each mask without a fully valid pixel among those read.

    Args:
        spec: The image.
        peaks: The highest weight that was read, by tileset.
    """
    declared: dict[str, tuple[int, int | None]] = {}
    for index, mask in enumerate(spec.mask_bands):
        declared.setdefault(mask.tileset_id, (index, mask.valid_value))
    for number, tileset in enumerate(spec.tilesets):
        peak = peaks.get(tileset.id, 0)
        if not 0 < peak < 255:
            continue
        uri = show(tileset.sources[0].uris[0])
        loc: Loc = ("tilesets", number, "sources", 0, "uris", 0)
        found = declared.get(tileset.id)
        message = (
            f"the highest value read from the mask of {uri} is {peak} of 255: no pixel is"
            " fully valid"
        )
        hint = (
            f"if {peak} means valid, make a separate tileset of the mask and declare"
            f" `mask_bands: {{tileset_id: ..., valid_value: {peak}}}`"
        )
        if found is not None:
            loc = ("mask_bands", found[0])
            hint = f"if {peak} means valid, declare `valid_value: {peak}` in `mask_bands`"
            if found[1] is not None:
                hint = f"is `valid_value: {found[1]}` too high?"
        yield from warning(spec, loc, "mask-never-valid", message, hint)


def lost_claims(specs: Sequence[AssetSpec], published: Collection[str]) -> Iterator[Problem]:
    """Yield a warning for each former id that is not published, where the asset is not either.

    Args:
        specs: The specs.
        published: Ids of the published assets; without any, the store is new.
    """
    hinted = 0
    for spec in specs if published else ():
        if spec.moved_from is None or spec.id in published or spec.moved_from in published:
            continue
        message = f"no asset {show(spec.moved_from)} is published, so {show(spec.id)} is a new one"
        hinted += 1
        meant = suggestion(spec.moved_from, published) if hinted <= MAX_HINTED else None
        hint = meant or "`geobatch ls` lists what is published"
        yield from warning(spec, ("moved_from",), "moved-from", message, hint)


def inclusive_ends(specs: Sequence[AssetSpec]) -> Iterator[Problem]:
    """Yield a warning for each end that was probably meant inclusively.

    One per line: images of a collection share theirs.
    """
    reported: set[tuple[str, int, int]] = set()
    for spec in specs:
        if spec.end_time is None or not (meant := _end_meant(spec.start_time, spec.end_time)):
            continue
        message = f"the end {show(spec.end_time)} is exclusive, but looks inclusive"
        hint = f"write {show(meant)} if the asset includes that last day or second"
        for found in warning(spec, ("end_time",), "inclusive-end", message, hint):
            if (at := (found.path, found.line, found.column)) not in reported:
                reported.add(at)
                yield found


def _end_meant(start: str | None, end: str) -> str | None:
    """Return the exclusive end if the given one looks inclusive: 23:59:59, or a last day."""
    day = date.fromisoformat(end[:10])
    if day == date.max or end == start:
        return None
    following = day + timedelta(days=1)
    if end[11:19] == "23:59:59":
        return following.isoformat()
    begins = start is not None and start[8:] == "01T00:00:00Z"
    is_last = following.day == 1 and (begins or following.month == 1)
    # From one day to the next is exactly a day: this end is right.
    is_day = start is not None and date.fromisoformat(start[:10]) + timedelta(days=1) == day
    return following.isoformat() if is_last and not is_day and end[10:] == "T00:00:00Z" else None


def mixed_types(specs: Sequence[AssetSpec]) -> Iterator[Problem]:
    """Yield a warning for each property that is text in one image of a folder, a number in another.

    Earth Engine refuses that within a collection, and no filter finds both.
    """
    shapes: dict[tuple[str, tuple[tuple[str, bool], ...]], AssetSpec] = {}
    for spec in specs:
        if spec.properties:
            shape = tuple([(key, isinstance(value, str)) for key, value in spec.properties])
            shapes.setdefault((spec.id.rpartition("/")[0], shape), spec)
    first: dict[tuple[str, str], tuple[bool, AssetSpec]] = {}
    reported: set[tuple[str, str]] = set()
    for (folder, shape), spec in shapes.items():
        for key, is_text in shape if folder else ():
            was_text, other = first.setdefault((folder, key), (is_text, spec))
            if was_text is not is_text and (folder, key) not in reported:
                reported.add((folder, key))
                yield from _mixed(spec, other, folder, key)


def _mixed(spec: AssetSpec, other: AssetSpec, folder: str, key: str) -> Iterator[Problem]:
    value, first = dict(spec.properties)[key], dict(other.properties)[key]
    message = (
        f"the property {show(key)} is {show(value)}, {_kind(value)}, but {show(first)},"
        f" {_kind(first)}, in `{other.id}`"
    )
    hint = f"give it one type in all of `{folder}`; `022` and `1.10` without quotes are numbers"
    yield from warning(spec, ("properties", key), "mixed-property-types", message, hint)


def _kind(value: str | float) -> str:
    return "text" if isinstance(value, str) else "a number"


def _categorical(spec: RasterSpec) -> Iterable[Problem]:
    if spec.pyramiding_policy is None:
        for index, band in enumerate(spec.bands or ()):
            if band.pyramiding_policy is None and (words := categorical_words(band.id)):
                yield from warning(spec, ("bands", index, "id"), *words)


def _same_bands(spec: RasterSpec) -> Iterator[Problem]:
    """Yield a warning for bands that read one band of their files, as no index is written."""
    first: dict[tuple[str, int], str] = {}
    counts: Counter[str] = Counter()
    for number, band in enumerate(spec.bands or ()):
        loc = ("bands", number, "tileset_band_index")
        source = (band.tileset_id, band.tileset_band_index)
        other, at = first.get(source), counts[band.tileset_id]
        counts[band.tileset_id] += 1
        if band.feature is not None:
            continue
        if other is not None and loc not in spec.positions.by_loc:
            message = f"the bands {show(other)} and {show(band.id)} have the same pixels: without"
            message += " `tileset_band_index`, a band is the first of its files"
            hint = f"write `tileset_band_index: {at}`; or `0`, if you mean it"
            yield from warning(spec, ("bands", number, "id"), "same-band", message, hint)
        first.setdefault(source, band.id)
