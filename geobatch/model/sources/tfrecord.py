"""A raster in TFRecord shards: the mixer with the order of patches, and the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from geobatch.model.compared import Compared
from geobatch.model.digest import DIGEST_BYTES, Digest, Json, digest_json
from geobatch.model.sources.file_stat import FileStat
from geobatch.model.sources.pin import PinnedObject

RECORDS_EPOCH = 1
"""Increased whenever equal records would get another identity than before."""


class Mixer(Struct, frozen=True, kw_only=True):
    """The arrangement of an export's patches, from Earth Engine's mixer file."""

    patch: tuple[int, int]
    """(rows, columns) of a patch without its margin."""
    patches_per_row: int
    """Patches side by side; record `n` is in row `n // patches_per_row`."""
    total: int
    """Patches in total; a multiple of `patches_per_row`."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of patches."""
        return (self.total // self.patches_per_row, self.patches_per_row)

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns) of pixels."""
        return (self.shape[0] * self.patch[0], self.shape[1] * self.patch[1])


class Feature(Compared, frozen=True, kw_only=True):
    """One feature of every record: a patch of one band, or of several."""

    beside: ClassVar[frozenset[str]] = frozenset({"kind"})

    name: str
    """Its key in the records."""
    dtype: str
    """Numpy name of the pixel type that its values are read as."""
    depth: int = 1
    """Values per pixel: each is a band."""
    is_channels_last: bool = False
    """Whether the values of a pixel are adjacent (HWC), or those of a band (CHW)."""
    margin: tuple[int, int] = (0, 0)
    """Rows and columns that the patch is larger by; they are cut off."""
    kind: str = ""
    """`float_list`, `int64_list` or `bytes_list`; says how values are coded, not what they are."""

    def to_json(self, channel: int) -> Json:
        """Return what determines the pixels of one of its bands, without the pixel type."""
        order = "HWC" if self.is_channels_last else "CHW"
        return [self.name, self.depth, order if self.depth > 1 else "", *self.margin, channel]


class Shard(Struct, frozen=True, kw_only=True):
    """One TFRecord file."""

    uri: str
    """As the spec gives it, globs expanded."""
    path: str
    """Absolute path, or url."""
    stat: FileStat
    """The file as it was when it was digested."""
    digest: Digest
    """Digest of its bytes; of an object that is not local, of its url and state."""
    pinned: PinnedObject | None = None
    """The object, if it is not a local file."""


class Records(Struct, frozen=True, kw_only=True):
    """How to read a source from its shards; its digest identifies the pixels."""

    shards: tuple[Shard, ...]
    """In the order of the records."""
    mixer: Mixer
    """The arrangement of the patches."""
    features: tuple[Feature, ...]
    """Those that are read, in the order of the bands."""
    has_local_mixer: bool = True
    """Whether the mixer is a local file, whose stat shows changes."""

    @property
    def channels(self) -> tuple[tuple[Feature, int], ...]:
        """(feature, number of the value within a pixel) of each band."""
        return channels_of(self.features)


def channels_of(features: Sequence[Feature]) -> tuple[tuple[Feature, int], ...]:
    """Return (feature, number of the value within a pixel) of each band that features make."""
    return tuple((feature, channel) for feature in features for channel in range(feature.depth))


def records_digest(shards: Sequence[Shard], mixer: Mixer) -> Digest:
    """Return the identity of a source: known without reading a record.

    Which features are read, and as what, belongs to the bands, and where the patches lie on Earth
    to the grid.
    """
    digests = [shard.digest for shard in shards]
    layout = [*mixer.patch, mixer.patches_per_row, mixer.total]
    return digest_json(["geobatch records", RECORDS_EPOCH, layout, digests])


def count_records(digests: bytes) -> int:
    """Return how many records some joined record digests belong to."""
    return len(digests) // DIGEST_BYTES
