"""Files that uris and globs name, and hints about missing ones."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from geobatch.declare.files.order import in_order
from geobatch.declare.hints import listed, show
from geobatch.declare.projects.project import PROJECT_FILE, Location
from geobatch.model.sources.url import parse_address
from geobatch.model.suggest import closest

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
GLOB = re.compile(r"[*?[]")
MAX_BYTES = 10 * 1024 * 1024
"""Earth Engine's limit for a manifest file."""
_BUCKETS = {
    "gs://": "https://storage.googleapis.com/{bucket}/{key}",
    "s3://": "https://{bucket}.s3.amazonaws.com/{key}",
}
"""Url of an object in a bucket, by scheme."""
MAX_SIBLINGS = 2000
"""How many names of a folder are compared for a hint."""


def folder_of(path: str) -> Path:
    """Return the absolute folder of a spec file, where its relative uris start."""
    return _folder(path, "" if os.path.isabs(path) else os.getcwd())  # noqa: PTH109, PTH117


@lru_cache(maxsize=1024)
def _folder(path: str, working: str) -> Path:
    """Return the folder; called for every spec of a file, and a file may have many."""
    return Path(os.path.normpath(os.path.join(working, path))).parent  # noqa: PTH118


def is_literal(uri: str, folder: Path) -> bool:
    """Return whether a uri names one file: it is no glob, or a file of that very name exists."""
    return not GLOB.search(uri) or bool(unusable(uri)) or is_file(uri, folder)


def is_file(uri: str, folder: Path) -> bool:
    """Return whether a uri names a file; a uri that is too long for the system does not."""
    return os.path.isfile(os.path.join(folder, uri))  # noqa: PTH113, PTH118 - by the thousand


def is_broken(uri: str, folder: Path) -> bool:
    """Return whether a name is that of a broken link."""
    path = os.path.join(folder, uri)  # noqa: PTH118 - by the thousand
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH110, PTH114 - never raise


