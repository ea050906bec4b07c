"""A plan is a value: per asset what is done (Op) and why (Reason), down to each tile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from heapq import merge
from operator import attrgetter
from typing import ClassVar, overload

from msgspec import Struct

from geobatch.errors import InternalError
from geobatch.model import plans
from geobatch.model.assets.asset import AnyImage, Asset, image_of
from geobatch.model.checks.result import CheckResult
from geobatch.model.compared import Compared
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.model.plans.cube_change import CubeChange
from geobatch.model.tiles import TileSet

_LIMIT = re.compile("[0-9]{1,9}%?", re.ASCII)


class Op(StrEnum):
    """What happens to an asset."""

    CREATE = "+"
    UPDATE = "~"
    RENAME = ">"
    DELETE = "-"
    KEEP = "="


class Reason(StrEnum):
    """Why it happens. Append only."""

    NEW_ASSET = "NEW_ASSET"
    RENAMED = "RENAMED"
    KIND_CHANGED = "KIND_CHANGED"
    SOURCE_CHANGED = "SOURCE_CHANGED"
    SOURCE_ADDED = "SOURCE_ADDED"
    SOURCE_REMOVED = "SOURCE_REMOVED"
    SOURCE_MOVED = "SOURCE_MOVED"
    BAND_ADDED = "BAND_ADDED"
    BAND_REMOVED = "BAND_REMOVED"
    BANDS_REORDERED = "BANDS_REORDERED"
    BAND_SOURCE_CHANGED = "BAND_SOURCE_CHANGED"
    POLICY_CHANGED = "POLICY_CHANGED"
    MASKING_CHANGED = "MASKING_CHANGED"
    DTYPE_CHANGED = "DTYPE_CHANGED"
    GRID_CHANGED = "GRID_CHANGED"
    TILING_CHANGED = "TILING_CHANGED"
    CODEC_CHANGED = "CODEC_CHANGED"
    PROPERTIES_CHANGED = "PROPERTIES_CHANGED"
    TIME_CHANGED = "TIME_CHANGED"
    METADATA_CHANGED = "METADATA_CHANGED"
    LIFECYCLE_CHANGED = "LIFECYCLE_CHANGED"
    CHECKS_CHANGED = "CHECKS_CHANGED"
    REPLACE_REQUESTED = "REPLACE_REQUESTED"
    NOT_DECLARED = "NOT_DECLARED"


class Because(Struct, frozen=True, kw_only=True):
    """One reason with its subject."""

    reason: Reason
    """The category."""
    path: str
    """What in the spec or among the sources it concerns: a uri, or `properties.version`."""
    detail: str = ""
    """Old and new value, or how much of it changed."""


class Risk(StrEnum):
    """What a reviewer should check carefully. Append only."""

    ASSET_DELETED = "ASSET_DELETED"
    """The asset is deleted."""
    ASSET_RENAMED = "ASSET_RENAMED"
    """Readers that use its former id no longer find it."""
    PROTECTION_LIFTED = "PROTECTION_LIFTED"
    """From the next apply on, the asset can be deleted."""
    BAND_REMOVED = "BAND_REMOVED"
    """Readers no longer find the band."""
    DTYPE_CHANGED = "DTYPE_CHANGED"
    """The type of its pixels changes."""
    GRID_CHANGED = "GRID_CHANGED"
    """The position of pixels changes."""
    TILING_CHANGED = "TILING_CHANGED"
    """The cut into tiles changes."""
    ALL_RECOMPUTED = "ALL_RECOMPUTED"
    """Every tile of a published asset is recomputed, and not only because of its sources."""
    CLASSES_AVERAGED = "CLASSES_AVERAGED"
    """Levels of a band of classes would be built by MEAN, which gives values of no class."""
    CHECK_FAILED = "CHECK_FAILED"
    """A check of the spec fails, whose severity is `warn`."""


class Start(StrEnum):
    """Where the pixels of a piece of work come from."""

    SOURCES = "sources"
    """Level 0 is ingested from the sources."""
    LEVEL_0 = "level 0"
    """Level 0 is kept and read from the store; the levels above are rebuilt."""
    RECODE = "recode"
    """Every level is kept and only encoded again."""


class BandWork(Struct, frozen=True, kw_only=True):
    """What must be computed of one band."""

    band: str
    """Band id."""
    start: Start
    """Where its pixels come from."""
    tiles: TileSet
    """Level-0 tiles that are recomputed, or whose ancestors are."""
    above: TileSet | None = None
    """Level-0 tiles whose ancestors are recomputed, if these are more than `tiles`."""
    can_stop: bool = False
    """Whether a recomputed tile that equals that of the base leaves its ancestors unchanged."""
    base: tuple[str, str] | None = None
    """(asset id, band id) in the base commit whose tiles are carried over or read; or None. An
    empty asset id stands for a band made before, by its pyramid fingerprint."""

    def dirty(self, level_count: int) -> tuple[TileSet, ...]:
        """Return the tiles to recompute, level by level."""
        levels = [self.tiles if self.above is None else self.above]
        for _ in range(1, level_count):
            levels.append(levels[-1].parents())
        is_kept = self.start is Start.LEVEL_0
        levels[0] = TileSet.empty(self.tiles.shape) if is_kept else self.tiles
        return tuple(levels)


class TileCounts(Struct, frozen=True, kw_only=True):
    """How many tiles of all arrays of an asset a plan touches."""

    compute: int
    """Tiles that are recomputed."""
    total: int
    """Tiles that the asset can have."""
    by_level: tuple[int, ...]
    """`compute`, level by level."""
    add: int = 0
    """Those of `compute` that replace no published tile."""
    remove: int = 0
    """Published tiles that are removed without replacement."""

    @property
    def change(self) -> int:
        """Recomputed tiles that replace published ones."""
        return self.compute - self.add

    @property
    def unchanged(self) -> int:
        """Tiles that are kept."""
        return self.total - self.compute


class TableWork(Struct, frozen=True, kw_only=True):
    """What must be done for the rows of a table."""

    is_read: bool
    """Whether they are read from the sources; otherwise the published rows are kept."""
    rows: int | None
    """How many are published; None if none are, or if unknown."""


class AssetChange(Struct, frozen=True, kw_only=True):
    """What happens to one asset."""

    id: str
    """Asset id."""
    op: Op
    """What is done; a RENAME may be an update too."""
    previous_id: str = ""
    """Former id, which is removed; of a RENAME only."""
    because: tuple[Because, ...] = ()
    """Why; empty for KEEP."""
    asset: Asset | None = None
    """The resolved asset; None for DELETE."""
    fingerprint: Digest = ""
    """Fingerprint of that asset."""
    work: tuple[BandWork, ...] = ()
    """Per band that needs any; a band without work is carried over."""
    carried: tuple[tuple[str, tuple[str, str]], ...] = ()
    """(band id, (asset id, band id) in the base commit) for bands whose tiles are all kept."""
    table: TableWork | None = None
    """What is done for the rows of a table; None for an asset of pixels."""
    tiles: TileCounts = TileCounts(compute=0, total=0, by_level=())
    """Counts over values and masks."""
    bytes_read: int = 0
    """Estimate of source bytes to read."""
    bytes_write_max: int = 0
    """Upper bound of the pixels to write, before compression."""
    extent: tuple[GeoBox, ...] = ()
    """Planes cut to tiles that change or are removed, one per grid at most; empty for no tile."""
    risks: tuple[tuple[Risk, str], ...] = ()
    """What a reviewer should check carefully, and which part of spec or sources it concerns."""
    blocks_changed: tuple[tuple[str, int], ...] = ()
    """(uri, changed blocks) of sources whose blocks could be compared."""
    is_replaced: bool = False
    """Whether all is recomputed by request: nothing cached is trusted."""
    blocked: str = ""
    """Why this is refused; empty if it is allowed."""
    checks: tuple[CheckResult, ...] = ()
    """What is known of the checks of its spec, for each band or grid."""

    @property
    def image(self) -> AnyImage:
        """Return the asset, which must be an image."""
        if self.asset is None:
            raise InternalError(f"`{self.id}` is deleted")
        return image_of(self.asset)

    @property
    def bases(self) -> tuple[tuple[str, tuple[str, str]], ...]:
        """The stored bands that bands build upon, as in `carried`; of those, too."""
        worked = ((work.band, work.base) for work in self.work if work.base is not None)
        return (*self.carried, *worked)

    @property
    def is_taken_over(self) -> bool:
        """Whether bands are carried over, and all by their fingerprints: as of a killed run."""
        return bool(self.carried) and not any(asset_id for _, (asset_id, _) in self.carried)


class Changes(Sequence[AssetChange]):
    """Changes sorted by asset id. Those of kept assets are made when they are asked for."""

    __slots__ = ("changed", "kept")

    def __init__(self, changes: Iterable[AssetChange], kept: Iterable[str] = ()) -> None:
        """Sort changes.

        Args:
            changes: Changes of different assets, in any order.
            kept: Ids of further assets, which are kept.
        """
        changes = sorted(changes, key=_id)
        names = [change.id for change in changes if change.op is Op.KEEP]
        self.changed = tuple(change for change in changes if change.op is not Op.KEEP)
        """Those of assets that are not kept."""
        self.kept: Sequence[str] = sorted([*names, *kept])
        """Ids of those that are."""

    def __len__(self) -> int:
        return len(self.changed) + len(self.kept)

    def __iter__(self) -> Iterator[AssetChange]:
        kept = (AssetChange(id=name, op=Op.KEEP) for name in self.kept)
        return merge(self.changed, kept, key=_id) if self.changed else kept

    @overload
    def __getitem__(self, at: int) -> AssetChange: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[AssetChange, ...]: ...
    def __getitem__(self, at: int | slice) -> AssetChange | tuple[AssetChange, ...]:
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Changes):
            return (self.changed, self.kept) == (other.changed, other.kept)
        return isinstance(other, tuple) and tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


_id = attrgetter("id")


class Plan(Compared, frozen=True, kw_only=True):
    """Everything that an apply would do, and nothing else."""

    beside: ClassVar[frozenset[str]] = frozenset({"sources_hashed", "sources_by_stat"})

    store_id: str
    """Uuid of the store; empty where there is none yet."""
    base_commit: Digest | None
    """Commit that the plan was made against."""
    plan_id: Digest
    """Hash of store, base, specs and sources: the same on every machine."""
    changes: Sequence[AssetChange]
    """Sorted by asset id; unchanged assets are KEEP."""
    refusals: tuple[str, ...] = ()
    """Why an apply would refuse the plan; empty where it would not."""
    not_selected: int = 0
    """Declared assets that were not selected."""
    undeclared: tuple[str, ...] = ()
    """Published assets that no given spec declares and that are kept, sorted."""
    sources_hashed: int = 0
    """How many sources were read to be identified."""
    sources_by_stat: int = 0
    """How many sources have an unchanged stat."""
    cubes: tuple[CubeChange, ...] = ()
    """Cubes that appear, change or go, sorted by id."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.cubes or self.changed)

    @property
    def changed(self) -> Sequence[AssetChange]:
        """The changes of assets that are not kept."""
        return _sorted(self.changes).changed

    @property
    def kept(self) -> Sequence[str]:
        """Ids of the assets that are kept, sorted."""
        return _sorted(self.changes).kept

    def count(self, op: Op) -> int:
        """Return how many assets an op concerns, less those that are blocked."""
        if op is Op.KEEP:
            return len(self.kept)
        return sum(1 for change in self.changed if change.op is op and not change.blocked)

    def __repr__(self) -> str:
        return f"<Plan {self.plan_id[:8]}: {plans.plan_text(self)}>"

    def _repr_html_(self) -> str:
        return plans.plan_html(self)


