"""Counts of pixels, which are added up over tiles and kept with a published asset."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from geobatch.model.digest import Digest, Json
from geobatch.model.number import Number, number_from_json, number_to_json


class Found(Struct, frozen=True, kw_only=True, order=True):
    """One pixel."""

    row: int
    """Row at level 0."""
    col: int
    """Column at level 0."""
    value: Number
    """Its value."""


class Measure(Struct, frozen=True, kw_only=True):
    """How many pixels of some tiles of a band were counted, and the first of them."""

    count: int = 0
    """How many."""
    first: Found | None = None
    """The first in row order; None for none, or if nothing reports it."""

    def __add__(self, other: Measure) -> Measure:
        """Return the counts of both; no pixel is in both."""
        found = [one for one in (self.first, other.first) if one is not None]
        first = min(found, key=lambda one: (one.row, one.col)) if found else None
        return Measure(count=self.count + other.count, first=first)

    def to_json(self) -> list[Json]:
        """Return the measure as JSON."""
        first = self.first
        at = None if first is None else [first.row, first.col, number_to_json(first.value)]
        return [self.count, at]

    @classmethod
    def from_json(cls, value: Any) -> Measure:
        """Invert `to_json`.

        Raises:
            TypeError, ValueError: It is not a measure.
        """
        count, at = value
        if at is None:
            return cls(count=count)
        row, col, number = at
        return cls(count=count, first=Found(row=row, col=col, value=number_from_json(number)))


Measures: TypeAlias = dict[Digest, Measure]
"""What was counted of one band, by the name of the measure."""
BandMeasures: TypeAlias = dict[str, Measures]
"""The same of several bands."""


def add_measures(into: BandMeasures, other: BandMeasures) -> None:
    """Add counts of other pixels of the same or of other bands."""
    for band, measures in other.items():
        known = into.setdefault(band, {})
        for name, measure in measures.items():
            known[name] = known[name] + measure if name in known else measure
