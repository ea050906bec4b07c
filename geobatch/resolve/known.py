"""Images of an earlier run: if neither their spec nor a file changed, they are not resolved.

It saves most of a plan in which little differs: `files` in benchmarks/increments.md.
"""

from __future__ import annotations

import os
import re
import stat
import time
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from heapq import merge
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from geobatch.declare import AssetSpec, ImageSpec, SpecSet
from geobatch.declare.files.find import folder_of
from geobatch.declare.loading.spec_cache import encoded, limits, modules_digest
from geobatch.declare.projects.project import Project
from geobatch.declare.spec_list import Unmade, by_file, ids_of, unmade, unmade_one
from geobatch.errors import Problem
from geobatch.model.assets.asset import Image, Resolution
from geobatch.model.digest import DIGEST_BYTES, Digest, digest_bytes
from geobatch.model.sources.declared import OF_RECORDS
from geobatch.model.sources.file_stat import FileStat
from geobatch.resolve.unread_files import Beside
from geobatch.sources.probe_cache import maker
from geobatch.sources.registry import driver_names

FROM = 100
"""Images of a spec file from which it is worth while: a few are resolved sooner than looked up."""
_ROOMS = ("model", "declare", "sources", "resolve")
"""Rooms whose modules determine what an image is resolved to."""
_ROW = np.dtype([("key", "<u8"), ("check", "<u8"), ("fingerprint", "V32"), ("warned", "<u4")])
"""An image: the two halves of its key, its fingerprint, and the number of its warnings."""
_LOCAL = re.compile(r"(?!/vsi)[^*?\[\]:#\0]+", re.IGNORECASE).fullmatch
"""Names that mean one local file; not all that do."""

_Rows = npt.NDArray[Any]
_Stat = tuple[int, int, int, int, int]
"""Device, inode, size, and times of modification and of change in nanoseconds."""
_Words = tuple[int, int, str, str, str | None]
"""Line, column, rule, message and hint of a warning."""
_Warnings = tuple[tuple[_Words, ...], ...]


class KnownImages(Protocol):
    """What is kept from run to run; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_known(self, path: str) -> bytes | None:
        """Return what is kept of the images of a spec file, by absolute path."""

    def put_known(self, path: str, value: bytes) -> None:
        """Keep what is known of the images of a spec file."""


class _Kept(Struct, frozen=True, array_like=True):
    """What is kept of the images of one spec file."""

    rows: bytes = b""
    warnings: _Warnings = ((),)


class _Found(NamedTuple):
    """The known images of one spec file."""

    ids: list[str]
    rows: _Rows
    warnings: _Warnings
    sizes: _Rows
    """Bytes of their files, one image after the other."""
    ends: _Rows
    """Where those of each end."""


_NOTHING = _Found([], np.empty(0, dtype=_ROW), ((),), np.empty(0), np.empty(0))


def _sizes(found: _Found) -> Iterator[tuple[str, Sequence[int]]]:
    start = 0
    for name, end in zip(found.ids, found.ends.tolist(), strict=True):
        yield name, found.sizes[start:end].tolist()
        start = end


def _pairs(found: _Found) -> Iterator[tuple[str, bytes]]:
    step, data = DIGEST_BYTES, found.rows["fingerprint"].tobytes()
    return ((name, data[step * at : step * at + step]) for at, name in enumerate(found.ids))


class Known(Struct, frozen=True, kw_only=True):
    """Images that need not be resolved: what they would be resolved to is known."""

    files: dict[str, _Found] = field(default_factory=dict)
    """Those of each spec file."""
    sources: array[int] = field(default_factory=lambda: array("q"))
    """Hashes of the paths of their files."""
    began_ns: int = field(default_factory=time.time_ns)
    """A time before the sources of other images were read."""

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Yield the id and the fingerprint of each image, sorted by id."""
        some = list(map(_pairs, self.files.values()))
        return some[0] if len(some) == 1 else merge(*some)

    def sizes(self) -> Iterator[tuple[str, Sequence[int]]]:
        """Yield the id of each image, sorted, and the bytes of its files.

        They are in the order of its sources; one is that of all sources.
        """
        return merge(*map(_sizes, self.files.values()))

    def warnings(self) -> Iterator[Problem]:
        """Yield the warnings about them."""
        for path, found in self.files.items():
            # Not by `np.unique`, which loads numpy.ma: 8 ms of each plan.
            for number in np.flatnonzero(np.bincount(found.rows["warned"])).tolist():
                for line, column, rule, message, hint in found.warnings[number]:
                    yield Problem(
                        path=path, line=line, column=column, rule=rule, message=message, hint=hint
                    )

    def more_sources(self, resolution: Resolution) -> int:
        """Return how many different files they have that resolved images do not have."""
        if not self.sources:
            return 0
        others = np.array(list(resolution.files), dtype=np.int64)
        own = np.sort(np.array(self.sources))
        own = own[np.concatenate(([True], own[1:] != own[:-1]))]
        return int(np.setdiff1d(own, others, assume_unique=True).size)


