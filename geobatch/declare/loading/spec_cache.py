"""Spec files and project files of earlier runs, cached: the same bytes are not read again.

The key is the bytes of a file and the modules that would read it: neither an edit nor another
version of geobatch finds what was cached for something else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from geobatch.declare.projects.project import NO_PROJECT, Project
from geobatch.declare.specs import NOWHERE, AssetSpec, Positions
from geobatch.model.digest import digest_bytes
from geobatch.model.limits import LIMITS

T = TypeVar("T")
_READERS = ("model", "declare")
"""Rooms whose modules determine the result of reading a spec file."""
_UNUSABLE = (msgspec.MsgspecError, OverflowError, TypeError, ValueError)
"""Errors for a value that cannot be stored, or has an unexpected type."""


class SpecEntries(Protocol):
    """What is kept from run to run; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_spec(self, path: str) -> bytes | None:
        """Return what is kept of a file, by absolute path."""

    def put_spec(self, path: str, value: bytes) -> None:
        """Keep something about a file."""


class SpecCache:
    """Results of reading files, from a cache; without a cache there are none."""

    def __init__(self, cache: SpecEntries | None = None) -> None:
        self._cache = cache

    def specs(self, path: str, data: bytes, project: Project) -> list[AssetSpec] | None:
        """Return the specs of a file without problems, or None if it must be read.

        Args:
            path: The file, as the user named it: messages call it so.
            data: Its bytes.
            project: What holds for all specs of its project.
        """
        found = self._get(path, data, project.keeps_prefix, tuple[_Cached, ...])
        return None if found is None else [one.with_position(path, project) for one in found]

    def put_specs(self, path: str, data: bytes, specs: list[AssetSpec], project: Project) -> None:
        """Cache the specs of a file that has no problem and declares no collection."""
        self._put(path, data, project.keeps_prefix, tuple(map(_Cached.of, specs)))

    @property
    def is_open(self) -> bool:
        """Whether there is a cache."""
        return self._cache is not None

    def rule(self, path: str, collection_id: str, inputs: bytes) -> tuple[int, ...] | None:
        """Return the numbers of samples of a collection without mistakes, or None if not known.

        Args:
            path: Its file, as the user named it.
            collection_id: Its id.
            inputs: A digest of all that its images are made from.
        """
        return self._get(f"{path}#{collection_id}", inputs, False, tuple[int, ...])

    def put_rule(
        self, path: str, collection_id: str, inputs: bytes, samples: Sequence[int]
    ) -> None:
        """Cache the numbers of samples of a collection without mistakes."""
        self._put(f"{path}#{collection_id}", inputs, False, tuple(samples))

    def project(self, path: str, data: bytes) -> Project | None:
        """Return what a project file without problems says, or None if it must be read."""
        return self._get(path, data, False, Project)

    def put_project(self, path: str, data: bytes, project: Project) -> None:
        """Cache what a project file says that has no problem."""
        self._put(path, data, False, project)

    def _get(self, path: str, data: bytes, keeps_prefix: bool, kind: type[T]) -> T | None:
        entry = None if self._cache is None else self._cache.get_spec(_name(path))
        key = None if entry is None else _key(path, data, keeps_prefix)
        if entry is None or key is None or not entry.startswith(key):
            return None
        try:
            return msgspec.msgpack.decode(
                memoryview(entry)[len(key) :], type=kind, dec_hook=_from_text
            )
        except _UNUSABLE:
            return None

    def _put(self, path: str, data: bytes, keeps_prefix: bool, value: Any) -> None:
        key = None if self._cache is None else _key(path, data, keeps_prefix)
        if self._cache is None or key is None:
            return
        try:
            encoded = msgspec.msgpack.encode(value, enc_hook=_to_text)
        except _UNUSABLE:
            return
        self._cache.put_spec(_name(path), key + encoded)


_encode = msgspec.msgpack.Encoder().encode


class _Cached(msgspec.Struct, frozen=True, kw_only=True):
    """A spec without what depends on its file's name and its project file."""

    spec: AssetSpec
    by_loc: dict[tuple[str | int, ...], tuple[int, int]]

    @classmethod
    def of(cls, spec: AssetSpec) -> _Cached:
        bare = replace(spec, positions=NOWHERE, project=NO_PROJECT)
        return cls(spec=bare, by_loc=spec.positions.by_loc)

    def with_position(self, path: str, project: Project) -> AssetSpec:
        positions = Positions(path=path, by_loc=self.by_loc)
        return replace(self.spec, positions=positions, project=project)


def _name(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - by the thousand


def _key(path: str, data: bytes, keeps_prefix: bool) -> bytes | None:
    """Return a digest of what the reading of a file depends on."""
    readers = modules_digest(*_READERS)
    if readers is None:
        return None
    is_json = path.lower().endswith(".json")
    return bytes.fromhex(digest_bytes(b"%s %d %d " % (readers, is_json, keeps_prefix) + data))


@cache
def modules_digest(*rooms: str) -> bytes | None:
    """Return a digest of the modules of some rooms, by size and time; None if unseen."""
    package = Path(__file__).parents[2]
    try:
        found = sorted(entry for room in rooms for entry in _modules(f"{package / room}"))
    except OSError:
        return None
    return digest_bytes(repr(found).encode()).encode()


def encoded(*values: Any) -> bytes:
    """Return values as bytes; none if one of them cannot be encoded."""
    try:
        return _encode(values)
    except (OverflowError, UnicodeEncodeError):
        return b""


def limits() -> list[tuple[str, int]]:
    """Return the limits of this run by name."""
    return [(limit.name, limit.value) for limit in LIMITS]


def _modules(folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and time of each module below a folder; each is looked up once."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                stat = entry.stat()
                yield entry.path, stat.st_size, stat.st_mtime_ns
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _modules(entry.path)


def _to_text(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value)} cannot be cached")


def _from_text(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise TypeError(f"expected {kind}, got {value!r}")
