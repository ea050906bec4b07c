"""Files that uris and globs name, and hints about missing ones."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.buckets.errors import BucketError
from geobatch.declare.files import in_bucket
from geobatch.declare.files.globs import OverdueError, Walk
from geobatch.declare.files.objects import ManyObjectsError
from geobatch.declare.files.order import in_order
from geobatch.declare.hints import listed, show, show_url
from geobatch.declare.projects.project import PROJECT_FILE, Location
from geobatch.model.limits import Limit
from geobatch.model.sources.url import parse_address
from geobatch.model.text.suggest import closest

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
GLOB = re.compile(r"[*?[]")
_SCHEMES = "`s3://`, `gs://`, `az://`, `abfs://`, `http://` and `https://`"
_OTHER_NAMES = {"gcs://": "gs://", "s3a://": "s3://", "s3n://": "s3://", "azure://": "az://"} | {
    f"wasb{s}://": "abfs://" for s in ("", "s")
}
"""What other programs call the schemes of buckets, and what specs do."""
_VIRTUAL_FOLDERS = {"vsis3": "s3://", "vsigs": "gs://", "vsiaz": "az://", "vsicurl": ""}
"""How GDAL's names of objects start, and how their uris do."""
MAX_SIBLINGS = 2000
"""How many names of a folder are compared for a hint."""


def folder_of(path: str) -> Path:
    """Return the absolute folder of a spec file, where its relative uris start."""
    return _folder(path, "" if os.path.isabs(path) else os.getcwd())  # noqa: PTH109, PTH117


@lru_cache(maxsize=1024)
def _folder(path: str, working: str) -> Path:
    """Return the folder; called for every spec of a file, and a file may have many."""
    return Path(os.path.normpath(os.path.join(working, path))).parent  # noqa: PTH118


def is_literal(location: Location) -> bool:
    """Return whether a uri names one file: it is no glob, or a file of that very name exists."""
    if not GLOB.search(location.name) or location.is_remote or unusable(location):
        return True
    return in_bucket.is_its_name(location) if location.is_in_bucket else is_file(location)


def is_file(location: Location) -> bool:
    """Return whether a uri names a file; a uri that is too long for the system does not.

    Servers are not asked whether they have a file. A bucket is, once per run; of one that cannot
    be read, `missing` says what is wrong.
    """
    if location.is_remote:
        return True
    if location.is_in_bucket:
        return in_bucket.is_object(location)
    path = os.path.join(location.folder, location.name)  # noqa: PTH118 - by the thousand
    return os.path.isfile(path)  # noqa: PTH113 - likewise


def is_absent(location: Location) -> bool:
    """Return whether it is certain that there is no file of a name without wildcards."""
    if location.is_in_bucket:
        return in_bucket.is_absent(location)
    return not is_file(location)


def is_broken(location: Location) -> bool:
    """Return whether a name is that of a broken link."""
    path = os.path.join(location.folder, location.name)  # noqa: PTH118 - by the thousand
    return os.path.islink(path) and not os.path.exists(path)  # noqa: PTH110, PTH114 - never raise


class Matches(Struct, frozen=True, kw_only=True):
    """What a glob matches: files and broken links in order, spelled from where the glob starts."""

    files: list[str]
    """Files; folders are passed over."""
    links: list[str]
    """Broken links."""
    problem: tuple[str, str, str | None] | None = None
    """Rule, message and hint, if it does not match what it should."""


def matches(location: Location, *, is_hinted: bool = True) -> Matches:
    """Return what a glob matches.

    Args:
        location: The glob.
        is_hinted: Whether a problem gets a hint that takes a while.
    """
    if location.is_in_bucket:
        return _matched_objects(location)
    walk = Walk(folder=str(location.folder))
    try:
        names = set(walk.names(location.name))
    except OverdueError as error:
        return Matches(files=[], links=[], problem=_over(location, error.limit))
    files = in_order(name for name in names if name in walk.files or is_file(location.file(name)))
    links = in_order(name for name in names - set(files) if is_broken(location.file(name)))
    problem: tuple[str, str, str | None] | None = None
    if walk.closed:
        problem = ("unreadable-source", *closed(location, list(walk.closed)))
    elif links:
        problem = ("missing-file", *broken(location, links))
    elif not files:
        problem = ("missing-file", *unmatched(location, is_hinted=is_hinted))
    return Matches(files=files, links=links, problem=problem)


def _matched_objects(location: Location) -> Matches:
    try:
        files = in_order(in_bucket.matched(location))
    except ManyObjectsError as error:
        return Matches(files=[], links=[], problem=_over(location, error.limit))
    except BucketError as error:
        problem = (in_bucket.UNREADABLE, *in_bucket.refused(location, error))
        return Matches(files=[], links=[], problem=problem)
    if files or location.known.is_offline:
        return Matches(files=files, links=[])
    problem = ("missing-file", *unmatched(location, is_hinted=False))
    return Matches(files=[], links=[], problem=problem)


