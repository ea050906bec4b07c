"""What a kind of source is to the rest of geobatch: how it is recognised, probed and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import InternalError
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import Pin
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.selection import FeatureRequest, SourceSelection
from geobatch.model.sources.tfrecord import Feature
from geobatch.model.window import Window
from geobatch.sources.probe_cache import ProbeCache
from geobatch.sources.threads import Meanwhile, nothing

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class AnyProbe(Protocol):
    """The state of a source: a `Probe`, or what a driver makes one of by `Driver.select`."""

    @property
    def driver(self) -> str:
        """Name of the driver that reads it."""

    @property
    def digest(self) -> Digest:
        """What identifies its pixels."""


class SelectionError(Exception):
    """A spec selects what is not possible; who knows the spec adds where it does."""

    def __init__(self, feature: FeatureRequest | None, message: str, hint: str) -> None:
        """Make the error.

        Args:
            feature: The request that is wrong; None for the absence of one.
            message: What is wrong.
            hint: What to declare.
        """
        super().__init__(message)
        self.feature, self.message, self.hint = feature, message, hint


class ReaderCache(Protocol):
    """What readers keep from run to run; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_table(self, digest: Digest) -> BlockTable | None:
        """Return the block table of a source, or None."""

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Keep the block table of a source."""

    def get_records(self, digest: Digest) -> bytes | None:
        """Return the digests of a shard's records, one after another, or None."""

    def put_records(self, digest: Digest, records: bytes) -> None:
        """Keep the digests of a shard's records."""


class ProbeOptions(Struct, frozen=True, kw_only=True):
    """How sources are probed."""

    cache: ProbeCache | None = None
    """State of sources from earlier runs; receives that of this run."""
    workers: int = 1
    """Threads that open and digest files."""
    rehash: bool = False
    """Whether to read every source, without the cache."""
    meanwhile: Meanwhile = nothing
    """May be called once, by this thread, while others probe."""