def known_images(specs: Sequence[AssetSpec], cache: KnownImages) -> Known:
    """Return those of some valid specs whose images are known, by the stats of their files now."""
    known, beside, keys = Known(), Beside(), _Keys()
    for path, images in _by_file(specs):
        kept = _read(cache, path)
        rows = np.frombuffer(kept.rows, dtype=_ROW)
        able, wanted = list[str](), bytearray()
        owners, paths, sizes = array("q"), array("q"), array("q")
        folder = folder_of(path)
        for spec in unmade(images) if rows.size else ():
            if not isinstance(spec, ImageSpec | Unmade) or spec.project.allowed is not None:
                continue
            names, stats = _stats(spec, folder, beside)
            if key := keys.of(spec, stats):
                owners.extend([len(able)] * len(names))
                paths.extend(map(hash, names))
                sizes.extend([size for _, _, size, _, _ in stats])
                able.append(spec.id)
                wanted += key
        at, is_known = _search(rows, np.frombuffer(wanted, dtype="<u8").reshape(-1, 2))
        if is_known.any():
            those = [name for name, is_one in zip(able, is_known.tolist(), strict=True) if is_one]
            mine = is_known[np.array(owners)]
            ends = np.cumsum(np.bincount(owners, minlength=len(able))[is_known])
            found = _Found(those, rows[at[is_known]], kept.warnings, np.array(sizes)[mine], ends)
            known.files[path] = found
            known.sources.frombytes(np.array(paths)[mine].tobytes())
    return known


def without_known(specs: SpecSet, known: Known) -> SpecSet:
    """Return the specs of which nothing is known."""
    ids = {name for name, _ in known.items()}
    return specs.named(name for name in specs.ids if name not in ids)


def keep_images(
    specs: Sequence[AssetSpec],
    resolution: Resolution,
    fingerprints: Mapping[str, Digest],
    *,
    known: Known,
    unsure: Collection[str],
    cache: KnownImages,
) -> None:
    """Keep what resolved images are, for the runs to come.

    Args:
        specs: All specs.
        resolution: Images that were resolved.
        fingerprints: Their fingerprints, by id.
        known: The other ones.
        unsure: Ids of images that more depends on than their specs and files.
        cache: Where it is kept.
    """
    by_id = {image.id: image for image in resolution.images if isinstance(image, Image)}
    if not by_id:
        return
    keys = _Keys()
    for path, images in _by_file(specs):
        earlier = known.files.get(path, _NOTHING)
        lists = {words: number for number, words in enumerate(earlier.warnings)}
        made = bytearray()
        for number, name in enumerate(ids_of(images)):
            image = by_id.get(name)
            if image is None or name in unsure or name in resolution.beside:
                continue
            spec = images[number]
            if not isinstance(spec, ImageSpec) or spec.project.allowed is not None:
                continue
            words = tuple(map(_words, resolution.by_image.get(spec.id, ())))
            stats = _probed(spec, image, before_ns=known.began_ns)
            key = keys.of(unmade_one(images, number), stats)
            # The lines of a collection are those of all its images: they are part of the keys.
            is_kept = not words or spec.positions.is_of_collection
            if key and is_kept:
                at = lists.setdefault(words, len(lists))
                made += key + bytes.fromhex(fingerprints[name]) + at.to_bytes(4, "little")
        if made:
            rows = np.concatenate([earlier.rows, np.frombuffer(made, dtype=_ROW)])
            value = msgspec.msgpack.encode(_packed(rows, tuple(lists)))
            cache.put_known(os.path.abspath(path), value)  # noqa: PTH100


def _packed(rows: _Rows, warnings: _Warnings) -> _Kept:
    """Return rows sorted by key, with those warnings that they name; the first list is empty."""
    rows = rows[np.unique(rows["key"], return_index=True)[1]]
    used = np.union1d(rows["warned"], [0])
    rows["warned"] = np.searchsorted(used, rows["warned"])
    return _Kept(rows=rows.tobytes(), warnings=tuple(warnings[number] for number in used.tolist()))


