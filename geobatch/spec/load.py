"""Spec files to a SpecSet, or every problem of every file at once."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geobatch.errors import Problem, SpecError
from geobatch.spec.files import MAX_BYTES, folder_of
from geobatch.spec.garbage import without_collecting
from geobatch.spec.hints import show
from geobatch.spec.known import Known, SpecCache
from geobatch.spec.nouns import ImageSpec, SpecSet
from geobatch.spec.project import PROJECT_FILE
from geobatch.spec.projects import Projects

if TYPE_CHECKING:
    from geobatch.spec.drafting import Drafting

SUFFIXES = (".yaml", ".yml", ".json")
_OTHERS = frozenset({"geobatch.json", "zarr.json"})
"""Documents of a store and of a Zarr tree: what lies beside or below them is no spec."""
_MIXER_KEYS = (b'"patchDimensions"', b'"patchesPerRow"', b'"totalPatches"')
_MIXER_BYTES = 64 << 10


def load(
    paths: Sequence[Path], *, keep_project_prefix: bool = False, cache: SpecCache | None = None
) -> SpecSet:
    """Read spec files, and folders of them, into one set of specs.

    Folders are searched to their depth for `*.yaml`, `*.yml` and `*.json`; names that begin with
    a dot are passed over, and so are project files, stores, Zarr trees, and mixers of TFRecord
    exports. Sources are not looked at: `validate` does that too.

    Args:
        paths: Files or folders; messages name them as they are given.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        cache: What files came to in earlier runs, and is told of this one.

    Raises:
        SpecError: Something is wrong, or nothing is declared; carries every problem.
    """
    specs, problems = drafts(paths, keep_project_prefix=keep_project_prefix, cache=cache)
    raise_all(problems)
    return SpecSet(specs=tuple(sorted(specs, key=lambda spec: spec.id)))


@without_collecting()
def drafts(
    paths: Sequence[Path], *, keep_project_prefix: bool = False, cache: SpecCache | None = None
) -> tuple[list[ImageSpec], list[Problem]]:
    """Return every spec as far as it can be known, and every problem; arguments are `load`'s."""
    known = Known(cache)
    projects = Projects(keeps_prefix=keep_project_prefix, known=known)
    drafting: Drafting | None = None
    specs: list[ImageSpec] = []
    collections: list[ImageSpec] = []
    problems: list[Problem] = []
    for path in _files(paths, problems):
        project = projects.of(folder_of(str(path)))
        try:
            data = _bytes(path)
        except OSError as error:
            message = f"cannot read the file: {error.strerror or error}"
            problems.append(_file_problem(path, "unreadable-file", message, None))
            continue
        remembered = known.specs(str(path), data, project)
        if remembered is not None:
            specs += remembered
            continue
        if drafting is None:
            # Reading needs much that a file known from before does not.
            from geobatch.spec.drafting import Drafting  # noqa: PLC0415

            drafting = Drafting()
        made = drafting.file(data, path=str(path), project=project)
        specs += made.specs
        collections += made.collections
        problems += made.problems
        if made.is_plain:
            known.learn_specs(str(path), data, made.specs, project)
    problems += projects.problems
    problems += _clashes(specs)
    problems += _claims(specs)
    problems += _doubles(collections)
    if not specs and not problems:
        where = Path(paths[0]) if paths else Path()
        message = f"no asset is declared: no {', '.join(SUFFIXES)} file here"
        hint = "name a spec file, or a folder that holds one"
        problems.append(_file_problem(where, "empty-set", message, hint))
    return specs, problems


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise the problems, sorted by place and without doubles.

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
    problems: list[Problem] = []
    files = tuple(_files(paths, problems))
    raise_all(problems)
    return files


def _files(paths: Sequence[Path], problems: list[Problem]) -> Iterator[Path]:
    seen: set[str] = set()
    folders: dict[str, str] = {}
    for path in map(Path, paths):
        if not os.path.lexists(path):
            hint = "name a spec file or a folder of them"
            problems.append(_file_problem(path, "missing-spec", "no such file or folder", hint))
            continue
        for file in sorted(_walk(path, problems)) if path.is_dir() else [str(path)]:
            real = _real(file, folders)
            if real not in seen and os.path.basename(file) != PROJECT_FILE:  # noqa: PTH119
                seen.add(real)
                yield Path(file)


def _bytes(path: Path) -> bytes:
    """Return a file's bytes, one more than allowed at most."""
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        # A file that can tell its size needs no buffer for the largest; a pipe cannot.
        return stream.read() if 0 < size <= MAX_BYTES else stream.read(MAX_BYTES + 1)


def _real(file: str, folders: dict[str, str]) -> str:
    """Return the real path of a file; links in its folder's path are followed once per folder."""
    if os.path.islink(file):  # noqa: PTH114 - by the thousand, here and below
        return os.path.realpath(file)
    folder, name = os.path.split(file)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    return os.path.join(folders[folder], name)  # noqa: PTH118


