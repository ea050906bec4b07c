"""The members that a saved plan must have, to be shown and compared.

Other members are allowed: minor versions of the format add some.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
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
    checks: list[CheckDocument] = []


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
    undeclared: list[str] = []


def defect(document: Any) -> str | None:
    """Return what is wrong with a saved plan, and where; None if it is valid."""
    try:
        msgspec.convert(document, PlanDocument)
    except msgspec.ValidationError as error:
        return str(error)
    except UnicodeEncodeError:
        return "half of a surrogate pair is not valid text"
    return None
