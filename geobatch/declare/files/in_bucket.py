"""What uris of buckets name: objects, globs over objects, or nothing; and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from geobatch.buckets.errors import BucketError, Failure
from geobatch.declare.files.bucket_globs import is_key, matching, prepare_lists
from geobatch.declare.files.globs import MAGIC
from geobatch.declare.files.objects import ManyObjectsError
from geobatch.declare.hints import show, show_url
from geobatch.declare.projects.project import Location
from geobatch.model.sources.pin import Remote

UNREADABLE = "unreadable-source"
"""Rule of the problem that a bucket cannot be read."""


class Found(Struct, frozen=True, kw_only=True):
    """An object that a uri names."""

    url: str
    """Its url, without a generation."""
    state: Remote | None = None
    """Its state; None if nothing is requested."""
    generation: str = ""
    """What follows `#` in the uri."""


def find(location: Location) -> Found | None:
    """Return the object that a uri names, in the state that it names; None if there is none.

    A key may contain `#`; only if there is no such object, a generation follows it.
    """
    known = location.known
    if known.is_offline:
        known.unchecked.add(location.uri)
        return Found(url=location.name)
    try:
        url = location.bucket_url
        state = known.state(url)
        if state is not None:
            return Found(url=location.name, state=state)
        key, mark, generation = url.key.partition("#")
        state = known.state_at(url.at(key), generation) if mark and generation else None
    except (BucketError, ValueError):
        return None
    name = location.name.partition("#")[0]
    return None if state is None else Found(url=name, state=state, generation=generation)


def is_object(location: Location) -> bool:
    """Return whether a uri names an object; if nothing is requested, it is taken to."""
    return find(location) is not None


def is_absent(location: Location) -> bool:
    """Return whether it is certain that a uri without wildcards names no object."""
    if location.known.is_offline:
        return False
    try:
        return location.known.state(location.bucket_url) is None and find(location) is None
    except (BucketError, ValueError):
        return False


def is_its_name(location: Location) -> bool:
    """Return whether a uri with wildcards is the name of an object; a list shows that."""
    try:
        url = location.bucket_url
        return not location.known.is_offline and is_key(url, location.known)
    except (BucketError, ManyObjectsError, ValueError):
        return False


def matched(location: Location) -> Iterator[str]:
    """Yield the uris that a glob matches, spelled as it is, in no order.

    Raises:
        BucketError: There is no such bucket, or a request failed.
        ManyObjectsError: There are too many objects to list.
    """
    known, url = location.known, location.bucket_url
    if known.is_offline:
        known.unchecked.add(location.uri)
        return
    start = location.name[: len(location.name) - len(url.key)]
    yield from (start + key for key in matching(url, known))


def refused(location: Location, error: BucketError) -> tuple[str, str | None]:
    """Return a message that a bucket cannot be read, and a hint."""
    hint = error.hint
    if "invalid path" in error.message:  # the library's words for a key that it refuses in a list
        hint = "rename that object, or name a folder without it; literal uris need no list"
    return f"{show(location.uri)}: {error.message}", hint


def missing(location: Location) -> tuple[str, str, str | None]:
    """Return the rule, why a uri without wildcards names no object, and a hint."""
    error = location.known.why_missing(location.bucket_url)
    if error is not None and error.failure is not Failure.MISSING:
        return UNREADABLE, *refused(location, error)
    key, mark, generation = location.bucket_url.key.partition("#")
    newest = location.known.state(location.bucket_url.at(key)) if mark and generation else None
    if newest is not None:
        message = f"{show(location.uri)}: it is not in the state {show(generation)}"
        return "missing-file", message, f"it is now `{newest.generation}`; write that one, or none"
    message = f"no object {show(location.uri)}"
    if error is not None and error.hint:  # there may be no such bucket
        return "missing-file", f"{show(location.uri)}: {error.message}", error.hint
    return "missing-file", message, "upper and lower case differ in keys; was it uploaded?"


def unusable(location: Location) -> tuple[str, str | None] | None:
    """Return why a uri of a bucket cannot name an object, and a hint; None if it can."""
    try:
        url = location.bucket_url
    except ValueError as error:
        why, _, hint = str(error).partition("; ")
        message = f"{show_url(location.uri)} is not a valid URL: {why}"
        return message, hint or "write it as in `gs://bucket/folder/file.tif`"
    parts = url.key.split("/")
    if not parts[-1]:
        message = f"{show(location.uri)} names no object"
        return message, f"write `{location.uri.rstrip('/')}/*.tif`"
    wrong = next((part for part in parts if part in ("", ".", "..")), None)
    if wrong is not None:
        message = f"{show(location.uri)}: a key that contains `/{wrong}/` is not supported"
        return message, "a key is taken literally; write it as the bucket lists it"
    return None


def prepare(locations: Iterable[Location]) -> None:
    """Learn what many uris of buckets name: globs are listed first, several at a time."""
    usable = [one for one in locations if unusable(one) is None]
    for known in {id(one.known): one.known for one in usable}.values():
        named = [one for one in usable if one.known is known]
        urls = [(one.bucket_url, bool(MAGIC.search(one.name))) for one in named]
        prepare_lists([url for url, is_glob in urls if is_glob], known)
        known.prepare([url for url, is_glob in urls if not is_glob])
        parts = [(url, *url.key.partition("#")) for url, is_glob in urls if not is_glob]
        known.prepare_named(
            [
                (url.at(key), generation)
                for url, key, _, generation in parts
                if generation and not known.is_offline and known.is_missing(url)
            ]
        )
