"""Uris of a spec to files: prefixes put, globs followed, and what cannot be found."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from geobatch.errors import Problem
from geobatch.spec.hints import listed, show
from geobatch.spec.load import drafts, problem, raise_all
from geobatch.spec.nouns import ImageSpec, SourceSpec, SpecSet

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
GLOB = re.compile(r"[*?[]")
MAX_SIBLINGS = 2000
"""How many names of a folder are compared for a hint."""


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
    for spec in specs:
        problems += _expand(spec)[1]
    raise_all(problems)
    return SpecSet(specs=tuple(sorted(specs, key=lambda spec: spec.id)))


def _expand(spec: ImageSpec) -> tuple[Expansion, list[Problem]]:
    problems: list[Problem] = []
    folder = Path(os.path.abspath(spec.path)).parent  # noqa: PTH100 - Path.resolve follows links
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
    uris = [spec.uri_prefix + uri for uri in source.uris]
    literal = [i for i, uri in enumerate(uris) if _is_literal(uri, folder)]
    if len(uris) > 1 and literal:
        message = f"{len(uris)} uris in one source: sidecar files are not supported yet"
        at = literal[min(1, len(literal) - 1)]
        found = problem(
            spec, (*loc, "uris", at), "sidecar-unsupported", message, "one source per file"
        )
        problems.append(found)
    for index, uri in enumerate(uris):
        here = (*loc, "uris", index)
        if complaint := _unusable(uri):
            problems.append(problem(spec, here, "unsupported-uri", *complaint))
        elif index in literal:
            if os.path.isfile(folder / uri):  # noqa: PTH113 - a name too long is no exception
                yield SourceFile(uri=uri, path=folder / uri, source=place[1], uri_index=index)
            else:
                problems.append(problem(spec, here, "missing-file", *_missing(uri, folder)))
        else:
            names = _matches(uri, folder)
            if not names:
                message, hint = f"no file matches {show(uri)}", _nearest(uri, folder)
                problems.append(problem(spec, here, "missing-file", message, hint))
            for key in ("affine_transform", "dimensions"):
                if len(names) > 1 and getattr(source, key) is not None:
                    message = f"`{key}` of one file, but {show(uri)} matches {len(names)}"
                    hint = "one source per file, each with its own"
                    problems.append(problem(spec, (*loc, key), "glob-placement", message, hint))
            for name in names:
                yield SourceFile(uri=name, path=folder / name, source=place[1], uri_index=index)


def _is_literal(uri: str, folder: Path) -> bool:
    return not GLOB.search(uri) or bool(_unusable(uri)) or os.path.isfile(folder / uri)  # noqa: PTH113


def _matches(pattern: str, folder: Path) -> list[str]:
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - keeps the spelling
    return sorted({name for name in names if os.path.isfile(folder / name)})  # noqa: PTH113


def _unusable(uri: str) -> tuple[str, str | None] | None:
    if match := SCHEME.match(uri):
        path = uri[match.end() :]
        hint = f"write the path: {show(path)}" if match[0] == "file://" else "name a local file"
        return (f"{show(uri)}: uris with {show(match[0])} are not supported yet", hint)
    if uri.lower().startswith("/vsi"):
        return (f"{show(uri)}: GDAL's virtual files are not supported", "name a local file")
    if "\0" in uri:
        return ("a uri may not hold the character `U+0000`", None)
    return None


def _missing(uri: str, folder: Path) -> tuple[str, str | None]:
    path = folder / uri
    if os.path.isdir(path):  # noqa: PTH112 - no exceptions for odd names
        return (f"{show(uri)} is a folder", f"write `{uri.rstrip('/')}/*.tif`")
    if os.path.lexists(path):
        return (f"{show(uri)} is not a regular file, or its link leads nowhere", None)
    return (f"no file {show(uri)}", _nearest(uri, folder))


def _nearest(uri: str, folder: Path) -> str | None:
    """Return a hint: names like the first part of the path that does not exist."""
    parts = Path(uri).parts
    for index, part in enumerate(parts):
        parent = folder.joinpath(*parts[:index])
        if part != ".." and not os.path.lexists(parent / part):
            break
    else:
        return None
    names = _names(parent)
    close = difflib.get_close_matches(part, names, n=2, cutoff=0.5)
    if close:
        meant = " or ".join(show(str(Path(*parts[:index], name))) for name in close)
        return f"did you mean {meant}?"
    where = f"the folder `{parent}`"
    return f"{where} holds {listed(names[:8])}" if names else f"{where} is empty or missing"


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name for entry, _ in zip(entries, range(MAX_SIBLINGS), strict=False)
            )
    except (OSError, ValueError):
        return []