def _over(location: Location, limit: Limit) -> tuple[str, str, str]:
    message = f"{show(location.uri)} would search more than {limit.value:,} {limit.unit}"
    return "glob-limit", message, f"name the folders to search; or, {limit.hint()}"


def closed(location: Location, folders: Sequence[str]) -> tuple[str, str | None]:
    """Return a message that a glob cannot search some folders, and a hint."""
    more = f", and {len(folders) - 1} more" if len(folders) > 1 else ""
    message = f"{show(location.uri)} cannot be searched in {folders[0]}{more}"
    return (message, "make the folder readable, or name the folders to search")


def split_generation(location: Location) -> tuple[Location, str]:
    """Return a location without its `#generation`, and that; a file's name may contain `#`."""
    if not location.is_away and is_file(location):
        return location, ""
    name, _, generation = location.name.partition("#")
    end = len(location.name) - len(name)
    uri = location.uri[: len(location.uri) - end]
    return replace(location, uri=uri, name=name), generation


def unusable(location: Location) -> tuple[str, str | None] | None:
    """Return why a uri can name neither a file nor an object, and a hint; None if it can."""
    uri = location.name
    if location.is_remote:
        return _no_address(uri)
    if location.is_in_bucket:
        return in_bucket.unusable(location)
    if match := SCHEME.match(uri):
        rest = uri[match.end() :]
        prefix = match[0] + rest.partition("/")[0]
        hint = (
            f'in `{PROJECT_FILE}`, beside or above the specs: `uri_map: {{"{prefix}/": data/}}`;'
            f" buckets and servers are read by {_SCHEMES}"
        )
        scheme = match[0].lower()
        if scheme == "file://":
            hint = f"write the path: {show(rest)}"
        elif scheme in _OTHER_NAMES:
            rest = rest.replace(".blob.core.windows.net/", ".dfs.core.windows.net/", 1)
            hint = f"write {show(_OTHER_NAMES[scheme] + rest)}; or, {hint}"
        message = f"{show(uri)}: {show(match[0])} needs a local folder in `uri_map`"
        return (message, hint)
    if uri.lower().startswith("/vsi"):
        folder, _, rest = uri[1:].partition("/")
        start = _VIRTUAL_FOLDERS.get(folder.lower().removesuffix("_streaming"))
        hint = "use a local file" if start is None else f"write {show(start + rest)}"
        return (f"{show(uri)}: GDAL's virtual files are not supported", hint)
    if "\0" in uri:
        return ("a uri may not hold the character `U+0000`", None)
    return None


def _no_address(url: str) -> tuple[str, str | None] | None:
    try:
        parse_address(url)
    except ValueError as error:
        return (
            f"{show_url(url)} is not a valid URL: {error}",
            "write it as in `https://host/file.tif`",
        )
    if "*" in url.partition("?")[0]:
        hint = "list the URLs; or name the bucket, as in `gs://bucket/*.tif`"
        return (f"{show(url)}: servers cannot be searched", hint)
    return None


def missing(location: Location, *, is_hinted: bool = True) -> tuple[str, str, str | None]:
    """Return the rule, why a uri names no file, and a hint, which takes a while."""
    if location.is_in_bucket:
        return in_bucket.missing(location)
    path = location.folder / location.name
    if os.path.isdir(path):  # noqa: PTH112 - no exceptions for odd names
        files = f"write `{location.uri.rstrip('/')}/*.tif`"
        return "missing-file", f"{show(location.uri)} is a folder", files
    if os.path.lexists(path):
        message = f"{show(location.uri)} is not a regular file, or is a broken link"
        return "missing-file", message, None
    hint = nearest(location.name, location.folder) if is_hinted else None
    return "missing-file", f"no file {show(location.uri)}{_mirrored(location)}", hint


def unmatched(location: Location, *, is_hinted: bool = True) -> tuple[str, str | None]:
    """Return a message that a glob matches no file, and a hint, which takes a while."""
    if location.is_in_bucket:
        return f"no object matches {show(location.uri)}", "`*` matches no `/`; `**/` does"
    message = f"no file matches {show(location.uri)}{_mirrored(location)}"
    return (message, nearest(location.name, location.folder) if is_hinted else None)


def broken(location: Location, links: Sequence[str]) -> tuple[str, str | None]:
    """Return a message that a glob matches broken links, and a hint."""
    more = f", and {len(links) - 1} more" if len(links) > 1 else ""
    first = show(location.file(links[0]).uri)
    message = f"{show(location.uri)} matches {first}{more}: the link is broken"
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
