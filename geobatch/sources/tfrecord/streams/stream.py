"""The records of one source, streamed once: decoded, stored on disk, awaited by readers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.errors import GeobatchError, InterruptedRunError, SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.sources.tfrecord import Records, Shard, count_records
from geobatch.model.window import Window
from geobatch.sources.driver import ReaderCache
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.block_table import table_of
from geobatch.sources.tfrecord.features.patches import Decoder
from geobatch.sources.tfrecord.shards.records import batches, record_digests
from geobatch.sources.tfrecord.streams.spill import Spill


class Stream:
    """One source, read by its own thread, ahead of the threads that wait for patches.

    If the number of records per shard is known, only shards with requested patches are read.
    Else all are, in order, since each must be counted to know where the next one's patches lie.
    """

    def __init__(
        self,
        source: Source,
        records: Records,
        *,
        folder: Path,
        cache: ReaderCache,
        turn: threading.Semaphore,
        on_read: Callable[[int], None],
    ) -> None:
        """Make a stream without starting it.

        Args:
            source: The source.
            records: How to read it.
            folder: Where its patches are written.
            cache: Cached digests of shards; receives those of the shards read.
            turn: Held while a shard is read, so that not all sources are read at once.
            on_read: Is called with the bytes of each shard that was read.
        """
        self._source, self._records, self._mixer = source, records, records.mixer
        self._cache, self._turn, self._on_read = cache, turn, on_read
        dtypes = [feature.dtype for feature, _ in records.channels]
        self._spill = Spill(self._mixer, dtypes, folder=folder)
        self._changed = threading.Condition()
        self._is_ready = np.zeros(self._mixer.total, dtype=np.bool_)
        self._digests: dict[int, bytes] = {}
        self._starts = self._known_starts()
        self._is_counting = self._starts is None
        self._wanted = set(range(len(records.shards))) if self._is_counting else set[int]()
        self._error: GeobatchError | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def read(self, index: int, window: Window) -> Any:
        """Read a window of one band, (row, col), once its patches are there.

        Raises:
            SourceError: A shard cannot be read.
            InterruptedRunError: Reading was cancelled.
        """
        self._wait(self._spill.patches(window).ravel())
        return self._spill.read(index, window)

    def finish(self) -> None:
        """Wait until all is read: records that no window needed are checked, too.

        Raises:
            SourceError: A shard cannot be read, or there are too few or too many records.
            InterruptedRunError: Reading was cancelled.
        """
        if self._is_counting:
            self._start()
        with self._changed:
            while self._wanted and self._error is None and not self._is_closed:
                self._changed.wait()
            self._raise()

    def cancel(self) -> None:
        """Cancel reading; threads that wait for patches get an error."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def close(self) -> None:
        """Stop, and free the space of the patches; no thread may read after that."""
        self.cancel()
        if self._thread is not None:
            self._thread.join()
        self._spill.close()

    def _known_starts(self) -> list[int] | None:
        """Return the number of each shard's first record, if the counts of all are known."""
        known = [self._cache.get_records(shard.digest) for shard in self._records.shards]
        counts = [count_records(digests) for digests in known if digests is not None]
        # If they do not add up, reading the shards reports it.
        if len(counts) < len(known) or sum(counts) != self._mixer.total:
            return None
        return [0, *accumulate(counts)][:-1]

    def _start(self) -> None:
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="records", daemon=True)
                self._thread.start()

    def _wait(self, patches: npt.NDArray[np.intp]) -> None:
        with self._changed:
            if self._starts is not None and not self._is_counting:
                missing = patches[~self._is_ready[patches]]
                shards = np.searchsorted(self._starts, missing, side="right") - 1
                self._wanted.update(shards.tolist())
                self._changed.notify_all()
        self._start()
        with self._changed:
            while not self._is_ready[patches].all():
                self._raise()
                self._changed.wait()

    def _raise(self) -> None:
        if self._error is not None:
            raise type(self._error)(self._error.message, hint=self._error.hint)
        if self._is_closed:
            raise InterruptedRunError(f"`{self._source.uri}`: reading was cancelled")

    def _run(self) -> None:
        try:
            decoder = Decoder(self._records.features, self._mixer)
            while (number := self._next()) is not None:
                with self._turn:
                    self._read_shard(number, decoder)
                with self._changed:
                    if self._is_closed:
                        return
                    self._wanted.discard(number)
                    if not self._wanted and self._is_counting:
                        self._check_count()
                        return
                    self._changed.notify_all()
        except GeobatchError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - or those who wait would wait for ever
            self._fail(SourceError(f"`{self._source.uri}`: cannot be read: {error!r}"))
        finally:
            with self._changed:
                self._changed.notify_all()

    def _fail(self, error: GeobatchError) -> None:
        with self._changed:
            self._error = error

    def _next(self) -> int | None:
        """Wait for a requested shard, and return its number; None at the end."""
        with self._changed:
            while not self._wanted and not self._is_closed:
                self._changed.wait()
            return None if self._is_closed else min(self._wanted)

    def _read_shard(self, number: int, decoder: Decoder) -> None:
        shard = self._records.shards[number]
        start = self._start_of(number)
        count, digests = 0, bytearray()
        for batch in batches(shard):
            if self._is_closed:
                return
            if start + count + len(batch) > self._mixer.total:
                raise self._too_many(shard, self._mixer.total - start)
            with Named(shard.uri):
                bands = list(decoder.decode(batch, first=count))
            self._spill.write(start + count, bands)
            digests += record_digests(batch)
            with self._changed:
                self._is_ready[start + count : start + count + len(batch)] = True
                self._changed.notify_all()
            count += len(batch)
        self._digests[number] = bytes(digests)
        self._cache.put_records(shard.digest, bytes(digests))
        self._on_read(shard.stat.size)

    def _start_of(self, number: int) -> int:
        if self._starts is not None:
            return self._starts[number]
        return sum(count_records(self._digests[before]) for before in range(number))

    def _check_count(self) -> None:
        digests = b"".join(self._digests[number] for number in sorted(self._digests))
        count = count_records(digests)
        if count < self._mixer.total:
            last = self._records.shards[-1].uri
            raise SourceError(
                f"`{self._source.uri}`: expected {self._mixer.total} records, got {count};"
                f" the last one is in `{last}`",
                hint="list all shards of the export, in order",
            )
        self._cache.put_table(self._source.digest, table_of(self._mixer, digests))

    def _too_many(self, shard: Shard, number: int) -> SourceError:
        return SourceError(
            f"`{shard.uri}`: record {number} is one more than the {self._mixer.total} expected by"
            f" `{self._source.uri}`",
            hint="list the shards of one export only, each once, with its mixer",
        )
