"""The members that a saved plan must have, to be shown and compared.

Other members are allowed: minor versions of the format add some.
"""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Side = Annotated[int, Meta(ge=1, le=2**63 - 1)]
Finite = Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Action = Literal["create", "update", "rename", "delete", "keep", "blocked"]


class ReasonDocument(Struct):
    """Why something happens."""

    code: str
    path: str
    detail: str


class RiskDocument(Struct):
    """What to check carefully."""

    code: str
    path: str


class TilesDocument(Struct):
    """Counts of tiles."""

    compute: Count
    total: Count
    add: Count
    change: int
    remove: Count
    unchanged: int
    by_level: list[Count]


class BytesDocument(Struct):
    """Estimates of bytes."""

    read: Count
    write_max: Count


class RowsDocument(Struct):
    """What happens to the rows of a table."""

    is_read: bool
    rows: Count | None


class DeclaredDocument(Struct):
    """Where a spec is."""

    path: str
    line: Count


class GridDocument(Struct):
    """A pixel plane and the bands on it."""

    name: str
    crs: str
    transform: tuple[Finite, Finite, Finite, Finite, Finite, Finite]
    height: Side
    width: Side
    tile: Side
    bands: list[str]


class HistogramDocument(Struct):
    """Counts of values between edges."""

    edges: list[Finite]
    counts: list[Count]


class LevelDocument(Struct):
    """Tiles of one level that were computed by a rehearsal."""

    level: Count
    tiles: Count
    different: Count


class BandDocument(Struct):
    """Statistics of a band: of what differs, or of the values of a new asset."""

    band: str
    pixels: Count = 0
    changed: Count = 0
    masked: Count = 0
    unmasked: Count = 0
    reweighted: Count = 0
    minimum: Finite | None = None
    maximum: Finite | None = None
    mean: Finite | None = None
    histogram: HistogramDocument | None = None


class RehearsedDocument(Struct):
    """What a rehearsal computed of an asset."""

    levels: list[LevelDocument] = []
    bands: list[BandDocument] = []
    values: list[BandDocument] = []


class CheckDocument(Struct):
    """What is known of a check, for one band or grid."""

    index: Count
    kind: str
    severity: str
    subject: str
    expected: str
    status: str
    found: str = ""
    basis: str = ""
    count: Count | None = None
    pixels: Count | None = None
    first: list[Count] | None = None


class ChangeDocument(Struct):
    """What happens to an asset."""

    id: str
    actions: Annotated[list[Action], Meta(min_length=1)]
    reasons: list[ReasonDocument]
    tiles: TilesDocument
    bytes: BytesDocument
    risks: list[RiskDocument]
    previous_id: str = ""
    blocked: str = ""
    is_level_0_kept: bool = False
    table: RowsDocument | None = None
    reused_bands: list[str] = []
    bounds_4326: tuple[Finite, Finite, Finite, Finite] | None = None
    declared: DeclaredDocument | None = None
    grids: list[GridDocument] = []
    rehearsed: RehearsedDocument | None = None
    checks: list[CheckDocument] = []


class WarningDocument(Struct):
    """A warning about a spec or a source."""

    path: str
    line: Count
    rule: str
    message: str
    hint: str | None = None


class SampleDocument(Struct):
    """How much of a plan a rehearsal computed."""

    share: Finite
    bound: str = ""


class RehearsalDocument(Struct):
    """What a rehearsal left in the store."""

    id: str
    content_root: str | None
    expires: str | None = None
    sample: SampleDocument | None = None
    checks: list[CheckDocument] = []


class TileDocument(Struct):
    """A tile that a plan computes."""

    asset: str
    band: str
    level: Annotated[int, Meta(ge=0, le=64)]
    row: Count
    col: Count
    is_mask: bool = False


class ProbedDocument(Struct):
    """How many sources were read."""

    hashed: Count
    by_stat: Count


class SummaryDocument(Struct):
    """Counts of assets."""

    create: Count
    update: Count
    rename: Count
    delete: Count
    blocked: Count
    unchanged: Count
    not_selected: Count


class TileTotalsDocument(Struct):
    """Counts of the tiles of all changes."""

    compute: Count
    total: Count
    remove: Count


class TotalsDocument(Struct):
    """What all changes do together."""

    tiles: TileTotalsDocument
    bytes: BytesDocument


class EstimateDocument(Struct):
    """How long an apply may take."""

    seconds: Annotated[float, Meta(ge=0, le=sys.float_info.max)]
    runs: Count
    is_same_machine: bool = True


class CollectionDocument(Struct):
    """Counts of assets in one folder of ids."""

    id: str
    create: Count = 0
    update: Count = 0
    rename: Count = 0
    delete: Count = 0
    blocked: Count = 0


class AssetDocument(Struct):
    """An asset among the inputs of the plan."""

    id: str
    path: str
    spec: str
    fingerprint: str


class SourceDocument(Struct):
    """A source among the inputs of the plan."""

    asset: str
    uri: str
    digest: str
    size: Count | None


class ToolDocument(Struct):
    """What made the plan."""

    version: str


class OptionsDocument(Struct):
    """What the plan covers."""

    select: list[str]
    replace: list[str]
    prune: bool
    max_delete: Annotated[str, Meta(pattern="^[0-9]{1,9}%?$")] | None
    keep_project_prefix: bool = False


class CubeDocument(Struct):
    """What the plan does to the cube of a folder."""

    id: str
    action: Literal["create", "update", "delete"]
    images: Count
    added: Count
    changed: Count
    removed: Count


class PlanDocument(Struct):
    """A whole saved plan."""

    format_version: str
    plan_id: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    store_id: str | None
    base_commit: str | None
    changes: bool
    looked_at: ProbedDocument
    asset_changes: list[ChangeDocument]
    refusals: list[str]
    summary: SummaryDocument
    tool: ToolDocument
    assets: list[AssetDocument]
    deleted: list[str]
    sources: list[SourceDocument]
    options: OptionsDocument
    paths: Annotated[list[Annotated[str, Meta(min_length=1)]], Meta(min_length=1)]
    totals: TotalsDocument | None = None
    collections: list[CollectionDocument] = []
    cubes: list[CubeDocument] = []
    undeclared: list[str] = []
    warnings: list[WarningDocument] = []
    rehearsal: RehearsalDocument | None = None
    estimate: EstimateDocument | None = None


def defect(document: Any) -> str | None:
    """Return what is wrong with a saved plan, and where; None if it is valid."""
    try:
        msgspec.convert(document, PlanDocument)
    except msgspec.ValidationError as error:
        return str(error)
    except UnicodeEncodeError:
        return "half of a surrogate pair is not valid text"
    return None
