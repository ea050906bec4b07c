"""What a report says, as values; every format shows the same."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.geobox import Bounds
from geobatch.model.plans.plan_document import (
    BandDocument,
    EstimateDocument,
    GridDocument,
    RehearsalDocument,
    WarningDocument,
)

ACTIONS = ("create", "update", "rename", "delete", "blocked")
"""What can happen to an asset, in the order in which a report counts it."""
DESTRUCTIVE = ("delete", "rename", "blocked")
"""What is always shown before anything else."""


class SpecLine(Struct, frozen=True, kw_only=True):
    """A line of a spec file."""

    path: str
    """Path of the file, from the folder of the links."""
    line: int
    """1-based line."""
    url: str = ""
    """Link to it; empty if unknown."""


class Work(Struct, frozen=True, kw_only=True):
    """Counts of tiles, bytes and pixels."""

    compute: int = 0
    """Tiles that are computed."""
    total: int = 0
    """Tiles that the assets can have."""
    remove: int = 0
    """Published tiles that are removed."""
    read: int = 0
    """Bytes of sources to read, an estimate."""
    write_max: int = 0
    """Bytes of pixels to write, before compression."""
    pixels: int = 0
    """Pixels of level 0 that a rehearsal compared or computed, over all bands."""
    changed: int = 0
    """Those of `pixels` that differ, in value or mask; or that are valid, where all is new."""
    masked: int = 0
    """Those of `changed` that are masked now."""
    unmasked: int = 0
    """Those of `changed` that were masked."""
    new: int = 0
    """Those of `pixels` that are of new bands, with no state before to compare with."""
    valid: int = 0
    """Those of `new` that are valid."""
    different: int = 0
    """Tiles that a rehearsal found to differ."""


class ReportedRisk(Struct, frozen=True, kw_only=True):
    """One risk of one asset."""

    code: str
    """Code of the risk, or rule of a warning."""
    text: str
    """What it means."""
    path: str
    """Its subject in the spec; empty for the asset itself."""


class ReportedReason(Struct, frozen=True, kw_only=True):
    """One reason of a change."""

    code: str
    """Code of the reason."""
    path: str
    """What it is about."""
    detail: str
    """Old and new value, or how much changed."""
    text: str
    """The reason in words."""

    @property
    def is_value(self) -> bool:
        """Whether it says an old and a new value."""
        return " -> " in self.detail


class ReportedAsset(Struct, frozen=True, kw_only=True):
    """What happens to one asset."""

    id: str
    """Asset id."""
    previous_id: str = ""
    """Former id; of a rename only."""
    actions: tuple[str, ...]
    """One or more of `ACTIONS`."""
    declared: SpecLine | None = None
    """Where it is declared."""
    work: Work = Work()
    """Counts."""
    by_level: tuple[int, ...] = ()
    """Tiles to compute, level by level."""
    reasons: tuple[ReportedReason, ...] = ()
    """Why."""
    risks: tuple[ReportedRisk, ...] = ()
    """What to check with care."""
    blocked: str = ""
    """Why the change is refused."""
    bounds: Bounds | None = None
    """Box of what changes: longitudes and latitudes."""
    grids: tuple[GridDocument, ...] = ()
    """Pixel planes."""
    differences: tuple[BandDocument, ...] = ()
    """Per band, what a rehearsal found to differ."""
    values: tuple[BandDocument, ...] = ()
    """Per band, the values of a new asset that was rehearsed."""
    failed_checks: tuple[str, ...] = ()
    """Checks of the spec that fail, in words."""
    is_table: bool = False
    """Whether it has rows, not pixels."""

    @property
    def is_destructive(self) -> bool:
        """Whether readers lose something, or the change is refused."""
        return self.actions[0] in DESTRUCTIVE


class Group(Struct, frozen=True, kw_only=True):
    """Assets of one collection that one spec declares."""

    name: str
    """Id of the only asset, or the folder of the ids and `/*`."""
    declared: SpecLine | None
    """Where they are declared."""
    counts: dict[str, int]
    """Number of assets by action."""
    work: Work
    """Counts over all of them."""
    reasons: tuple[str, ...]
    """Reasons in words, without what differs from asset to asset."""
    risks: int
    """How many risks there are."""


class RiskGroup(Struct, frozen=True, kw_only=True):
    """One kind of risk."""

    code: str
    """Its code."""
    text: str
    """What it means."""
    count: int
    """How many there are."""
    examples: tuple[str, ...]
    """Subjects: asset ids, and what of the asset."""


class ValueChange(Struct, frozen=True, kw_only=True):
    """A value of specs or sources that changed, in one or more assets."""

    path: str
    """What of the spec."""
    detail: str
    """Old and new value."""
    count: int
    """In how many assets."""
    example: str
    """One of them."""


class Report(Struct, frozen=True, kw_only=True):
    """A whole report."""

    plan_id: str
    """Id of the plan."""
    store_id: str
    """Uuid of the store; empty if there is none yet."""
    base: str
    """Commit that the plan starts from; empty if there is none."""
    counts: dict[str, int]
    """Number of assets by action, and those `unchanged` and `not_selected`."""
    work: Work
    """Counts over all changes that are not blocked."""
    bounds: Bounds | None
    """Box of everything that changes."""
    refusals: tuple[str, ...]
    """Why `apply` would refuse the plan."""
    risks: tuple[RiskGroup, ...]
    """Risks by kind, those that lose data first."""
    groups: tuple[Group, ...]
    """Changes by collection and spec."""
    values: tuple[ValueChange, ...]
    """Values that changed."""
    warnings: tuple[WarningDocument, ...]
    """What `plan` warned of."""
    undeclared: tuple[str, ...]
    """Published assets without a spec, which stay."""
    cubes: int = 0
    """How many cubes appear, change or go."""
    rehearsal: RehearsalDocument | None
    """The rehearsal; None if the plan was not rehearsed."""
    estimate: EstimateDocument | None
    """How long an apply may take; None if it is not known, or nothing is left to be computed."""
    assets: tuple[ReportedAsset, ...]
    """What happens to each asset: destructive changes first, then those with risks, then large."""

    @property
    def risk_count(self) -> int:
        """How many risks there are."""
        return sum(risk.count for risk in self.risks)
