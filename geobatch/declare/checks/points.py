"""Warnings about tables that look as if they had points, and have none."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.declare.checks.lint import warning
from geobatch.declare.hints import listed, show
from geobatch.declare.specs import TableSpec
from geobatch.errors import Problem
from geobatch.model.assets.table import StoredTable

_X = ("longitude", "lon", "long", "lng")
_Y = ("latitude", "lat")


def point_warnings(spec: TableSpec, made: StoredTable) -> Iterator[Problem]:
    """Yield a warning if columns of a table are named like coordinates, but make no points.

    Args:
        spec: The table.
        made: Its rows.
    """
    if made.geometry is not None or spec.x_column is not None or spec.y_column is not None:
        return
    by_name = {column.name.casefold(): column for column in made.columns}
    x = next((by_name[name] for name in _X if name in by_name), None)
    y = next((by_name[name] for name in _Y if name in by_name), None)
    if x is None or y is None:
        return
    if spec.crs is not None and (x.name, y.name) == ("longitude", "latitude"):
        return  # a projected CRS has no default columns
    odd = [one for one in (x, y) if one.is_array or not one.type.is_number]
    names = f"`x_column: {x.name}` and `y_column: {y.name}`"
    hint = f"{names} make points in the `crs`; empty texts say that there are none"
    message = f"no points are made of {listed([x.name, y.name])}"
    if odd:
        what = "lists" if odd[0].is_array else "texts"
        message += f": {show(odd[0].name)} holds {what}, not numbers"
        if not odd[0].is_array:
            numbers = ", ".join(f"{one.name}: NUMERIC" for one in odd)
            hint = f"`column_data_type_overrides: {{{numbers}}}` makes numbers of texts; {hint}"
    yield from warning(spec, ("sources", 0), "no-points", message, hint)
