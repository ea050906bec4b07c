"""A probed export: the mixer, the shards, and what their first record has."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.sources.tfrecord import Mixer, Shard, records_digest

DRIVER = "tfrecord"
"""Name of the driver."""


class ExportProbe(Struct, frozen=True, kw_only=True):
    """The state of an export, before a spec selects features of it."""

    mixer: Mixer
    """The arrangement of its patches."""
    mixer_text: str
    """Text of the mixer."""
    mixer_file: Shard
    """The mixer's own file."""
    shards: tuple[Shard, ...]
    """In the order of the records."""
    features: Mapping[str, tuple[str, int]]
    """(kind, number of values) of each feature of the first record; bytes for `bytes_list`."""
    first: str
    """Uri of the shard that has the first record."""
    driver: str = DRIVER
    """Name of the driver that reads it."""

    @property
    def digest(self) -> Digest:
        """What identifies its pixels."""
        return records_digest(self.shards, self.mixer)
