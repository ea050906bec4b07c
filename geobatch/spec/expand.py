"""Uris of a spec to files: prefixes put, globs followed, and what cannot be found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from geobatch.errors import Problem
from geobatch.model.asset import Kind
from geobatch.spec.files import (
    folder_of,
    is_file,
    is_literal,
    is_remote,
    matches,
    missing,
    nearest,
    split_generation,
    unusable,
)
from geobatch.spec.hints import show
from geobatch.spec.load import drafts, problem, raise_all
from geobatch.spec.nouns import ImageSpec, SourceSpec, SpecSet


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
    url: str = ""
    """Where it is on a server, of an external image; the path then only tells it from others."""
    generation: str = ""
    """What follows `#` in the uri of an external image."""


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
        for tileset in spec.tilesets
        for source in tileset.sources
    )


def _expand(spec: ImageSpec) -> tuple[Expansion, list[Problem]]:
    problems: list[Problem] = []
    folder = folder_of(spec.path)
    find = _pinned if spec.kind is Kind.EXTERNAL_IMAGE else _find
    tilesets = tuple(
        tuple(
            found
            for number, source in enumerate(tileset.sources)
            for found in find(spec, folder, (index, number), source, problems)
        )
        for index, tileset in enumerate(spec.tilesets)
    )
    return Expansion(tilesets=tilesets), problems


def _pinned(
    spec: ImageSpec,
    folder: Path,
    place: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> Iterator[SourceFile]:
    """Yield the one COG of a source."""
    here = ("tilesets", place[0], "sources", place[1], "uris")
    if len(source.uris) > 1:
        message = f"{len(source.uris)} uris: a source of an external image is one COG"
        problems.append(problem(spec, (*here, 1), "external-image", message, "name one file"))
    uri, generation = split_generation(spec.uri_prefix + source.uris[0], folder)
    if complaint := unusable(uri, may_be_remote=True):
        problems.append(problem(spec, (*here, 0), "unsupported-uri", *complaint))
    elif is_remote(uri):
        path = Path(quote(uri, safe=""))
        yield SourceFile(uri=uri, path=path, url=uri, source=place[1], generation=generation)
    elif is_file(uri, folder):
        path = folder / uri
        yield SourceFile(uri=uri, path=path, source=place[1], generation=generation)
    elif is_literal(uri, folder):
        problems.append(problem(spec, (*here, 0), "missing-file", *missing(uri, folder)))
    else:
        message = f"{show(uri)} is a glob: a source of an external image is one COG"
        hint = "name one file; `kind: image_collection` makes an image of each file of a glob"
        problems.append(problem(spec, (*here, 0), "external-image", message, hint))


def _find(
    spec: ImageSpec,
    folder: Path,
    place: tuple[int, int],
    source: SourceSpec,
    problems: list[Problem],
) -> Iterator[SourceFile]:
    loc = ("tilesets", place[0], "sources", place[1])
    uris = [spec.uri_prefix + uri for uri in source.uris]
    literal = [i for i, uri in enumerate(uris) if is_literal(uri, folder)]
    if len(uris) > 1 and literal:
        message = f"{len(uris)} uris in one source: sidecar files are not supported yet"
        at = literal[min(1, len(literal) - 1)]
        found = problem(
            spec, (*loc, "uris", at), "sidecar-unsupported", message, "one source per file"
        )
        problems.append(found)
    for index, uri in enumerate(uris):
        here = (*loc, "uris", index)
        if complaint := unusable(uri):
            problems.append(problem(spec, here, "unsupported-uri", *complaint))
        elif index in literal:
            if is_file(uri, folder):
                yield SourceFile(uri=uri, path=folder / uri, source=place[1], uri_index=index)
            else:
                problems.append(problem(spec, here, "missing-file", *missing(uri, folder)))
        else:
            names = matches(uri, folder)
            if not names:
                message, hint = f"no file matches {show(uri)}", nearest(uri, folder)
                problems.append(problem(spec, here, "missing-file", message, hint))
            for key in ("affine_transform", "dimensions"):
                if len(names) > 1 and getattr(source, key) is not None:
                    message = f"`{key}` of one file, but {show(uri)} matches {len(names)}"
                    hint = "one source per file, each with its own"
                    problems.append(problem(spec, (*loc, key), "glob-placement", message, hint))
            for name in names:
                yield SourceFile(uri=name, path=folder / name, source=place[1], uri_index=index)
