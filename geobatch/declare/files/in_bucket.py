"""What uris of buckets name: objects, globs over objects, or nothing; and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from geobatch.buckets.errors import BucketError
from geobatch.declare.files.bucket_globs import is_key, matching
from geobatch.declare.files.globs import MAGIC
from geobatch.declare.files.objects import ManyObjectsError
from geobatch.declare.hints import show
from geobatch.declare.projects.project import Location
from geobatch.model.sources.pin import Remote

UNREADABLE = "unreadable-source"
"""Rule of the problem that a bucket cannot be read."""


def state_of(location: Location) -> Remote | None:
    """Return the state of an object; None if it is not known, or there is no such object."""
    if location.known.is_offline:
        return None
    try:
        return location.known.state(location.bucket_url)
    except (BucketError, ValueError):
        return None


def is_object(location: Location) -> bool:
    """Return whether a uri names an object; if nothing is requested, it is taken to."""
    if location.known.is_offline:
        location.known.unchecked.add(location.uri)
        return True
    return state_of(location) is not None


def is_absent(location: Location) -> bool:
    """Return whether it is certain that a uri without wildcards names no object."""
    if location.known.is_offline:
        return False
    try:
        return location.known.state(location.bucket_url) is None
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
    return f"{show(location.uri)}: {error.message}", error.hint


def missing(location: Location) -> tuple[str, str, str | None]:
    """Return the rule, why a uri without wildcards names no object, and a hint."""
    try:
        location.known.state(location.bucket_url)
    except BucketError as error:
        return UNREADABLE, *refused(location, error)
    hint = "upper and lower case differ in keys; was it uploaded?"
    return "missing-file", f"no object {show(location.uri)}", hint


def unusable(location: Location) -> tuple[str, str | None] | None:
    """Return why a uri of a bucket cannot name an object, and a hint; None if it can."""
    try:
        url = location.bucket_url
    except ValueError as error:
        why, _, hint = str(error).partition("; ")
        message = f"{show(location.uri)} is not a valid URL: {why}"
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
    """Learn the states of many objects in buckets at once; globs are ignored."""
    wanted = [one for one in locations if not MAGIC.search(one.name) and unusable(one) is None]
    for known in {id(one.known): one.known for one in wanted}.values():
        known.prepare([one.bucket_url for one in wanted if one.known is known])