class _Keys:
    """Digests of all that images are resolved from."""

    def __init__(self) -> None:
        self._tool = repr((modules_digest(*_ROOMS), maker(), driver_names(), limits())).encode()
        self._shared: dict[tuple[int, int], bytes] = {}
        names = (name for name in ImageSpec.__struct_fields__ if name not in ImageSpec.beside)
        self._declared = attrgetter(*names)

    def of(self, spec: AssetSpec | Unmade, stats: list[_Stat]) -> bytes:
        """Return the key of an image, 16 bytes; none if its spec holds what cannot be encoded.

        Args:
            spec: Its spec, or what that is made from.
            stats: Those of its files, in the order of the spec; without any, there is no key.
        """
        if isinstance(spec, Unmade):
            # All of its sources are one file, which must have had one state.
            is_one = stats.count(stats[0]) == len(stats) if stats else False
            data = encoded(spec.made_from, spec.uri, stats[0]) if is_one else b""
        else:
            data = encoded(self._declared(spec), stats) if stats else b""
        return bytes.fromhex(digest_bytes(self._around(spec) + data)[:32]) if data else b""

    def _around(self, spec: AssetSpec | Unmade) -> bytes:
        """Return a digest of what the images of a collection, or of a project, have in common."""
        project, positions = spec.project, spec.positions
        place = (id(project), id(positions) if positions.is_of_collection else 0)
        found = self._shared.get(place)
        if found is None:
            lines = positions.by_loc if positions.is_of_collection else {}
            said = (project.mirrors, project.keeps_prefix, sorted(project.silenced), lines)
            text = repr(said).encode(errors="surrogatepass")
            found = self._shared[place] = bytes.fromhex(digest_bytes(self._tool + text))
        return found


def _by_file(specs: Sequence[AssetSpec]) -> Iterator[tuple[str, Sequence[AssetSpec]]]:
    """Yield the specs of each file that has many."""
    yield from ((path, some) for path, some in by_file(specs).items() if len(some) >= FROM)


def _read(cache: KnownImages, path: str) -> _Kept:
    """Return what is kept of a spec file; nothing if another version wrote it."""
    value = cache.get_known(os.path.abspath(path))  # noqa: PTH100 - links are not followed
    try:
        kept = _Kept() if value is None else msgspec.msgpack.decode(value, type=_Kept)
    except msgspec.MsgspecError:
        return _Kept()
    return kept if len(kept.rows) % _ROW.itemsize == 0 else _Kept()


def _search(rows: _Rows, wanted: _Rows) -> tuple[_Rows, _Rows]:
    """Return the positions of keys among rows, and which of them are there."""
    if not rows.size:
        return np.zeros(len(wanted), dtype=np.intp), np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(rows["key"], wanted[:, 0]), rows.size - 1)
    return at, (rows["key"][at] == wanted[:, 0]) & (rows["check"][at] == wanted[:, 1])


def _names(spec: ImageSpec | Unmade, folder: Path) -> list[str]:
    """Return the paths of the files of an image; none if a source is more, or less, than that."""
    if isinstance(spec, Unmade):
        name = _path(spec.uri, spec.project, folder)
        return [name] if name else []
    sources = [source for tileset in spec.tilesets for source in tileset.sources]
    if any(len(source.uris) > 1 for source in sources):
        return []
    uris = (spec.uri_prefix + source.uris[0] for source in sources)
    found = [_path(uri, spec.project, folder) for uri in uris]
    return found if all(found) else []


def _path(uri: str, project: Project, folder: Path) -> str:
    """Return the path of the one local file that a uri surely names; empty if it may be another."""
    start, name = folder, uri
    if project.mirrors:
        location = project.locate(name, folder)
        start, name = location.folder, location.name
    if not _LOCAL(name) or name.lower().endswith(OF_RECORDS):
        return ""
    path = name if name.startswith("/") else f"{start}/{name}"
    return str(Path(path)) if "./" in name or "//" in name else path


def _stats(spec: ImageSpec | Unmade, folder: Path, beside: Beside) -> tuple[list[str], list[_Stat]]:
    """Return paths and stats of the files of an image; none if not all can be known."""
    names, stats = _names(spec, folder), []
    for name in names:
        try:
            found = os.stat(name)  # noqa: PTH116 - likewise
        except (OSError, ValueError):
            return names, []
        if not stat.S_ISREG(found.st_mode) or not beside.is_alone(name):
            return names, []
        stats.append(
            (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        )
    return names, stats


def _probed(spec: ImageSpec, image: Image, *, before_ns: int) -> list[_Stat]:
    """Return the stats of the files of an image as they were probed; none if they may not last."""
    tilesets = {tileset.id: tileset.sources for tileset in image.tilesets}
    sources = [one for named in spec.tilesets for one in tilesets.get(named.id, ())]
    stats = [source.stat for source in sources]
    uris = [one.uris for tileset in spec.tilesets for one in tileset.sources]
    is_same = [(source.uri,) for source in sources] == [(spec.uri_prefix + one[0],) for one in uris]
    found = [_of(one) for one in stats if one is not None and one.is_settled(before_ns)]
    return found if is_same and len(found) == len(uris) else []


def _of(found: FileStat) -> _Stat:
    return found.device, found.inode, found.size, found.mtime_ns, found.ctime_ns


def _words(problem: Problem) -> _Words:
    return problem.line, problem.column, problem.rule, problem.message, problem.hint
