"""Which store it is: its id and the version of its format, in `geobatch.json`."""

from __future__ import annotations

import json
import os
import uuid
from enum import StrEnum
from pathlib import Path
from shlex import quote

from geobatch.buckets.names import PROOFS
from geobatch.errors import CorruptObjectError, FormatError, NoStoreError, NotFoundError, StoreError
from geobatch.format.versions import FORMAT, TREE_FORMAT, check_format
from geobatch.model.digest import ALGORITHM, Json, canonical_json, digest_json
from geobatch.store.backends.protocol import RUNS, Backend
from geobatch.store.commits.refs import REFS

IDENTITY = "geobatch.json"
GITIGNORE = ".gitignore"
IGNORED = b"*\n"
"""What that says: a store beside specs is in a repository, and `git add -A` must not take it in."""
COPYING = "geobatch.copy.json"
"""A document that is there while a copy to a new store has not ended."""


def is_store(folder: Path) -> bool:
    """Return whether there is a store in a folder, even if unfinished, or without its identity."""
    names = (IDENTITY, COPYING)
    return any((folder / name).exists() for name in names) or (folder / REFS).is_dir()


def store_around(path: Path) -> Path | None:
    """Return the store that a path, with its links resolved, is in, or that it is; None if none."""
    return next((one for one in (path, *path.parents) if os.path.exists(one / IDENTITY)), None)  # noqa: PTH110 - never raises


class ZarrView(StrEnum):
    """What a store in a bucket keeps for readers without geobatch."""

    COPY = "copy"
    """A plain Zarr tree, and tables as Parquet files: copies of objects."""
    NONE = "none"
    """Documents that refer to the objects, so that nothing is stored twice."""


def read_views(backend: Backend) -> ZarrView | None:
    """Return the views that a store was created with; None if it is on a disk, or names none.

    Raises:
        FormatError: A newer geobatch created it.
        StoreError: The document cannot be read.
    """
    chosen = json.loads(backend.get(IDENTITY)).get("views", {}).get("zarr")
    if chosen is None:
        return None
    try:
        return ZarrView(chosen)
    except ValueError:
        raise FormatError(
            f"the store in `{backend.location}` has the unknown view `{chosen}`",
            hint="use a newer geobatch",
        ) from None


def check_views(backend: Backend, views: ZarrView | None) -> None:
    """Refuse views that a store was not created with; None is any.

    Raises:
        StoreError: It was created with others.
    """
    if views is None or (found := read_views(backend)) is views:
        return
    there = "none" if found is None else f"`zarr={found.value}`"
    raise StoreError(
        f"the store in `{backend.location}` was created with the views {there}, not"
        f" `zarr={views.value}`; they cannot be changed",
        hint="`geobatch copy` copies it to a new location, with the views that `--views` names",
    )


def read_identity(backend: Backend) -> str:
    """Return the id of a store.

    Raises:
        NoStoreError: There is none.
        FormatError: It was written by a newer geobatch.
        CorruptObjectError: What should say which store it is does not.
    """
    where = f"`{backend.location}`"
    try:
        data = backend.get(IDENTITY)
    except NotFoundError:
        if backend.size(COPYING) is not None:
            raise NoStoreError(
                f"a copy of a store to {where} has not ended",
                hint="run the same `geobatch copy` again: it sends what is missing",
            ) from None
        if has_refs(backend):
            raise CorruptObjectError(
                f"`{IDENTITY}` is missing in {where}, which holds commits", hint=_remedy(backend)
            ) from None
        raise NoStoreError(
            f"there is no geobatch store in {where}",
            hint="`geobatch init` or the first `geobatch apply` creates one; `--store` chooses "
            "the folder",
        ) from None
    try:
        document = json.loads(data)
        version, store_id, algorithm = document["format"], document["id"], document["digest"]
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptObjectError(
            f"`{IDENTITY}` in {where} does not identify a store: {error}",
            hint=_remedy(backend),
        ) from error
    check_format(version, f"the store in {where}", newest=TREE_FORMAT)
    if algorithm != ALGORITHM:
        raise FormatError(
            f"the store in {where} uses digests `{algorithm}`, expected `{ALGORITHM}`"
        )
    if (problem := _check_problem(document)) is not None:
        raise CorruptObjectError(
            f"`{IDENTITY}` in {where} is damaged: {problem}", hint=_remedy(backend)
        )
    return str(store_id)


def _remedy(backend: Backend) -> str:
    """Return the hint that gives a store an identity again."""
    hint = "restore the file from a copy of the store"
    if backend.local is None:
        again = f"geobatch fsck --repair --store {quote(str(backend.location))}"
        return f"{hint}, or give the store a new id: `{again}`"
    path, text = quote(str(backend.local.path(IDENTITY))), new_identity().decode()
    return f"{hint}, or give the store a new id: `rm -f {path} && printf '%s' '{text}' > {path}`"


def new_identity(views: ZarrView | None = None) -> bytes:
    """Return the document of a store that was never there before.

    Args:
        views: What it keeps for other readers, if it is in a bucket.
    """
    return _document(str(uuid.uuid4()), version=TREE_FORMAT, has_check=True, views=views)


def create_identity(backend: Backend, views: ZarrView | None) -> None:
    """Make a store of a location; if another process did, its identity stays.

    Args:
        backend: The location.
        views: What the store keeps for other readers if it is in a bucket; None for references.
    """
    chosen = (views or ZarrView.NONE) if backend.is_remote else views
    backend.create(IDENTITY, new_identity(chosen))
    backend.create(GITIGNORE, IGNORED)


def has_wrong_check(backend: Backend) -> bool:
    """Return whether the document contradicts itself: it is damaged, whatever format it says."""
    try:
        return _check_problem(json.loads(backend.get(IDENTITY))) is not None
    except (StoreError, ValueError, AttributeError):
        return False


def identity_problem(data: bytes) -> str | None:
    """Return what is wrong with the bytes of the document, or None.

    Of a store that an earlier version made, whose document has no `check`, another id is not
    noticed.
    """
    try:
        document = json.loads(data)
        store_id = str(uuid.UUID(document["id"]))
        chosen = document.get("views")
        views = None if chosen is None else ZarrView(chosen["zarr"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return "it does not identify a store"
    if (problem := _check_problem(document)) is not None:
        return problem
    known = (
        _document(store_id, version=version, has_check=has_check, views=views)
        for version in (FORMAT, TREE_FORMAT)
        for has_check in (True, False)
    )
    if data not in known:
        return "it is not the document that identifies a store"
    return None


def _document(store_id: str, *, version: int, has_check: bool, views: ZarrView | None) -> bytes:
    document: dict[str, Json] = {"format": version, "id": store_id, "digest": ALGORITHM}
    if views is not None:
        document["views"] = {"zarr": views.value}
    return canonical_json(document | ({"check": digest_json(document)} if has_check else {}))


def _check_problem(document: dict[str, object]) -> str | None:
    """Return the message of a document that is not what its `check` says; None without any."""
    check = document.get("check")
    if check is None:
        return None
    got = digest_json({key: value for key, value in document.items() if key != "check"})
    return None if got == check else f"its `check` is `{check}`, expected `{got}`"


def has_refs(backend: Backend) -> bool:
    """Return whether anything was published there, whatever else is missing."""
    return next(iter(backend.list(REFS)), None) is not None


def foreign_name(backend: Backend) -> str | None:
    """Return a name because of which no store can be created there; None without any."""
    # The others are of another run that creates the store just now.
    ours = (RUNS, PROOFS, GITIGNORE)
    return next((name for name in backend.list("") if not name.startswith(ours)), None)