def _sorted(changes: Sequence[AssetChange]) -> Changes:
    return changes if isinstance(changes, Changes) else Changes(changes)


class Options(Struct, frozen=True, kw_only=True):
    """What a plan covers, and its limits."""

    select: tuple[str, ...] = ()
    """Patterns of asset ids, `state:new` or `state:modified`; all assets where there is none."""
    replace: tuple[str, ...] = ()
    """Patterns of asset ids that are recomputed though nothing changed."""
    is_pruning: bool = False
    """Whether to delete assets that the given specs published and no longer declare."""
    max_delete: str | None = None
    """How many assets may be deleted, `3` or `25%`; None for at most a fifth, and never all."""
    keeps_project_prefix: bool = False
    """Whether `projects/P/assets/a` stays the id of an asset, rather than `a`."""

    def __post_init__(self) -> None:
        """Check what a program gives.

        Raises:
            ValueError: `max_delete` is neither a number nor a share.
            TypeError: Patterns are one text, not several.
        """
        for name in ("select", "replace"):
            if isinstance(getattr(self, name), str):
                raise TypeError(
                    f"`{name}` must be several patterns, got the text `{getattr(self, name)}`: "
                    f"write `{name}=({getattr(self, name)!r},)`"
                )
        limit: object = self.max_delete
        if limit is not None and not (isinstance(limit, str) and _LIMIT.fullmatch(limit)):
            raise ValueError(
                f"`max_delete` must be a number of assets or a share, such as `'3'` or `'25%'`, "
                f"got `{limit!r}`"
            )


class Failure(Struct, frozen=True, kw_only=True):
    """An asset that could not be made while others were."""

    id: str
    """Asset id."""
    code: str
    """Code of the error."""
    message: str
    """Message of the error."""
    hint: str | None = None
    """What to do about it."""
    path: str = ""
    """Spec file that declares it, as the user named it."""
    line: int = 1
    """1-based line of the uri that the error is about, or of the asset."""
    column: int = 1
    """1-based column."""
