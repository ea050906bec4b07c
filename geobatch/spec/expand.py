"""Uris of a spec to files: prefixes put, globs followed, and what cannot be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geobatch.errors import Problem
from geobatch.spec.files import (
    folder_of,
    is_file,
    is_literal,
    matches,
    missing,
    unmatched,
    unusable,
)
from geobatch.spec.hints import show
from geobatch.spec.load import drafts, problem, raise_all
from geobatch.spec.nouns import ImageSpec, Loc, SourceSpec, SpecSet
from geobatch.spec.project import Place
from geobatch.spec.sidecars import PROJECTION, WORLD, is_placing, refusal, suffix_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file that a source of a spec names."""

    uri: str
    """As the spec spells it, prefix put and glob followed."""
    path: Path
    """Absolute."""
    source: int
    """Index of the source in its tileset."""
    uri_index: int = 0
    """Index of the uri in its source."""
    world: Path | None = None
    """World file that places it, if one is declared."""
    projection: Path | None = None
    """File with the WKT of its CRS, if one is declared."""


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


def validate(paths: Sequence[Path], *, keep_project_prefix: bool = False) -> SpecSet:
    """Load specs and find their files.

    Args:
        paths: Files or folders; messages name them as they are given.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.

    Raises:
        SpecError: Something is wrong; carries every problem of every file, sources included.
    """
    specs, problems = drafts(paths, keep_project_prefix=keep_project_prefix)
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
            for found in _find(spec, folder, (index, number), source, problems)
        )
        for index, tileset in enumerate(spec.tilesets)
    )
    return Expansion(tilesets=tilesets), problems


def _find(
    spec: ImageSpec,
    folder: Path,
    place: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> Iterator[SourceFile]:
    loc = ("tilesets", place[0], "sources", place[1])
    spots = [spec.project.place(spec.uri_prefix + uri, folder) for uri in source.uris]
    literal = [i for i, spot in enumerate(spots) if is_literal(spot.name, spot.folder)]
    _check_beside(spec, loc, spots, literal, problems)
    world = next((s for s in spots[1:] if suffix_of(s.name) in WORLD), None)
    projection = next((s for s in spots[1:] if suffix_of(s.name) in PROJECTION), None)
    for index, spot in enumerate(spots):
        here = (*loc, "uris", index)
        if complaint := unusable(spot.name):
            problems.append(problem(spec, here, "unsupported-uri", *complaint))
        elif index not in literal:
            for name in _names(spec, loc, index, spot, problems):
                uri, path = spot.uri_of(name), spot.folder / name
                yield SourceFile(uri=uri, path=path, source=place[1], uri_index=index)
        elif not is_file(spot.name, spot.folder):
            problems.append(problem(spec, here, "missing-file", *missing(spot)))
        elif not (index and is_placing(spot.name)):
            yield SourceFile(
                uri=spot.uri,
                path=spot.path,
                source=place[1],
                uri_index=index,
                world=world.path if world else None,
                projection=projection.path if projection else None,
            )


def _check_beside(
    spec: ImageSpec,
    loc: Loc,
    spots: Sequence[Place],
    literal: Sequence[int],
    problems: list[Problem],
) -> None:
    """Report a file that may not stand beside others in one source."""
    if len(spots) == 1 or not literal:
        return
    is_of_one = 0 in literal
    for index in literal:
        if index and not (is_of_one and is_placing(spots[index].name)):
            words = refusal(spots[index].uri, len(spots), is_of_one=is_of_one)
            at = (*loc, "uris", index)
            problems.append(problem(spec, at, "sidecar-unsupported", *words))
            return


def _names(
    spec: ImageSpec, loc: Loc, index: int, spot: Place, problems: list[Problem]
) -> list[str]:
    """Return the files that a glob matches, below the folder of its place."""
    names = matches(spot.name, spot.folder)
    if not names:
        at = (*loc, "uris", index)
        problems.append(problem(spec, at, "missing-file", *unmatched(spot)))
    source = spec.tilesets[int(loc[1])].sources[int(loc[3])]
    for key in ("affine_transform", "dimensions"):
        if len(names) > 1 and getattr(source, key) is not None:
            message = f"`{key}` of one file, but {show(spot.uri)} matches {len(names)}"
            hint = "one source per file, each with its own"
            problems.append(problem(spec, (*loc, key), "glob-placement", message, hint))
    return names