class Probes(Struct, frozen=True, kw_only=True):
    """The state of some sources."""

    probes: Sequence[AnyProbe]
    """In the order of the sources."""
    hashed: int
    """How many different sources were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""


class Pixels(NamedTuple):
    """A window of a source, as the source has it."""

    bands: Sequence[npt.NDArray[Any]]
    """(row, col) of each band that was requested, in its own pixel type."""
    mask: npt.NDArray[np.uint8] | None = None
    """(row, col) of the source's own mask, 0 masked to 255 valid; None if there is none, or if it
    was not requested."""


class Reader(Protocol):
    """Reads windows of sources, from any thread."""

    @property
    def bytes_read(self) -> int:
        """Stored bytes that were read."""

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,
        with_mask: bool = False,
    ) -> Pixels:
        """Read a window of some bands.

        Args:
            source: The source, with its files as they were when they were probed.
            window: In its own pixels, and inside it.
            bands: Zero-based indexes, in the order wanted.
            level: Level of a source whose pixels stay where they are; 0 of all others.
            with_mask: Whether the source's own mask is wanted, too.

        Raises:
            SourceError: A file is missing, changed since it was probed, or cannot be read.
            InterruptedRunError: Reading was cancelled.
        """

    def cancel(self) -> None:
        """Cancel reads that wait; they raise `InterruptedRunError`."""


class SourceReader(Reader, Protocol):
    """Reads sources of one kind, from the first window to the last check."""

    def check(self, source: Source) -> None:
        """Check that a source is still as it was identified.

        Raises:
            SourceError: It is missing, or it changed.
        """

    def finish(self, source: Source) -> None:
        """Check what no window needed, if a source must be whole, and release it.

        Raises:
            SourceError: It is not what it should be.
        """

    def close(self) -> None:
        """Close all files; must not run while another thread reads."""


class StreamedReader(SourceReader, Protocol):
    """Reads sources from their start; see `Driver.is_streamed`."""

    def records(self, source: Source) -> dict[Digest, bytes]:
        """Return what other processes must have cached to read only parts of a source.

        They are digests of records, by the digest of the file.
        """

    def confirm(self, source: Source) -> None:
        """Wait until it is sure that windows which were read are of the bytes that were digested.

        Raises:
            SourceError: They are not.
        """


class Tabulated(NamedTuple):
    """The blocks of an object, all of which were read."""

    table: BlockTable | None
    """Its block table; None if its layout is unusual."""
    fetched: int = 0
    """Blocks that were read."""
    equal: int = 0
    """Those that an earlier state had in the same position."""


@runtime_checkable
class ObjectReader(Protocol):
    """What a reader adds that also reads objects on servers and in buckets."""

    def begin(
        self,
        source: Source,
        windows: Sequence[Window],
        bands: Sequence[int],
        *,
        with_mask: bool,
        level: int = 0,
        is_soon: bool = False,
    ) -> None:
        """Start to fetch what some reads will need, if the source is an object; do not wait for it.

        Errors are left to the reads.

        Args:
            source: The source.
            windows: In its own pixels, and inside it.
            bands: Zero-based indexes.
            with_mask: Whether the source's own mask is read too.
            level: Level of a source whose pixels stay where they are; 0 of all others.
            is_soon: Whether the reads are not the next thing that this thread does: then it does
                not wait for the header either.
        """

    def tabulate(self, source: Source, before: BlockTable | None = None) -> Tabulated:
        """Return the block table of an object; blocks that changed are kept for the next reads.

        Args:
            source: The object.
            before: The block table of an earlier state.

        Raises:
            SourceError: It changed since it was probed, or cannot be read.
        """

    @property
    def blocks_decoded(self) -> int:
        """Blocks of objects that were read to be decoded."""


class Weaknesses(Struct, frozen=True, kw_only=True):
    """What a source should have and lacks."""

    message: str
    """The list of it."""
    hint: str
    """A command that fixes most of it, or what to change."""


class InPlaceState(Struct, frozen=True, kw_only=True):
    """A source whose pixels stay where they are."""

    shapes: tuple[tuple[int, int], ...]
    """(rows, columns) of each level that it has, from level 0."""
    tile: int
    """Side, in pixels, of the largest tile of any level."""
    pin: Pin
    """The state that an asset shows, with all levels."""
    weaknesses: Weaknesses | None = None
    """What it should have and lacks."""


class InPlace(Protocol):
    """What a driver adds if the pixels of its sources can stay where they are."""

    def state(self, source: DeclaredSource, probe: Probe) -> InPlaceState:
        """Return the state of a source that is read in place.

        Raises:
            PlanError: It cannot be; names the command that fixes it.
        """


class Driver(Protocol):
    """One kind of source. Everything that is particular to it is in its folder of `sources/`."""

    name: ClassVar[str]
    """What probes and sources of this kind name it."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages that shape the pixels; commits record their versions."""
    is_portable: ClassVar[bool] = False
    """Whether a worker process of another interpreter can read these sources too."""
    is_streamed: ClassVar[bool] = False
    """Whether a source is read from its start: caching some of its windows then saves nothing.
    Its reader is a `StreamedReader`."""
    has_sidecars: ClassVar[bool] = False
    """Whether other tools read files next to a source, or pages after its first, as part of it."""
    has_late_tables: ClassVar[bool] = False
    """Whether block tables are made when a plan needs them, not when a source is probed."""

    has_features: ClassVar[bool] = False
    """Whether a spec selects features of a source, each of which makes bands."""
    has_variables: ClassVar[bool] = False
    """Whether a file may hold several rasters, of which a spec names one."""
    has_metadata: ClassVar[bool] = True
    """Whether `skip_metadata_read` ignores what a source says of itself."""
    keeps_band_names: ClassVar[bool] = False
    """Whether a name of `band_names` that cannot be a band's is an error, rather than replaced."""

    in_place: ClassVar[InPlace | None] = None
    """What reads pixels that stay where they are; None if they must be ingested."""

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is of this kind; no file is read."""

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of sources of this kind; unchanged ones are not opened.

        Raises:
            SourceError: A source is missing, cannot be read, or changed while it was probed.
        """

    def select(
        self,
        probe: AnyProbe,
        selection: SourceSelection,  # noqa: ARG002 - for drivers, as are those below
        *,
        transform: Transform | None,  # noqa: ARG002
        read_crs: Callable[[str], Crs],  # noqa: ARG002
    ) -> Probe:
        """Return the state of a source with what a spec selects of it; no file is read.

        Args:
            probe: What `probe` returned.
            selection: What the spec selects; nothing, unless the driver has features.
            transform: The transform that the spec declares, instead of the source's own.
            read_crs: Returns the CRS that a text names.

        Raises:
            SelectionError: The spec selects what is not possible.
            SourceError: The source lacks what it should have.
        """
        if not isinstance(probe, Probe):
            raise InternalError(f"the driver `{self.name}` must select from its own probes")
        return probe

    def with_files(
        self,
        source: Source,
        probe: AnyProbe,
        *,
        features: Sequence[Feature],  # noqa: ARG002
    ) -> Source:
        """Return a published source with its files, as they were probed.

        Args:
            source: The source, as its asset records it.
            probe: What `probe` returned; it has the same digest.
            features: The features of its tileset.
        """
        if not isinstance(probe, Probe):
            raise InternalError(f"the driver `{self.name}` must use its own probes")
        return replace(
            source,
            path=probe.header.path,
            stat=probe.stat,
            block=probe.header.block,
            is_pixel_interleaved=probe.header.is_pixel_interleaved,
            is_proven=probe.is_proven,
            driver=probe.driver,
            remote=probe.remote,
            servers=probe.servers,
        )

    def band_names(self, probe: Probe) -> Sequence[str]:  # noqa: ARG002 - for drivers
        """Return names for bands that a spec does not name, by index; none if there are none."""
        return ()

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> SourceReader:
        """Return a reader of sources of this kind; it opens nothing yet.

        Args:
            folder: Folder for temporary files; it may not exist yet.
            cache: What was cached of the sources.
        """

    def session(self) -> AbstractContextManager[None]:
        """Return what prepares the calling thread for many reads; it saves time, nothing else."""
        return nullcontext()

    def stay_in_session(self) -> None:
        """Prepare the calling thread for reads until it ends."""
        return

    def stored_pixels(self, probe: Probe) -> int:
        """Return how many pixels a source stores at most, of its rows times columns."""
        return probe.header.height * probe.header.width

    def make_table(self, source: Source, cache: ReaderCache) -> BlockTable | None:  # noqa: ARG002 - for drivers
        """Return the block table of a source with late tables; None if it cannot be made."""
        return None
