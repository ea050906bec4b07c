"""What a check of a store found: files that are not as they must be, and what each one hurts."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey
from geobatch.store.maintenance.check import Below


class Kind(StrEnum):
    """What is wrong with a file."""

    DAMAGED = "damaged"
    MISSING = "missing"
    FOREIGN = "foreign"


class Hurt(Struct, frozen=True, kw_only=True):
    """What cannot be read, or is shown wrongly, because of a file."""

    asset: str = ""
    """Id of the asset; empty if it is all of the commits."""
    commits: tuple[int, ...] = ()
    """Numbers of the commits, sorted; empty for a view, which shows the head."""
    array: ArrayKey | None = None
    """The array; None for all of the asset."""
    tiles: tuple[tuple[int, int], ...] = ()
    """(row, column) of tiles, sorted."""
    below: tuple[Below, ...] = ()
    """Squares of tiles, of index pages; all tiles of the array if there is neither."""


class Finding(Struct, frozen=True, kw_only=True):
    """A file that is not as it must be."""

    kind: Kind
    """What is wrong with it, in a word."""
    name: str
    """Its name in the store."""
    problem: str
    """What is wrong with it."""
    hurts: tuple[Hurt, ...] = ()
    """What needs it, sorted; nothing if no reader misses it."""
    digest: Digest = ""
    """Its digest, of an object."""
    number: int = 0
    """Number of its commit, of a ref."""
    known: str = ""
    """The digest that a ref should say, if it is known."""

    @property
    def order(self) -> tuple[str, str]:
        """What findings are sorted by."""
        return self.name, self.kind


class Totals(Struct, frozen=True, kw_only=True):
    """What was checked."""

    objects: int = 0
    """Objects."""
    bytes: int = 0
    """Their bytes."""
    read: int = 0
    """Objects of which every byte was compared with the digest, besides documents and pages."""
    read_bytes: int = 0
    """Their bytes."""
    commits: int = 0
    """Commits whose assets were checked."""
    assets: int = 0
    """States of assets: an asset that two commits have in two states counts twice."""
    unused: int | None = None
    """Objects that no commit needs; None if that cannot be said, because something is damaged."""


class Report(Struct, frozen=True, kw_only=True):
    """The result of a check."""

    findings: tuple[Finding, ...] = ()
    """Every file that is not as it must be, sorted by name."""
    notes: tuple[str, ...] = ()
    """What is odd and harms nothing, such as a cache that cannot be read."""
    totals: Totals = Totals()
    """What was checked."""
    seconds: float = 0.0
    """How long it took."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was found."""
        return not self.findings
