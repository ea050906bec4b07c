"""The objects in buckets that the specs of one run name: each is listed or asked for once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from geobatch import buckets
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.url import BucketUrl
from geobatch.model.limits import GLOB_ENTRIES, Limit
from geobatch.model.sources.pin import Remote

LISTED_FROM = 100
"""Fewest wanted objects below a prefix for which a list is tried. A page costs what a dozen heads
cost, and takes as long as some hundred of them, which are sent in parallel."""

_NO_VERSION = 400
"""What services answer to a text that is no version."""
_UNKNOWN: Final = object()


class ManyObjectsError(Exception):
    """A list would be too long; holds the limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__(limit.name)
        self.limit = limit


class Objects:
    """What a run knows of objects in buckets. What is not known yet is requested when needed."""

    def __init__(self, *, is_offline: bool = False) -> None:
        """Know nothing yet.

        Args:
            is_offline: Whether nothing is requested: then every literal uri is taken to exist, and
                a glob matches nothing.
        """
        self.is_offline = is_offline
        self.unchecked: set[str] = set()
        """Urls and globs that were not checked, since nothing is requested."""
        self._states: dict[BucketUrl, Remote | BucketError] = {}
        self._named: dict[tuple[BucketUrl, str], Remote | BucketError | None] = {}
        self._listed: dict[tuple[BucketUrl, bool], dict[str, Remote]] = {}
        self._unlisted: dict[tuple[BucketUrl, bool], BucketError | ManyObjectsError] = {}

    def __eq__(self, other: object) -> bool:
        """Return whether another is one, too: what a run knows changes nothing that is declared."""
        return isinstance(other, Objects)

    def __hash__(self) -> int:
        return hash(Objects)

    def __repr__(self) -> str:
        return "Objects()"

    def state(self, url: BucketUrl) -> Remote | None:
        """Return the state of an object; None if there is none.

        Raises:
            BucketError: The request failed.
        """
        found = self._known(url)
        if found is _UNKNOWN:
            self._ask([url])
            found = self._states[url]
        if isinstance(found, BucketError) and found.failure is not Failure.MISSING:
            raise found
        return found if isinstance(found, Remote) else None

    def state_at(self, url: BucketUrl, generation: str) -> Remote | None:
        """Return the state of an object that a version, generation or tag names; None if none is.

        Raises:
            BucketError: The request failed.
        """
        key = (url, generation)
        if key not in self._named:
            self._named[key] = _named_state(url, generation, self.state(url))
        found = self._named[key]
        if isinstance(found, BucketError):
            raise found
        return found

    def prepare_named(self, named: Collection[tuple[BucketUrl, str]]) -> None:
        """Learn many states that generations name; as `state_at`, but nothing fails."""

        def learn(key: tuple[BucketUrl, str]) -> None:
            with suppress(BucketError):
                self.state_at(*key)

        self.prepare([url for url, _ in named])
        waiting = [] if self.is_offline else [key for key in named if key not in self._named]
        list((buckets.requests_pool().map if len(waiting) > 1 else map)(learn, waiting))

    def is_missing(self, url: BucketUrl) -> bool:
        """Return whether it is known that there is no such object; nothing is requested."""
        found = self._known(url)
        if isinstance(found, BucketError):
            return found.failure is Failure.MISSING
        return found is None

    def why_missing(self, url: BucketUrl) -> BucketError | None:
        """Return what the service said of an object without a state; None if a list showed it."""
        found = self._known(url)
        return found if isinstance(found, BucketError) else None

    def prepare(self, urls: Iterable[BucketUrl]) -> None:
        """Learn the states of many objects: by lists where many share a prefix, else one by one.

        What fails is raised when the state is asked for.
        """
        if self.is_offline:
            return
        wanted = {url for url in urls if self._known(url) is _UNKNOWN}
        groups = _groups(wanted)
        if len(groups) > 1:
            list(buckets.requests_pool().map(self._list_for, *zip(*groups.items(), strict=True)))
        elif groups:
            [(prefix, keys)] = groups.items()
            self._list_for(prefix, keys)
        self._ask([url for url in wanted if self._known(url) is _UNKNOWN])

    def below(self, prefix: BucketUrl, *, is_deep: bool) -> Mapping[str, Remote]:
        """Return the objects below a prefix, by key.

        Args:
            prefix: Its key ends at a `/`, or is empty.
            is_deep: Whether those in folders below it are wanted, too.

        Raises:
            BucketError: There is no such bucket, or a request failed.
            ManyObjectsError: There are too many.
        """
        key = (prefix, is_deep)
        if key in self._unlisted:
            raise self._unlisted[key]
        if key not in self._listed:
            try:
                self._listed[key] = _all_below(prefix, is_deep=is_deep)
            except (BucketError, ManyObjectsError) as error:
                self._unlisted[key] = error
                raise
        return self._listed[key]

    def prepare_lists(self, prefixes: Collection[tuple[BucketUrl, bool]]) -> None:
        """List below several prefixes, deep or not, some at a time; as `below`, but nothing fails.

        What fails is raised by `below`.
        """
        if self.is_offline:
            return
        waiting = [one for one in prefixes if one not in self._listed and one not in self._unlisted]
        many = buckets.requests_pool().map if len(waiting) > 1 else map
        list(many(self._try_list, waiting))

    def _try_list(self, key: tuple[BucketUrl, bool]) -> None:
        with suppress(BucketError, ManyObjectsError):
            self.below(key[0], is_deep=key[1])

    def _known(self, url: BucketUrl) -> object:
        """Return the state of an object, an error, None if there is none, or `_UNKNOWN`."""
        if url in self._states:
            return self._states[url]
        is_folder = True
        for prefix in _prefixes(url) if self._listed else ():
            for key in ((prefix, True), (prefix, False)) if is_folder else ((prefix, True),):
                if key in self._listed:
                    return self._listed[key].get(url.key)
            is_folder = False
        return _UNKNOWN

    def _list_for(self, prefix: BucketUrl, keys: set[str]) -> None:
        """List what is below a prefix until all wanted keys are found, or it costs too much."""
        missing, found = set(keys), dict[str, Remote]()
        most = buckets.PAGE * (1 + len(keys) // LISTED_FROM)
        try:
            for key, state in buckets.list_objects(prefix):
                found[key] = state
                missing.discard(key)
                if not missing or len(found) == most:
                    break
            else:
                self._listed[prefix, True] = found
                return
        except BucketError:
            pass  # who may not list may be allowed to read; each head says what is wrong
        for key in keys & found.keys():
            self._states[prefix.at(key)] = found[key]

    def _ask(self, urls: Sequence[BucketUrl]) -> None:
        """Learn the states of some objects, one request each, many in flight."""
        many = buckets.requests_pool().map if len(urls) > 1 else map
        for url, found in zip(urls, many(_state_of, urls), strict=True):
            self._states[url] = found


def _all_below(prefix: BucketUrl, *, is_deep: bool) -> dict[str, Remote]:
    found: dict[str, Remote] = {}
    most = GLOB_ENTRIES.value
    for key, state in buckets.list_objects(prefix, is_deep=is_deep):
        if len(found) == most:
            raise ManyObjectsError(GLOB_ENTRIES)
        found[key] = state
    return found


def _named_state(
    url: BucketUrl, generation: str, newest: Remote | None
) -> Remote | BucketError | None:
    """Return the state that a generation names; a list reports no version, so a head may follow."""
    try:
        if newest is not None and not newest.version and generation not in newest.names:
            newest = buckets.head(url)
        if newest is not None and generation in newest.names:
            return newest
        return buckets.head(url, version=generation)
    except BucketError as error:
        is_absent = error.failure is Failure.MISSING or error.status == _NO_VERSION
        return None if is_absent else error


def _state_of(url: BucketUrl) -> Remote | BucketError:
    try:
        return buckets.head(url)
    except BucketError as error:
        return error


def _prefixes(url: BucketUrl) -> Iterable[BucketUrl]:
    """Yield the prefixes that an object is below, the bucket last."""
    key = url.key
    while key:
        key = key[: key.rstrip("/").rfind("/") + 1]
        yield url.at(key)


def _groups(urls: Iterable[BucketUrl]) -> dict[BucketUrl, set[str]]:
    """Return the prefixes below which many objects are wanted, with their keys.

    An object is in the group of its folder if that is large, else of the one above, and so on.
    """
    found: dict[BucketUrl, set[str]] = {}
    waiting: defaultdict[BucketUrl, set[str]] = defaultdict(set)
    for url in urls:
        waiting[next(iter(_prefixes(url)))].add(url.key)
    while waiting:
        deepest = max(prefix.key.count("/") for prefix in waiting)
        for prefix in [one for one in waiting if one.key.count("/") == deepest]:
            keys = waiting.pop(prefix)
            if len(keys) >= LISTED_FROM:
                found[prefix] = keys
            elif prefix.key:
                waiting[next(iter(_prefixes(prefix)))] |= keys
    return found
