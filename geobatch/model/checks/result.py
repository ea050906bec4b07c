"""What became of a check, for one band or one grid."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from geobatch.model.checks.check import CheckKind, Severity
from geobatch.model.digest import Json


class Status(StrEnum):
    """What is known of a check."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"
    """It is answered by executing the plan."""


class Basis(StrEnum):
    """What a pending check is computed from."""

    SOURCES = "sources"
    """The tiles that are ingested."""
    CHANGES = "changed tiles"
    """The counts of the published asset, and the tiles that change."""
    COUNTS = "counts"
    """Counts that are kept with the stored tiles: no pixel is read."""
    TILES = "stored tiles"
    """All stored tiles of the band: no source is read."""
    NOTHING = "nothing"
    """No published pixels to compare with."""


class CheckResult(Struct, frozen=True, kw_only=True):
    """What became of a check, for one band or one grid."""

    index: int
    """Index of the check in the spec."""
    kind: CheckKind
    """What it is about."""
    severity: Severity
    """What it means if it fails."""
    subject: str
    """Id of the band; of `crs` and `resolution`, the bands of the grid."""
    expected: str
    """What must be true, in words."""
    status: Status
    """What is known."""
    found: str = ""
    """What was found, in words; empty while it is pending."""
    basis: Basis | None = None
    """What a pending one is computed from."""
    count: int | None = None
    """Pixels that are outside, masked, or changed."""
    pixels: int | None = None
    """Pixels among which these are."""
    first: tuple[int, int] | None = None
    """(row, column) at level 0 of the first of them."""

    @property
    def is_failed(self) -> bool:
        """Whether it failed."""
        return self.status is Status.FAILED

    @property
    def is_refusing(self) -> bool:
        """Whether it failed and prevents the publication."""
        return self.is_failed and self.severity is Severity.ERROR

    @property
    def message(self) -> str:
        """What is wrong, what was found and what was expected."""
        return f"`{self.kind}` of {self.subject}: {self.found}; expected {self.expected}"

    def to_json(self) -> dict[str, Json]:
        """Return the result as JSON, without what does not apply."""
        members: dict[str, Json] = {
            "index": self.index,
            "kind": self.kind.value,
            "severity": self.severity.value,
            "subject": self.subject,
            "expected": self.expected,
            "status": self.status.value,
        }
        if self.found:
            members["found"] = self.found
        if self.basis is not None:
            members["basis"] = self.basis.value
        if self.count is not None:
            members |= {"count": self.count, "pixels": self.pixels}
        if self.first is not None:
            members["first"] = list(self.first)
        return members
