"""Spec files to a SpecSet, or every problem of every file at once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.declare import loading
from geobatch.declare.files.find import folder_of
from geobatch.declare.files.objects import Objects
from geobatch.declare.files.spec_files import SUFFIXES, Walk, file_problem
from geobatch.declare.hints import show
from geobatch.declare.loading.garbage import without_collecting
from geobatch.declare.loading.spec_cache import SpecCache, SpecEntries
from geobatch.declare.projects.confine import Confine, confined, outside_problem
from geobatch.declare.projects.find import Projects
from geobatch.declare.spec_list import MadeSpecs, SpecList, ids_of, in_order
from geobatch.declare.spec_set import SpecSet
from geobatch.declare.specs import AssetSpec, CollectionSpec, Declaration, Seen
from geobatch.errors import Problem, SpecError
from geobatch.model.assets.names_by_case import folders, may_clash
from geobatch.model.limits import SPEC_BYTES

if TYPE_CHECKING:
    from geobatch.declare.loading.drafts import Drafting


def load(
    paths: Sequence[Path],
    *,
    keep_project_prefix: bool = False,
    cache: SpecEntries | None = None,
    confine: Confine | None = None,
) -> SpecSet:
    """Read spec files, and folders of them, into one set of specs.

    Folders are searched to their depth for `*.yaml`, `*.yml` and `*.json`, and links to folders
    are followed; names that start with a dot are skipped, and so are project files, stores,
    Zarr trees, and mixers of TFRecord exports. Sources are not checked: `validate` does that too.

    Args:
        paths: Files or folders; messages name them as they are given.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        cache: Results of files from earlier runs; receives those of this one.
        confine: Whether to read only the project's folder and what is allowed.

    Raises:
        SpecError: Something is wrong, or nothing is declared; carries every problem.
    """
    specs, problems, seen = drafts(
        paths, keep_project_prefix=keep_project_prefix, cache=cache, confine=confine
    )
    raise_all(problems)
    return SpecSet(specs=in_order(specs), seen=seen)


@without_collecting()
def drafts(
    paths: Sequence[Path],
    *,
    keep_project_prefix: bool = False,
    cache: SpecEntries | None = None,
    confine: Confine | None = None,
    is_offline: bool = False,
) -> tuple[Sequence[AssetSpec], list[Problem], Seen]:
    """Return every spec as far as it is valid, every problem, and what was read.

    Arguments are `load`'s, and whether no bucket is asked.
    """
    cached = SpecCache(cache)
    run = None if confine is None else confined(confine, paths)
    objects = Objects(is_offline=is_offline)
    projects = Projects(
        allowed=run, keeps_prefix=keep_project_prefix, objects=objects, cache=cached
    )
    drafting: Drafting | None = None
    held: list[AssetSpec] = []
    large: list[MadeSpecs] = []
    collections: list[CollectionSpec] = []
    problems: list[Problem] = []
    walk = Walk(allowed=run)
    read: set[tuple[int, int]] = set()
    for path in walk.files(paths):
        project = projects.of(folder_of(str(path)))
        if project.allowed is not None and not project.allowed.holds(os.path.abspath(path)):  # noqa: PTH100
            problems.append(outside_problem(path, project.allowed))
            continue
        try:
            data = bounded_bytes(path, read)
        except OSError as error:
            message = f"cannot read the file: {error.strerror or error}"
            problems.append(file_problem(path, "unreadable-file", message, None))
            continue
        found = cached.specs(str(path), data, project)
        if found is not None:
            held += found
            continue
        if drafting is None:
            drafting = loading.Drafting(cached)
        made = drafting.file(data, path=str(path), project=project)
        held += made.specs
        large += made.large
        collections += made.collections
        problems += made.problems
        if made.is_plain:
            cached.put_specs(str(path), data, made.specs, project)
    problems += walk.problems
    problems += projects.problems
    specs: Sequence[AssetSpec] = SpecList(held, large) if large else held
    if not large or may_clash(ids_of(specs)):
        problems += _clashes([*held, *itertools.chain(*large)])
        problems += _alike([*held, *itertools.chain(*large)])
    if any(spec.moved_from for spec in held):
        problems += _claims([*held, *itertools.chain(*large)])
    problems += _doubles(collections)
    if not specs and not problems and not objects.unchecked:
        where = Path(paths[0]) if paths else Path()
        message = f"no asset is declared: no {', '.join(SUFFIXES)} file here"
        hint = "name a spec file, or a folder that holds one"
        problems.append(file_problem(where, "empty-set", message, hint))
    seen = Seen(
        files=frozenset(read),
        linked=tuple(walk.linked),
        broken=tuple(walk.broken),
        allowed=run,
        collections=tuple(collections),
        objects=objects,
    )
    return specs, problems, seen


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise the problems, sorted by position and without duplicates.

    Raises:
        SpecError: There are any.
    """

    def order(problem: Problem) -> tuple[str, int, int, str, str]:
        return (problem.path, problem.line, problem.column, problem.rule, problem.message)

    every = sorted(dict.fromkeys(problems), key=order)
    if every:
        raise SpecError(tuple(every))


