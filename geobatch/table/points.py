"""The column of points that x and y of each row make."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.errors import SourceError
from geobatch.model.assets.table import Table
from geobatch.model.geobox import Bounds
from geobatch.model.text.suggest import suggestion
from geobatch.table.gather import Gathered
from geobatch.table.part import Part

Numbers: TypeAlias = npt.NDArray[np.float64]
"""(row)."""

WKB_POINT = np.dtype([("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
"""A point of two coordinates as well-known binary, little-endian."""


def points_name(columns: Mapping[str, Gathered], table: Table) -> str | None:
    """Return what the column of points is called; None where the rows have no points.

    Source: the name is Earth Engine's, `{x}_{y}`, with a number behind where that is taken.

    Raises:
        SourceError: The columns that the spec names are not there, or hold no numbers.
    """
    if not table.x_column:
        return None
    for name in (table.x_column, table.y_column):
        column = columns.get(name)
        if column is not None and column.type.is_number and column.most <= 1:
            continue
        if not table.is_placed:
            return None
        raise _unplaced(name, columns)
    return free_name(f"{table.x_column}_{table.y_column}", columns)


def free_name(base: str, taken: Container[str]) -> str:
    """Return a name that is not taken: this one, or with a number behind."""
    name, number = base, 1
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name


def _unplaced(name: str, columns: Mapping[str, Gathered]) -> SourceError:
    column = columns.get(name)
    if column is not None:
        got = "lists" if column.type.is_number else "texts"
        return SourceError(
            f"column `{name}` gives the coordinates of points, but holds {got}, not numbers"
        )
    shown = ", ".join(f"`{one}`" for one in sorted(columns)[:24])
    return SourceError(
        f"no record has the column `{name}`, which gives the coordinates of points; columns: "
        f"{shown}",
        hint=suggestion(name, columns),
    )


class Points:
    """Points of row after row, and the box around all of them."""

    def __init__(self) -> None:
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)

    @property
    def bounds(self) -> Bounds | None:
        """The box; None without a point."""
        if not np.isfinite(self._low).all():
            return None
        # The zeros of both signs are one edge, whichever was met first.
        (left, bottom), (right, top) = (self._low + 0.0).tolist(), (self._high + 0.0).tolist()
        return (left, bottom, right, top)

    def add(
        self, x: Part | None, y: Part | None, *, rows: int
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.void]]:
        """Return which rows have a point, and those points as WKB; none without finite x and y."""
        places = np.stack([_dense(x, rows), _dense(y, rows)])
        has: npt.NDArray[np.bool_] = np.all(np.isfinite(places), axis=0)
        found = places[:, has]
        if found.size:
            self._low = np.minimum(self._low, found.min(axis=1))
            self._high = np.maximum(self._high, found.max(axis=1))
        points = np.zeros(found.shape[1], dtype=WKB_POINT)
        points["order"], points["type"] = 1, 1
        points["x"], points["y"] = found
        return has, points


def _dense(part: Part | None, rows: int) -> Numbers:
    numbers = np.full(rows, np.nan)
    if part is not None:
        scalars = part.scalars()
        numbers[scalars.rows] = scalars.values
    return numbers