def matches(pattern: str, folder: Path) -> tuple[list[str], list[str]]:
    """Return the files that a glob matches, and the broken links among its matches.

    Both are in order, and spelled from where the glob starts. Folders are passed over. Where a
    folder is called `data [2024]`, the brackets of `data [2024]/*.tif` are its own.
    """
    pattern = _escaped(pattern, folder)
    names = glob.glob(pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - keeps the spelling
    files = {name for name in names if is_file(name, folder)}
    links = {name for name in names if is_broken(name, folder)} - files
    return in_order(files), in_order(links)


def _escaped(pattern: str, folder: Path) -> str:
    """Return a glob whose brackets are literal where a folder has that very name."""
    parts = pattern.split("/")
    for count, part in enumerate(parts[:-1]):
        if GLOB.search(part):
            here = "/".join(parts[:count]).replace("[[]", "[") + "/" if count else ""
            if not os.path.isdir(os.path.join(folder, here + part)):  # noqa: PTH112, PTH118
                break
            parts[count] = part.replace("[", "[[]")
    return "/".join(parts)


def unreadable(pattern: str, folder: Path) -> list[str]:
    """Return the folders that a glob cannot search, with the reasons.

    Globbing passes them over, as if they held nothing.
    """
    found: dict[str, None] = {}
    pattern = _escaped(pattern, folder)
    parts = pattern.split("/")
    for count, part in enumerate(parts):
        if not GLOB.search(part):
            continue
        above = "/".join(parts[:count])
        if "**" in part:
            _search(os.path.join(folder, above), found)  # noqa: PTH118
            break
        names = [above.replace("[[]", "[")]
        if GLOB.search(above.replace("[[]", "")):
            names = glob.glob(f"{above}/", root_dir=folder)  # noqa: PTH207
        for name in names:
            _open(os.path.join(folder, name), found)  # noqa: PTH118
    return list(found)


def _search(folder: str, found: dict[str, None]) -> None:
    """Open a folder and all folders in it that are not hidden."""
    _open(folder, found)
    for parent, folders, _ in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            _open(os.path.join(parent, name), found)  # noqa: PTH118


def _open(folder: str, found: dict[str, None]) -> None:
    try:
        os.stat(os.path.join(folder, "."))  # noqa: PTH116, PTH118 - names can be looked up in it
        os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        found[f"`{folder}`: {error.strerror or error}"] = None


def closed(location: Location, folders: Sequence[str]) -> tuple[str, str | None]:
    """Return a message that a glob cannot search some folders, and a hint."""
    more = f", and {len(folders) - 1} more" if len(folders) > 1 else ""
    message = f"{show(location.uri)} cannot be searched in {folders[0]}{more}"
    return (message, "make the folder readable, or name the folders to search")


def is_remote(uri: str) -> bool:
    """Return whether a uri names an object on a server that is read by byte ranges."""
    return uri.lower().startswith(("http://", "https://"))


def split_generation(uri: str, folder: Path) -> tuple[str, str]:
    """Return a uri without its `#generation`, and the generation; a file's name may contain `#`."""
    if not is_remote(uri) and is_file(uri, folder):
        return uri, ""
    name, _, generation = uri.partition("#")
    return name, generation


def unusable(uri: str, *, may_be_remote: bool = False) -> tuple[str, str | None] | None:
    """Return why a uri cannot name a local file, and a hint; None if it can.

    Args:
        uri: The uri.
        may_be_remote: Whether an object on a server is allowed.
    """
    if may_be_remote and is_remote(uri):
        return _no_address(uri)
    if is_remote(uri):
        hint = "copy the file to a local disk, or let its pixels stay there: `kind: external_image`"
        return (f"{show(uri)}: files on servers cannot be ingested", hint)
    if match := SCHEME.match(uri):
        rest = uri[match.end() :]
        bucket, _, key = rest.partition("/")
        if match[0] == "file://":
            hint = f"write the path: {show(rest)}"
        elif may_be_remote and match[0].lower() in _BUCKETS:
            hint = f"write `{_BUCKETS[match[0].lower()].format(bucket=bucket, key=key)}`"
        else:
            prefix = match[0] + bucket
            hint = (
                f'in `{PROJECT_FILE}`, beside or above the specs: `uri_map: {{"{prefix}/": data/}}`'
            )
        message = f"{show(uri)}: {show(match[0])} needs a local folder in `uri_map`"
        return (message, hint)
    if uri.lower().startswith("/vsi"):
        return (f"{show(uri)}: GDAL's virtual files are not supported", "use a local file")
    if "\0" in uri:
        return ("a uri may not hold the character `U+0000`", None)
    return None


def _no_address(url: str) -> tuple[str, str | None] | None:
    try:
        parse_address(url)
    except ValueError as error:
        return (
            f"{show(url)} is not a valid URL: {error}",
            "write it as in `https://host/file.tif`",
        )
    return None


def missing(location: Location) -> tuple[str, str | None]:
    """Return why a uri names no file, and a hint."""
    path = location.folder / location.name
    if os.path.isdir(path):  # noqa: PTH112 - no exceptions for odd names
        return (f"{show(location.uri)} is a folder", f"write `{location.uri.rstrip('/')}/*.tif`")
    if os.path.lexists(path):
        return (f"{show(location.uri)} is not a regular file, or is a broken link", None)
    return (
        f"no file {show(location.uri)}{_mirrored(location)}",
        nearest(location.name, location.folder),
    )


def unmatched(location: Location) -> tuple[str, str | None]:
    """Return a message that a glob matches no file, and a hint."""
    message = f"no file matches {show(location.uri)}{_mirrored(location)}"
    return (message, nearest(location.name, location.folder))


def broken(location: Location, links: Sequence[str]) -> tuple[str, str | None]:
    """Return a message that a glob matches broken links, and a hint."""
    more = f", and {len(links) - 1} more" if len(links) > 1 else ""
    message = (
        f"{show(location.uri)} matches {show(location.uri_of(links[0]))}{more}: the link is broken"
    )
    return (message, "is a disk not mounted? remove links that you do not need")


def _mirrored(location: Location) -> str:
    return (
        ""
        if location.name == location.uri
        else f", in the mirror `{location.folder / location.name}`"
    )


def nearest(uri: str, folder: Path) -> str | None:
    """Return a hint: names like the first part of the path that does not exist."""
    parts = Path(uri).parts
    for index, part in enumerate(parts):
        parent = folder.joinpath(*parts[:index])
        if part != ".." and not os.path.lexists(parent / part):
            break
    else:
        return None
    names = _names(parent)
    close = closest(part, names, most=2, cutoff=0.5)
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
