"""Whether a missing file was deleted or only cannot be seen; then its assets must stay."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from msgspec import Struct

from geobatch.declare.fields.names import without_project
from geobatch.declare.files.find import SCHEME, folder_of
from geobatch.declare.hints import listed
from geobatch.declare.specs import CollectionSpec, Seen

_NO_SIGN = frozenset({"lost+found"})
"""Names that even an empty disk contains."""


class Doubt(Struct, frozen=True, kw_only=True):
    """Why a file may still exist."""

    why: str
    """The reason, in words."""
    may_be_meant: bool = True
    """Whether the user may override it with `--max-delete`."""


def doubt_of_spec(origin: str, seen: Seen) -> Doubt | None:
    """Return why an asset's spec may still exist; None if the file was read or deleted.

    Args:
        origin: Absolute path of the spec file that published the asset.
        seen: What was read.
    """
    if seen.allowed is not None and not seen.allowed.holds(origin):
        return Doubt(why=f"its spec file `{origin}` may not be read", may_be_meant=False)
    try:
        status = os.stat(origin)  # noqa: PTH116 - by the thousand
    except OSError:
        return doubt_of(origin)
    if (status.st_dev, status.st_ino) in seen.files:
        return None
    return Doubt(why=f"its spec file `{origin}` exists and was not read", may_be_meant=False)


def doubt_of_images(asset_id: str, uris: tuple[str, ...], seen: Seen) -> Doubt | None:
    """Return why the files of a collection's image may still exist.

    Args:
        asset_id: Id of the image.
        uris: Of its sources, as they were declared.
        seen: What was read.
    """
    for collection in seen.collections:
        if not asset_id.startswith(f"{collection.id}/"):
            continue
        for uri in uris:
            location = _path(uri, collection)
            allowed = collection.project.allowed
            if location is not None and allowed is not None and not allowed.holds(location):
                return Doubt(why=f"`{uri}` may not be read", may_be_meant=False)
            doubt = None if location is None else doubt_of(location)
            if doubt is not None:
                return doubt
    return None


def _path(uri: str, spec: CollectionSpec) -> str | None:
    location = spec.project.locate(uri, folder_of(spec.path))
    return None if SCHEME.match(location.name) else str(location.path)


def doubt_of(path: str) -> Doubt | None:
    """Return why a missing file may still exist; None if it is present, or surely deleted."""
    name = path
    while True:
        try:
            os.stat(name)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            if os.path.islink(name):  # noqa: PTH114
                return Doubt(why=f"`{name}` is a broken link", may_be_meant=False)
        except OSError as error:
            why = f"`{name}` cannot be read: {error.strerror or error}"
            return Doubt(why=why, may_be_meant=False)
        else:
            return None if name == path else _emptied(name, below=path)
        if (parent := os.path.dirname(name)) == name:  # noqa: PTH120
            return None
        name = parent


def _emptied(folder: str, *, below: str) -> Doubt | None:
    """Return why a missing entry of a folder may still exist, by what the folder contains."""
    lost = Path(below).relative_to(folder).parts[0]
    try:
        with os.scandir(folder) as found:
            names = {entry.name for entry in found}
    except NotADirectoryError:
        return None
    except OSError as error:
        why = f"`{folder}` cannot be read: {error.strerror or error}"
        return Doubt(why=why, may_be_meant=False)
    if f".{lost}" in names:
        return Doubt(why=f"`{Path(folder, f'.{lost}')}` is hidden and was not read")
    if all(name.startswith(".") or name in _NO_SIGN for name in names):
        return Doubt(why=f"the folder `{folder}` is empty: is a disk not mounted?")
    return None


class Going(Struct, frozen=True, kw_only=True):
    """A published asset that is about to be deleted, because no spec declares it."""

    id: str
    """Asset id."""
    origin: str
    """Absolute path of the spec file that published it."""
    uris: tuple[str, ...]
    """Of its sources, as they were declared."""


def doubts(
    going: Sequence[Going], seen: Seen, *, declared: Collection[str], is_meant: bool
) -> tuple[str, ...]:
    """Return why assets may not be deleted, though no spec that was read declares them.

    Args:
        going: The assets.
        seen: What was read.
        declared: Ids of all declared assets.
        is_meant: Whether the user gave `--max-delete`, and so knows of the deletions.
    """
    ids = listed(one.id for one in going)
    found = [
        f"{ids} may still be declared: `{link}` is a broken link"
        for link in (seen.broken if going else ())
    ]
    assets: dict[str, list[str]] = {}
    bare = {without_project(name): name for name in declared}
    for one in going:
        doubt = doubt_of_spec(one.origin, seen) or doubt_of_images(one.id, one.uris, seen)
        if doubt is not None and not (is_meant and doubt.may_be_meant):
            allowed = f"; `--max-delete {len(going)}` allows it" if doubt.may_be_meant else ""
            assets.setdefault(doubt.why + allowed, []).append(one.id)
        elif (other := bare.get(without_project(one.id))) is not None:
            why = f"it is declared as `{other}`: did `keep_project_prefix` change?"
            assets.setdefault(why, []).append(one.id)
    found += [f"{listed(names)} may still be declared: {why}" for why, names in assets.items()]
    return tuple(found)