def spec_files(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the spec files that some paths name, folders searched.

    Raises:
        SpecError: A path does not exist.
    """
    walk = Walk()
    files = tuple(walk.files(paths))
    raise_all(walk.problems)
    return files


def bounded_bytes(path: Path, read: set[tuple[int, int]] | None = None) -> bytes:
    """Return a file's bytes, one more than allowed at most, and note which file it is."""
    with path.open("rb") as stream:
        status = os.fstat(stream.fileno())
        size = status.st_size
        if read is not None:
            read.add((status.st_dev, status.st_ino))
        # A file with a cached size needs no buffer of the maximum; a pipe does.
        most = SPEC_BYTES.value
        return stream.read() if 0 < size <= most else stream.read(most + 1)


def _clashes(specs: list[AssetSpec]) -> Iterator[Problem]:
    first: dict[str, AssetSpec] = {}
    for spec in specs:
        if not spec.id:
            continue
        if spec.id in first:
            message = f"the asset {show(spec.id)} is declared twice"
            hint = f"{_position(first[spec.id])} already declares it; choose another id"
            yield problem(spec, ("id",), "duplicate-asset", message, hint)
        first.setdefault(spec.id, spec)
    reported: set[tuple[str, int]] = set()
    for spec in first.values():
        parts = spec.id.split("/")
        for length in range(1, len(parts)):
            folder = first.get("/".join(parts[:length]))
            if folder is None:
                continue
            # The images of a collection have one position: one of them represents all.
            if (reported_id := (folder.id, id(spec.positions))) not in reported:
                reported.add(reported_id)
                message = f"{show(spec.id)} is inside {show(folder.id)}, which is itself an asset"
                hint = f"{_position(folder)} declares that asset; an asset cannot be a folder"
                yield problem(spec, ("id",), "asset-in-asset", message, hint)


def _alike(specs: list[AssetSpec]) -> Iterator[Problem]:
    """Report ids or folders of ids that differ only by case."""
    first: dict[str, tuple[str, AssetSpec]] = {}
    reported: set[tuple[str, str]] = set()
    for spec in specs:
        for folder in folders(spec.id):
            other, same = first.setdefault(folder.casefold(), (folder, spec))
            if other != folder and (other, folder) not in reported:
                reported.add((other, folder))
                inside = f", in {show(folder)} and {show(other)}" if folder != spec.id else ""
                message = (
                    f"{show(spec.id)} and {show(same.id)} differ only by case{inside}: on many"
                    " disks they are one folder"
                )
                hint = f"{_position(same)} declares the other one"
                yield problem(spec, ("id",), "duplicate-asset", message, hint)


def _claims(specs: list[AssetSpec]) -> Iterator[Problem]:
    """Report former ids that are also declared, or that two assets claim."""
    declared = {spec.id: spec for spec in specs}
    first: dict[str, AssetSpec] = {}
    reported: set[int] = set()
    for spec in specs:
        old = spec.moved_from
        # The images of a collection have one position: one of them represents all.
        if old is None or id(spec.positions) in reported:
            continue
        if old == spec.id:
            message, hint = f"{show(old)} is the asset's own id", "write the former id"
        elif old in declared:
            message = f"{show(old)} is declared too, so it cannot be the former id of this asset"
            other = _position(declared[old])
            hint = f"{other} declares it; rename in a chain with one apply per rename"
        elif old in first:
            message = f"{show(old)} is claimed twice: by {show(first[old].id)} and {show(spec.id)}"
            hint = "only one asset can take its tiles; remove `moved_from` here"
        else:
            first[old] = spec
            continue
        reported.add(id(spec.positions))
        yield problem(spec, ("moved_from",), "moved-from", message, hint)


def _doubles(collections: list[CollectionSpec]) -> Iterator[Problem]:
    """Report collections of one id: what holds within a collection could not be checked."""
    first: dict[str, CollectionSpec] = {}
    for spec in collections:
        if spec.id and spec.id in first:
            message = f"the collection {show(spec.id)} is declared twice"
            hint = f"{_position(first[spec.id])} already declares it; list all its `files` there"
            yield problem(spec, ("id",), "duplicate-asset", message, hint)
        first.setdefault(spec.id, spec)


def problem(
    spec: Declaration, loc: Sequence[str | int], rule: str, message: str, hint: str | None = None
) -> Problem:
    """Return a problem at an element of a spec.

    Args:
        spec: The spec.
        loc: Keys in snake_case and list indexes; the nearest element that exists around it serves.
        rule: Stable name of the broken rule.
        message: What is wrong, with the value in backticks.
        hint: What to write instead.
    """
    keys = tuple(loc)
    if keys == ("id",) and keys not in spec.positions.by_loc:
        keys = ("name",)
    path, line, column = spec.where(*keys)
    return Problem(path=path, line=line, column=column, rule=rule, message=message, hint=hint)


def _position(spec: Declaration) -> str:
    found = problem(spec, ("id",), "", "")
    return f"{found.path}:{found.line}:{found.column}"
