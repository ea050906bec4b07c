"""Checks: what the pixels and the grids of an image must be to be published."""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction
from typing import Any

from msgspec import Struct

from geobatch.model.digest import Digest, Json, digest_json
from geobatch.model.number import Number, number_from_json, number_to_json


class CheckKind(StrEnum):
    """What a check is about."""

    RANGE = "range"
    """Every valid pixel is between two values, inclusive."""
    CLASSES = "classes"
    """Every valid pixel has one of some values."""
    MAX_MASKED = "max_masked"
    """At most a share of the pixels is masked."""
    MAX_CHANGED = "max_changed"
    """At most a share of the pixels differs from the published ones."""
    RESOLUTION = "resolution"
    """Pixels have this width and height, in units of the CRS."""
    CRS = "crs"
    """The grid is in this CRS."""

    @property
    def is_of_pixels(self) -> bool:
        """Whether pixels must be read to answer it; else the grid is enough."""
        return self not in (CheckKind.RESOLUTION, CheckKind.CRS)


class Severity(StrEnum):
    """What a failed check means."""

    ERROR = "error"
    """The asset is not published."""
    WARN = "warn"
    """A warning is printed."""


class Check(Struct, frozen=True, kw_only=True):
    """One check of an image; its index in the asset is its index in the spec."""

    kind: CheckKind
    """What it is about."""
    bands: tuple[str, ...]
    """Ids of the bands that it covers, at least one."""
    values: tuple[Number, ...] = ()
    """Of a range, both ends; of classes, all of them, sorted; of a resolution, width and height."""
    limit: str = ""
    """Of a share, the share, such as `20%`; of a CRS, its identity."""
    severity: Severity = Severity.ERROR
    """What it means if it fails."""

    @property
    def share(self) -> Fraction:
        """The share of pixels, from 0 to 1, exactly."""
        return Fraction(self.limit.removesuffix("%")) / 100

    @property
    def measure(self) -> Digest:
        """Name of what is counted of a band: equal for checks that count the same pixels."""
        return digest_json(["geobatch measure", self.kind.value, _numbers(self.values)])

    @property
    def expected(self) -> str:
        """What must be true, in words."""
        numbers = ", ".join(number_text(value) for value in self.values)
        return {
            CheckKind.RANGE: f"all in `[{numbers}]`",
            CheckKind.CLASSES: f"only `[{numbers}]`",
            CheckKind.MAX_MASKED: f"at most `{self.limit}`",
            CheckKind.MAX_CHANGED: f"at most `{self.limit}`",
            CheckKind.RESOLUTION: f"`[{numbers}]`",
            CheckKind.CRS: f"`{self.limit}`",
        }[self.kind]

    def to_json(self) -> dict[str, Json]:
        """Return the check as JSON."""
        return {
            "kind": self.kind.value,
            "bands": list(self.bands),
            "values": _numbers(self.values),
            "limit": self.limit,
            "severity": self.severity.value,
        }

    @classmethod
    def from_json(cls, value: Any) -> Check:
        """Invert `to_json`.

        Raises:
            KeyError, TypeError, ValueError: It is not a check.
        """
        return cls(
            kind=CheckKind(value["kind"]),
            bands=tuple(value["bands"]),
            values=tuple(number_from_json(number) for number in value["values"]),
            limit=value["limit"],
            severity=Severity(value["severity"]),
        )


def number_text(value: Number) -> str:
    """Return a number as YAML has it, without a fraction of zero."""
    if isinstance(value, float):
        if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
    return repr(value)


def _numbers(values: tuple[Number, ...]) -> list[Json]:
    return [number_to_json(value) for value in values]
