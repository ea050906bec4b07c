"""Uris of a spec to files: prefixes are added, globs expanded, missing files reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import fields, replace

from geobatch.declare.files import in_bucket
from geobatch.declare.files.find import (
    folder_of,
    is_file,
    is_literal,
    matches,
    missing,
    split_generation,
    unusable,
)
from geobatch.declare.files.sidecars import PROJECTION, WORLD, is_placing, refusal, suffix_of
from geobatch.declare.hints import listed, show
from geobatch.declare.loading.enough import MAX_HINTED, is_enough, limited
from geobatch.declare.loading.load import drafts, problem, raise_all
from geobatch.declare.loading.spec_cache import SpecEntries
from geobatch.declare.projects.confine import OUTSIDE, Confine, outside
from geobatch.declare.projects.project import NO_PROJECT, Location
from geobatch.declare.spec_list import held, in_order
from geobatch.declare.spec_set import SpecSet
from geobatch.declare.specs import (
    AssetSpec,
    ExternalImageSpec,
    ImageSpec,
    Loc,
    RasterSpec,
    SourceSpec,
    TableSpec,
    sources_of,
)
from geobatch.errors import Problem
from geobatch.model.assets.table import is_csv
from geobatch.model.sources.declared import MIXER, OF_RECORDS, DeclaredSource

LINKING = (".nc", ".nc4", ".cdf", ".netcdf")
"""Endings of files that may name others: NetCDF 4 is HDF5, which has external data."""

NO_TABLES = (
    ".csv.gz", ".tsv.gz", ".shp", ".zip", ".dbf", ".json", ".geojson", ".gpkg", ".parquet",
    ".tif", ".tiff", ".xlsx", ".xls",
)  # fmt: skip
"""Endings of files that are certainly neither CSV nor TFRecord."""
_OF_CSV = ("primary_geometry_column", "csv_delimiter", "csv_qualifier", "date_format")
"""Keys of tables that only CSV files have."""


class Expansion(Struct, frozen=True, kw_only=True):
    """The files of a spec."""

    tilesets: tuple[tuple[DeclaredSource, ...], ...] = ()
    """Those of an image, per tileset, in the order of the spec; for a glob see
    `geobatch.declare.files.order`."""
    table: tuple[DeclaredSource, ...] = ()
    """Those of a table, likewise."""


def expand(spec: AssetSpec) -> Expansion:
    """Find the files of every source, from the spec file's folder.

    Raises:
        SpecError: A file is missing or a uri cannot be used; carries every such problem.
    """
    problems: list[Problem] = []
    expansion = _expand(spec, problems)
    raise_all(limited(problems))
    return expansion


def found_files(spec: AssetSpec) -> Expansion | None:
    """Return the files of a spec that are found; None if each source is one file."""
    return None if _is_there(spec, folder_of(spec.path)) else _expand(spec, [])


def validate(
    paths: Sequence[Path],
    *,
    keep_project_prefix: bool = False,
    cache: SpecEntries | None = None,
    confine: Confine | None = None,
    is_offline: bool = False,
) -> SpecSet:
    """Load specs and find their files.

    Args:
        paths: Files or folders; messages name them as they are given.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        cache: Specs read in earlier runs; receives those of this run.
        confine: Whether to read only the project's folder and what is allowed.
        is_offline: Whether no bucket is asked: its uris are taken to name objects, and its globs to
            match none.

    Raises:
        SpecError: Something is wrong; carries every problem of every file, sources included.
    """
    specs, problems, seen = drafts(
        paths,
        keep_project_prefix=keep_project_prefix,
        cache=cache,
        confine=confine,
        is_offline=is_offline,
    )
    # Those that are made when they are asked for have one file each, which was matched.
    mine = held(specs)
    folders = {path: folder_of(path) for path in {spec.path for spec in mine}}
    prepare(mine)
    for spec in mine:
        if is_enough(problems):
            break
        if not _is_there(spec, folders[spec.path]):
            _expand(spec, problems)
    raise_all(limited(problems))
    return SpecSet(specs=in_order(specs), seen=seen)


def prepare(specs: Iterable[AssetSpec]) -> None:
    """Learn what all uris of buckets in specs name, many at once; asked for again, nothing is done.

    What is wrong is found by `expand`, spec by spec.
    """
    wanted = (
        spec.project.locate(spec.uri_prefix + uri, folder_of(spec.path))
        for spec in specs
        for _, source in sources_of(spec)
        for uri in source.uris
        if "://" in uri or "://" in spec.uri_prefix  # of most specs none
    )
    in_bucket.prepare(one for one in wanted if one.is_in_bucket and not outside(one))


def _is_there(spec: AssetSpec, folder: Path) -> bool:
    """Return whether every source is one existing file, as in most specs."""
    if spec.positions.is_of_matches and isinstance(spec, RasterSpec):
        uris = [source.uris[0] for tileset in spec.tilesets for source in tileset.sources]
        if not any(uri.lower().endswith(OF_RECORDS) for uri in uris):
            return True  # it was matched a moment ago
    return isinstance(spec, RasterSpec) and all(
        len(source.uris) == 1
        and spec.project.allowed is None
        # Whatever is mirrored: a file beside the spec is enough.
        and not unusable(location := NO_PROJECT.locate(spec.uri_prefix + source.uris[0], folder))
        and not location.is_away
        and is_file(location)
        and not location.name.lower().endswith(OF_RECORDS)
        for tileset in spec.tilesets
        for source in tileset.sources
    )


def _expand(spec: AssetSpec, problems: list[Problem]) -> Expansion:
    """Return the files of a spec, and add its problems to others."""
    folder = folder_of(spec.path)
    if isinstance(spec, TableSpec):
        return Expansion(table=tuple(_rows(spec, folder, problems)))
    tilesets: list[tuple[DeclaredSource, ...]] = []
    for index, tileset in enumerate(spec.tilesets):
        found: list[DeclaredSource] = []
        for number, source in enumerate(tileset.sources):
            if isinstance(spec, ExternalImageSpec):
                found += _pinned(spec, folder, (index, number), source, problems)
            else:
                found += _source(spec, folder, (index, number), source, problems)
        tilesets.append(tuple(found))
    return Expansion(tilesets=tuple(tilesets))


def _rows(spec: TableSpec, folder: Path, problems: list[Problem]) -> Iterator[DeclaredSource]:
    """Yield the files of a table, which are all CSV, or all TFRecord."""
    first: str | None = None
    for number, source in enumerate(spec.sources):
        for index, written in enumerate(source.uris):
            here: Loc = ("sources", number, "uris", index)
            location = spec.project.locate(spec.uri_prefix + written, folder)
            found = list(_find(spec, here, location, problems))
            other = next((one for one in found if one.uri.lower().endswith(NO_TABLES)), None)
            if other is not None:
                message = f"{show(other.uri)}: tables are read from CSV and TFRecord files only"
                hint = "convert the table to a `.csv` file, with a line of column names"
                if other.uri.lower().endswith(".gz"):
                    hint = "decompress it: `gunzip -k FILE`"
                problems.append(problem(spec, here, "table-format", message, hint))
            for one in found:
                if first is None:
                    first = one.uri
                    problems += _only_of_csv(spec, first)
                elif is_csv(one.uri) != is_csv(first):
                    message = f"{show(one.uri)} and {show(first)}: one is CSV, the other is not"
                    hint = "all files of a table must be of one kind: declare two tables"
                    problems.append(problem(spec, here, "table-format", message, hint))
                    return
                yield declared(one, source=number, uri_index=index)


def _only_of_csv(spec: TableSpec, uri: str) -> Iterator[Problem]:
    """Yield a problem for each key that a table of TFRecord files cannot have."""
    keys = {one.encode_name: one for one in fields(TableSpec)}
    for key in () if is_csv(uri) else _OF_CSV:
        if getattr(spec, keys[key].name) != keys[key].default:
            message = f"`{key}` is for CSV files, but {show(uri)} is a TFRecord file"
            hint = "omit the key; the names of CSV files end with `.csv` or `.tsv`"
            yield problem(spec, ("sources", 0, key), "table-format", message, hint)


def _pinned(
    spec: ExternalImageSpec,
    folder: Path,
    at: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> Iterator[DeclaredSource]:
    """Yield the one COG of a source."""
    here = ("tilesets", at[0], "sources", at[1], "uris")
    if len(source.uris) > 1:
        message = f"{len(source.uris)} uris: a source of an external image must be one COG"
        problems.append(problem(spec, (*here, 1), "external-image", message, "name one file"))
    if not source.uris:  # what stood there was refused already
        return
    whole = spec.project.locate(spec.uri_prefix + source.uris[0], folder)
    location, generation = split_generation(whole)
    if complaint := unusable(location):
        problems.append(problem(spec, (*here, 0), "unsupported-uri", *complaint))
    elif denied := outside(location):
        problems.append(problem(spec, (*here, 0), *denied))
    elif is_file(location):
        found = declared(location, source=at[1])
        yield replace(
            found,
            # The newest state is not the one that is named.
            state=None if generation else found.state,
            generation=generation,
            allow_unpinned=spec.allow_unpinned,
            is_external=True,
        )
    elif is_literal(location):
        problems.append(_absent(spec, (*here, 0), *missing(location)))
    else:
        message = f"{show(location.uri)} is a glob: a source of an external image must be one COG"
        hint = "name one file; `kind: image_collection` makes an image of each file of a glob"
        problems.append(problem(spec, (*here, 0), "external-image", message, hint))


def _source(
    spec: ImageSpec,
    folder: Path,
    at: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> list[DeclaredSource]:
    """Return the files of a source: each a raster, or one mixer with its shards."""
    loc = ("tilesets", at[0], "sources", at[1])
    locations = [spec.project.locate(spec.uri_prefix + uri, folder) for uri in source.uris]
    count, variable = len(problems), spec.tilesets[at[0]].variable
    found = [
        replace(declared(one, source=at[1], uri_index=index), variable=variable)
        for index, location in enumerate(locations)
        for one in _find(spec, (*loc, "uris", index), location, problems)
    ]
    if any(one.rule == OUTSIDE for one in problems[count:]):
        return []
    linking = next((file for file in found if file.uri.lower().endswith(LINKING)), None)
    if linking is not None and spec.project.allowed is not None:
        message = f"{show(linking.uri)}: a NetCDF file may name other files, which would be read"
        hint = "convert it to a TIFF where nothing is confined"
        problems.append(problem(spec, (*loc, "uris", linking.uri_index), OUTSIDE, message, hint))
        return []
    names = (*(location.name for location in locations), *(file.url or file.uri for file in found))
    if any(name.lower().endswith(OF_RECORDS) for name in names):
        is_whole = len(problems) == count
        return _records(spec, (*loc, "uris"), found, problems) if is_whole else []
    _check_beside(spec, loc, locations, problems)
    counts = Counter(file.uri_index for file in found)
    for index, location in enumerate(locations):
        matched = counts[index]
        for key in ("affine_transform", "dimensions"):
            if matched > 1 and getattr(source, key) is not None:
                message = f"`{key}` is for one file, but {show(location.uri)} matches {matched}"
                hint = "write one source per file, each with its own"
                problems.append(problem(spec, (*loc, key), "glob-placement", message, hint))
    return _with_sidecars(locations, found)


def declared(location: Location, *, source: int, uri_index: int = 0) -> DeclaredSource:
    """Return the file, or the object, of a location.

    Args:
        location: Its location.
        source: Index of the source in its tileset.
        uri_index: Index of the uri in its source.
    """
    allowed = location.allowed
    found = in_bucket.find(location) if location.is_in_bucket else None
    url, _, generation = (location.name if location.is_away else "").partition("#")
    if found is not None:
        url, generation = found.url, found.generation
    return DeclaredSource(
        uri=location.uri,
        path=location.path,
        source=source,
        uri_index=uri_index,
        url=url,
        state=None if found is None else found.state,
        generation=generation,
        servers=None if allowed is None or not location.is_remote else allowed.servers,
    )


def _find(
    spec: AssetSpec, loc: Loc, location: Location, problems: list[Problem]
) -> Iterator[Location]:
    """Yield the files that a uri names, the glob followed."""
    if is_enough(problems):
        return
    is_hinted = len(problems) < MAX_HINTED
    if complaint := unusable(location):
        problems.append(problem(spec, loc, "unsupported-uri", *complaint))
    elif denied := outside(location):
        problems.append(problem(spec, loc, *denied))
    elif not is_literal(location):
        found = matches(location, is_hinted=is_hinted)
        if found.problem is not None:
            made = problem if found.links else _absent
            problems.append(made(spec, loc, *found.problem))
        for name in found.files:
            yield location.file(name)
    elif is_file(location):
        yield location
    else:
        problems.append(_absent(spec, loc, *missing(location, is_hinted=is_hinted)))


def _absent(spec: AssetSpec, loc: Loc, rule: str, message: str, hint: str | None) -> Problem:
    """Return the problem of a missing file; if other images may have one, how to go without it."""
    is_partner = isinstance(spec, RasterSpec) and len(spec.tilesets) > 1
    if rule == "missing-file" and is_partner and spec.positions.is_of_collection:
        optional = "if not every image has such a file, add `optional: true` to the tileset"
        hint = f"{hint}{' ' if hint.endswith('?') else '; '}{optional}" if hint else optional
    return problem(spec, loc, rule, message, hint)


def _check_beside(
    spec: AssetSpec, loc: Loc, locations: Sequence[Location], problems: list[Problem]
) -> None:
    """Report a file that may not be listed with others in one source."""
    literal = [i for i, location in enumerate(locations) if is_literal(location)]
    if len(locations) == 1 or not literal:
        return
    is_of_one = 0 in literal
    for index in literal:
        if index and not (is_of_one and is_placing(locations[index].name)):
            words = refusal(locations[index].uri, len(locations), is_of_one=is_of_one)
            at = (*loc, "uris", index)
            problems.append(problem(spec, at, "sidecar-unsupported", *words))
            return


def _with_sidecars(
    locations: Sequence[Location], found: Sequence[DeclaredSource]
) -> list[DeclaredSource]:
    """Return the rasters among some files, with the sidecars that place them."""
    world = next((s for s in found[1:] if suffix_of(s.uri) in WORLD), None)
    projection = next((s for s in found[1:] if suffix_of(s.uri) in PROJECTION), None)
    return [
        replace(file, world=world, projection=projection)
        if is_literal(locations[file.uri_index])
        else file
        for file in found
        if not (file.uri_index and is_placing(locations[file.uri_index].name))
    ]


def _records(
    spec: AssetSpec, loc: Loc, found: list[DeclaredSource], problems: list[Problem]
) -> list[DeclaredSource]:
    """Return the mixer among some files, with the others as its shards."""
    is_mixer = [(file.url or file.uri).lower().endswith(MIXER) for file in found]
    mixers = [file for file, is_one in zip(found, is_mixer, strict=True) if is_one]
    shards = tuple(file for file, is_one in zip(found, is_mixer, strict=True) if not is_one)
    if len(mixers) == 1 and shards:
        return [replace(mixers[0], shards=shards)]
    if not mixers:
        message = f"TFRecord files without a mixer: {listed(file.uri for file in shards)}"
        hint = "add the mixer that the export wrote, `*-mixer.json`, to `uris`"
    elif shards:
        message = f"{len(mixers)} mixers: {listed(file.uri for file in mixers)}"
        hint = "write one source per export: its shards and its mixer"
    else:
        message = f"a mixer without TFRecord files: {listed(file.uri for file in mixers)}"
        hint = "add its shards to `uris`, as in `[pred-*.tfrecord.gz, pred-mixer.json]`"
    problems.append(problem(spec, loc, "mixer", message, hint))
    return []