def _walk(folder: Path, problems: list[Problem]) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        place = Path(error.filename)
        message = f"cannot read the folder: {error.strerror or error}"
        problems.append(_file_problem(place, "unreadable-file", message, None))

    for parent, folders, names in os.walk(folder, onerror=refuse):
        if not _OTHERS.isdisjoint(names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118
            is_named_so = name.lower().endswith(SUFFIXES) and not name.startswith(".")
            if is_named_so and not _is_stream(path) and not _is_mixer(path):
                yield path


def _is_stream(path: str) -> bool:
    """Return whether a path is what reading would wait at: a pipe, a socket or a device."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - likewise
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_mixer(path: str) -> bool:
    """Return whether a file is the mixer of an export, which lies where the specs lie at times."""
    if not path.lower().endswith(".json"):
        return False
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - likewise
            data = stream.read(_MIXER_BYTES + 1)
    except OSError:
        return False
    return len(data) <= _MIXER_BYTES and all(key in data for key in _MIXER_KEYS)


def _clashes(specs: list[ImageSpec]) -> Iterator[Problem]:
    first: dict[str, ImageSpec] = {}
    for spec in specs:
        if not spec.id:
            continue
        if spec.id in first:
            message = f"the asset {show(spec.id)} is declared twice"
            hint = f"it is declared at {_place(first[spec.id])} already"
            yield problem(spec, ("id",), "duplicate-asset", message, hint)
        first.setdefault(spec.id, spec)
    told: set[tuple[str, int]] = set()
    for spec in first.values():
        parts = spec.id.split("/")
        for length in range(1, len(parts)):
            folder = first.get("/".join(parts[:length]))
            if folder is None:
                continue
            # The images of a collection stand in one place: one of them tells of all.
            if (told_of := (folder.id, id(spec.positions))) not in told:
                told.add(told_of)
                message = f"{show(spec.id)} lies in {show(folder.id)}, which is an asset itself"
                hint = f"that one is declared at {_place(folder)}; an asset is no folder"
                yield problem(spec, ("id",), "asset-in-asset", message, hint)


def _claims(specs: list[ImageSpec]) -> Iterator[Problem]:
    """Report former ids that are declared as well, or that two assets claim."""
    declared = {spec.id: spec for spec in specs}
    first: dict[str, ImageSpec] = {}
    told: set[int] = set()
    for spec in specs:
        old = spec.moved_from
        # The images of a collection stand in one place: one of them tells of all.
        if old is None or id(spec.positions) in told:
            continue
        if old == spec.id:
            message, hint = f"{show(old)} is the asset's own id", "name the id that it had before"
        elif old in declared:
            message = f"{show(old)} is declared itself, so it is not this asset under another id"
            hint = (
                f"it is declared at {_place(declared[old])}; a chain of renames takes an apply each"
            )
        elif old in first:
            message = f"{show(old)} is claimed twice: by {show(first[old].id)} and {show(spec.id)}"
            hint = "an asset lives on under one id; leave `moved_from` away here"
        else:
            first[old] = spec
            continue
        told.add(id(spec.positions))
        yield problem(spec, ("moved_from",), "moved-from", message, hint)


def _doubles(collections: list[ImageSpec]) -> Iterator[Problem]:
    """Report collections of one id: what holds within a collection could not be checked."""
    first: dict[str, ImageSpec] = {}
    for spec in collections:
        if spec.id and spec.id in first:
            message = f"the collection {show(spec.id)} is declared twice"
            hint = f"it is declared at {_place(first[spec.id])} already; list all its `files` there"
            yield problem(spec, ("id",), "duplicate-asset", message, hint)
        first.setdefault(spec.id, spec)


def problem(
    spec: ImageSpec, loc: Sequence[str | int], rule: str, message: str, hint: str | None = None
) -> Problem:
    """Return a problem at an element of a spec.

    Args:
        spec: The spec.
        loc: Keys in snake_case and list indexes; the nearest known element around it serves.
        rule: Stable name of the broken rule.
        message: What is wrong, with the value in backticks.
        hint: What to write instead.
    """
    keys = tuple(loc)
    if keys == ("id",) and keys not in spec.positions.places:
        keys = ("name",)
    path, line, column = spec.where(*keys)
    return Problem(path=path, line=line, column=column, rule=rule, message=message, hint=hint)


def _place(spec: ImageSpec) -> str:
    found = problem(spec, ("id",), "", "")
    return f"{found.path}:{found.line}:{found.column}"


def _file_problem(path: Path, rule: str, message: str, hint: str | None) -> Problem:
    return Problem(path=str(path), line=1, column=1, rule=rule, message=message, hint=hint)
