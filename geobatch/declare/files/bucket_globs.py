"""The objects that a glob over a bucket matches; the language is that of globs over folders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from geobatch.buckets.url import BucketUrl
from geobatch.declare.files.globs import MAGIC, matcher, shown
from geobatch.declare.files.objects import Objects
from geobatch.model.sources.pin import Remote

_DEEP = "**"
_Test: TypeAlias = Callable[[str], object]


def matching(url: BucketUrl, objects: Objects) -> list[str]:
    """Return the keys that a glob matches, in no order: one paged list, matched here.

    Args:
        url: The glob, as a url whose key has wildcards; or the url of an object of that very name.
        objects: What is known of the bucket.

    Raises:
        BucketError: There is no such bucket, or a request failed.
        ManyObjectsError: There are too many objects below the part without wildcards.
    """
    parts, first, prefix, found = _listed(url, objects)
    if url.key in found:
        return [url.key]
    # A folder named `data [2024]` is found: the brackets are its own.
    while first < len(parts) - 1 and MAGIC.search(parts[first]):
        own = f"{prefix}{parts[first]}/"
        if not any(key.startswith(own) for key in found):
            break
        first, prefix = first + 1, own
    tests = [None if part == _DEEP else matcher(part) for part in parts[first:]]
    start = len(prefix)
    return [
        key
        for key in _files(found)
        if key.startswith(prefix) and _fits(key[start:].split("/"), tests)
    ]


def is_key(url: BucketUrl, objects: Objects) -> bool:
    """Return whether an object has the very name of a glob; raises as `matching` does."""
    return url.key in _listed(url, objects)[-1]


def prepare_lists(urls: Iterable[BucketUrl], objects: Objects) -> None:
    """List what several globs need, some at a time; what fails is raised when it is needed."""
    objects.prepare_lists({_needed(url)[2:] for url in urls})


def _listed(url: BucketUrl, objects: Objects) -> tuple[list[str], int, str, Mapping[str, Remote]]:
    """Return the parts of a glob, the number of the first with wildcards, and what may match.

    Returns:
        Parts, number of the first with wildcards, prefix that the parts before it make, objects.
    """
    parts, first, prefix, is_deep = _needed(url)
    return parts, first, prefix.key, objects.below(prefix, is_deep=is_deep)


def _needed(url: BucketUrl) -> tuple[list[str], int, BucketUrl, bool]:
    """Return the parts of a glob, the number of the first with wildcards, and what to list."""
    parts = url.key.split("/")
    first = next((n for n, part in enumerate(parts) if MAGIC.search(part)), len(parts) - 1)
    prefix = "".join(f"{part}/" for part in parts[:first])
    is_deep = first < len(parts) - 1 or parts[-1] == _DEEP
    return parts, first, url.at(prefix), is_deep


def _fits(names: Sequence[str], tests: Sequence[_Test | None]) -> bool:
    """Return whether the parts of a key pass the tests of the parts of a glob; None is `**`."""
    for number, test in enumerate(tests):
        if test is None:
            break
        if number == len(names) or not test(names[number]):
            return False
    else:
        return len(names) == len(tests)
    names, rest = names[number:], tests[number + 1 :]
    if not rest:
        return bool(names) and all(map(shown, names))
    for count in range(len(names)):
        if _fits(names[count:], rest):
            return True
        if not shown(names[count]):
            return False
    return False


def _files(found: Mapping[str, Remote]) -> Iterable[str]:
    """Yield keys that are no marks of folders, which tools write as empty objects."""
    folders: set[str] | None = None
    for key, state in found.items():
        if state.size == 0:
            if folders is None:
                folders = {one.rpartition("/")[0] for one in found}
            if key in folders or "." not in key.rpartition("/")[2]:
                continue
        yield key
