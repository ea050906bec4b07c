"""Uris of a spec to files: prefixes put, globs followed, and what cannot be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from geobatch.errors import Problem
from geobatch.spec.files import folder_of, is_file, is_literal, matches, missing, nearest, unusable
from geobatch.spec.hints import listed, show
from geobatch.spec.load import drafts, problem, raise_all
from geobatch.spec.nouns import ImageSpec, Loc, SourceSpec, SpecSet

SHARDS = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz")
"""Endings of TFRecord files; beside a mixer, shards may bear any name."""
MIXER = ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that a source of a spec names, or the mixer of TFRecord shards."""

    uri: str
    """As the spec spells it, prefix put and glob followed."""
    path: Path
    """Absolute."""
    source: int
    """Index of the source in its tileset."""
    uri_index: int = 0
    """Index of the uri in its source."""
    shards: tuple[SourceFile, ...] = ()
    """Shards that a mixer places, in the order of their records; none where this is a TIFF."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expansion:
    """The files of a spec."""

    tilesets: tuple[tuple[SourceFile, ...], ...]
    """Per tileset, in the order of the spec; the files of a glob sorted by name."""


def expand(spec: ImageSpec) -> Expansion:
    """Find the files of every source, from the spec file's folder.

    Raises:
        SpecError: A file is missing or a uri cannot be used; carries every such problem.
    """
    expansion, problems = _expand(spec)
    raise_all(problems)
    return expansion


def validate(paths: Sequence[Path]) -> SpecSet:
    """Load specs and find their files.

    Raises:
        SpecError: Something is wrong; carries every problem of every file, sources included.
    """
    specs, problems = drafts(paths)
    folders = {path: folder_of(path) for path in {spec.path for spec in specs}}
    for spec in specs:
        if not _is_there(spec, folders[spec.path]):
            problems += _expand(spec)[1]
    raise_all(problems)
    return SpecSet(specs=tuple(sorted(specs, key=lambda spec: spec.id)))


def _is_there(spec: ImageSpec, folder: Path) -> bool:
    """Return whether every source is one file that is there, as it is with most specs."""
    return all(
        len(source.uris) == 1
        and not unusable(uri := spec.uri_prefix + source.uris[0])
        and is_file(uri, folder)
        and not _is_of_records(uri)
        for tileset in spec.tilesets
        for source in tileset.sources
    )


def _expand(spec: ImageSpec) -> tuple[Expansion, list[Problem]]:
    problems: list[Problem] = []
    folder = folder_of(spec.path)
    tilesets = tuple(
        tuple(
            found
            for number, source in enumerate(tileset.sources)
            for found in _source(spec, folder, (index, number), source, problems)
        )
        for index, tileset in enumerate(spec.tilesets)
    )
    return Expansion(tilesets=tilesets), problems


def _source(
    spec: ImageSpec,
    folder: Path,
    place: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> list[SourceFile]:
    """Return the files of a source: each a raster, or one mixer with its shards."""
    loc = ("tilesets", place[0], "sources", place[1])
    uris = [spec.uri_prefix + uri for uri in source.uris]
    count = len(problems)
    found = [
        SourceFile(uri=name, path=folder / name, source=place[1], uri_index=index)
        for index, uri in enumerate(uris)
        for name in _find(spec, folder, (*loc, "uris", index), uri, problems)
    ]
    if any(_is_of_records(name) for name in (*uris, *(file.uri for file in found))):
        is_whole = len(problems) == count
        return _records(spec, (*loc, "uris"), found, problems) if is_whole else []
    problems += _raster_problems(spec, folder, loc, source, found)
    return found


def _find(
    spec: ImageSpec, folder: Path, loc: Loc, uri: str, problems: list[Problem]
) -> Iterator[str]:
    """Yield the files that a uri names, the glob followed."""
    if complaint := unusable(uri):
        problems.append(problem(spec, loc, "unsupported-uri", *complaint))
    elif not is_literal(uri, folder):
        names = matches(uri, folder)
        if not names:
            message, hint = f"no file matches {show(uri)}", nearest(uri, folder)
            problems.append(problem(spec, loc, "missing-file", message, hint))
        yield from names
    elif is_file(uri, folder):
        yield uri
    else:
        problems.append(problem(spec, loc, "missing-file", *missing(uri, folder)))


def _raster_problems(
    spec: ImageSpec, folder: Path, loc: Loc, source: SourceSpec, found: list[SourceFile]
) -> Iterator[Problem]:
    """Yield what may not be where each file is a raster of its own."""
    uris = [spec.uri_prefix + uri for uri in source.uris]
    literal = [i for i, uri in enumerate(uris) if is_literal(uri, folder)]
    if len(uris) > 1 and literal:
        message = f"{len(uris)} uris in one source: sidecar files are not supported yet"
        here = (*loc, "uris", literal[min(1, len(literal) - 1)])
        yield problem(spec, here, "sidecar-unsupported", message, "one source per file")
    for index, uri in enumerate(uris):
        count = sum(file.uri_index == index for file in found)
        for key in ("affine_transform", "dimensions"):
            if count > 1 and getattr(source, key) is not None:
                message = f"`{key}` of one file, but {show(uri)} matches {count}"
                hint = "one source per file, each with its own"
                yield problem(spec, (*loc, key), "glob-placement", message, hint)


def _is_of_records(uri: str) -> bool:
    return uri.lower().endswith((*SHARDS, MIXER))


def _records(
    spec: ImageSpec, loc: Loc, found: list[SourceFile], problems: list[Problem]
) -> list[SourceFile]:
    """Return the mixer among some files, with the others as its shards."""
    mixers = [file for file in found if file.uri.lower().endswith(MIXER)]
    shards = tuple(file for file in found if file not in mixers)
    if len(mixers) == 1 and shards:
        return [replace(mixers[0], shards=shards)]
    if not mixers:
        message = f"TFRecord files, but no mixer: {listed(file.uri for file in shards)}"
        hint = "add the mixer that the export wrote, `*-mixer.json`, to `uris`"
    elif shards:
        message = f"{len(mixers)} mixers: {listed(file.uri for file in mixers)}"
        hint = "one source per export: its shards and its mixer"
    else:
        message = f"a mixer, but no TFRecord files: {listed(file.uri for file in mixers)}"
        hint = "add its shards to `uris`, as in `[pred-*.tfrecord.gz, pred-mixer.json]`"
    problems.append(problem(spec, loc, "mixer", message, hint))
    return []
