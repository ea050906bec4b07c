"""Windows of TFRecord sources, read from many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from geobatch.errors import InternalError
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.sources.tfrecord import Feature, Records
from geobatch.model.window import Window
from geobatch.sources.driver import Pixels, ReaderCache
from geobatch.sources.files import check_unchanged
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.shards.records import check_shard
from geobatch.sources.tfrecord.streams.stream import Stream

STREAMS = 2
"""Sources that are read at a time."""


class _Open(Struct, kw_only=True):
    """A stream and its users."""

    stream: Stream
    users: int = 0
    is_released: bool = False


class Reader:
    """Reads windows of TFRecord sources; safe to share between threads.

    A source is streamed once, when its first window is requested. Memory is bounded by a batch of
    records per stream; decoded patches wait on disk.
    """

    def __init__(self, *, folder: Path, cache: ReaderCache) -> None:
        """Make a reader without opening files.

        Args:
            folder: Where temporary patches are written; created if missing.
            cache: Cached digests of shards; receives those of the shards read.
        """
        self._folder, self._cache = folder, cache
        self._turn = threading.Semaphore(STREAMS)
        self._lock = threading.Lock()
        self._streams: dict[tuple[Digest, tuple[Feature, ...]], _Open] = {}
        self._bytes_read = 0
        self._is_cancelled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def bytes_read(self) -> int:
        """Bytes of the shards that were read to their end."""
        return self._bytes_read

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,  # noqa: ARG002 - of the protocol, and so is the next
        with_mask: bool = False,  # noqa: ARG002
    ) -> Pixels:
        """Read a window of some bands; records have no masks of their own. See `Reader.read`.

        Raises:
            SourceError: A shard is missing, damaged, or changed since it was identified, or its
                records are not what the mixer says; names shard, record and feature.
            StoreError: There is no space for temporary patches.
            InterruptedRunError: Reading was cancelled.
        """
        with self._using(source) as stream:
            return Pixels([stream.read(index, window) for index in bands])

    def check(self, source: Source) -> None:
        """Check that the files of a source have not changed since they were identified.

        Raises:
            SourceError: One is missing or changed.
        """
        records = _records(source)
        if source.stat is not None and records.has_local_mixer:
            with Named(source.uri):
                check_unchanged(source.path, source.stat)
        for shard in records.shards:
            with Named(shard.uri):
                check_shard(shard)

    def finish(self, source: Source) -> None:
        """Check the records that no window needed, unless they were checked before, and release.

        Raises:
            SourceError: As `read`.
        """
        is_read = _key(source) in self._streams
        try:
            if is_read or self._cache.get_table(source.digest) is None:
                with self._using(source) as stream:
                    stream.finish()
        finally:
            self.release(source)

    def release(self, source: Source) -> None:
        """Remove the temporary patches of a source when no thread reads them.

        It may be read again, by streaming it again.
        """
        with self._lock:
            found = self._streams.pop(_key(source), None)
            if found is None:
                return
            found.is_released = True
            is_unused = found.users == 0
        if is_unused:
            found.stream.close()

    def cancel(self) -> None:
        """Cancel reading; reads that wait raise `InterruptedRunError`."""
        with self._lock:
            self._is_cancelled = True
            streams = list(self._streams.values())
        for found in streams:
            found.stream.cancel()

    def close(self) -> None:
        """Stop, and remove all temporary patches; must not run while another thread reads."""
        self.cancel()
        for found in self._streams.values():
            found.stream.close()
        self._streams.clear()

    @contextmanager
    def _using(self, source: Source) -> Iterator[Stream]:
        with self._lock:
            if _key(source) not in self._streams:
                self._streams[_key(source)] = _Open(stream=self._begin(source))
            found = self._streams[_key(source)]
            found.users += 1
        try:
            yield found.stream
        finally:
            with self._lock:
                found.users -= 1
                is_over = found.is_released and found.users == 0
            if is_over:
                found.stream.close()

    def _begin(self, source: Source) -> Stream:
        stream = Stream(
            source,
            _records(source),
            folder=self._folder,
            cache=self._cache,
            turn=self._turn,
            on_read=self._count,
        )
        if self._is_cancelled:
            stream.cancel()
        return stream

    def _count(self, count: int) -> None:
        with self._lock:
            self._bytes_read += count


def _key(source: Source) -> tuple[Digest, tuple[Feature, ...]]:
    return (source.digest, _records(source).features)


def _records(source: Source) -> Records:
    if source.records is None:
        raise InternalError(f"`{source.uri}` is not a TFRecord source")
    return source.records
