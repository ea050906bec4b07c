"""The document of a table to its spec: rules between its fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from geobatch.declare.checks.image import asset_id_of, identity_problems, is_before
from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.fields.members import members_of, spec_of
from geobatch.declare.fields.table import TableManifest
from geobatch.declare.hints import show
from geobatch.declare.projects.project import Project
from geobatch.declare.specs import Loc, Positions, TableSpec
from geobatch.errors import Problem
from geobatch.model.assets.asset import Kind

_SHARED = (
    "x_column", "y_column", "crs", "charset", "primary_geometry_column", "csv_delimiter",
    "csv_qualifier", "date_format",
)  # fmt: skip
"""Keys with one value in all sources of a table: its rows have one structure."""


class TableCheck(Struct, frozen=True, kw_only=True):
    """The rules that need more than one field of a table's document."""

    manifest: TableManifest
    """Fields, each valid by itself."""
    positions: Positions
    """Their positions in the file."""
    project: Project
    """Settings of all specs of its project."""
    lost: Collection[str]
    """Top-level keys that lost a part to earlier problems."""

    def problems(self) -> list[Problem]:
        """Return what is wrong."""
        found = identity_problems(self.manifest, self.positions, self.lost, self.project)
        return [*found, *self._sources(), *self._times()]

    def spec(self) -> TableSpec:
        """Return the spec; valid only if there are no problems."""
        manifest = self.manifest
        first = manifest.sources[0] if manifest.sources else None
        declared = {
            **manifest.csv_column_data_type_overrides,
            **manifest.column_data_type_overrides,
        }
        members = members_of(manifest) | (members_of(first) if first else {})
        # Earth Engine's empty text means the default.
        for key in ("csv_delimiter", "csv_qualifier"):
            if not members.get(key):
                members.pop(key, None)
        members |= {
            "type": Kind.TABLE.value,
            "id": asset_id_of(manifest, self.project),
            "sources": [members_of(source) for source in manifest.sources],
            "types": [(name, kind) for name, kind in sorted(declared.items()) if kind is not None],
            "positions": self.positions,
            "project": self.project,
        }
        return spec_of(TableSpec, members)

    def _sources(self) -> Iterator[Problem]:
        sources = self.manifest.sources
        if not sources:
            return
        x, y = sources[0].x_column, sources[0].y_column
        if (x == "") != (y == ""):
            message = f"`x_column` is {show(x)} and `y_column` {show(y)}"
            loc = ("sources", 0, "x_column" if x == "" else "y_column")
            hint = "points need both columns; for a table without points, set both to an empty text"
            yield problem_at(self.positions, loc, "points", message, hint)
        yield from self._of_csv()
        for number, source in enumerate(sources[1:], 1):
            for key in _SHARED:
                mine, other = getattr(source, key), getattr(sources[0], key)
                if mine != other:
                    message = f"`{key}` is {show(mine)} here and {show(other)} in the first source"
                    hint = "all sources of a table must have the same structure"
                    yield problem_at(
                        self.positions, ("sources", number, key), "sources-differ", message, hint
                    )

    def _of_csv(self) -> Iterator[Problem]:
        """Yield what is wrong between the keys of the first source that only CSV files have."""
        first = self.manifest.sources[0]
        delimiter = first.csv_delimiter or ","
        if delimiter == (first.csv_qualifier or '"'):
            key = "csv_qualifier" if first.csv_qualifier else "csv_delimiter"
            message = f"the delimiter and the qualifier are both {show(delimiter)}"
            hint = "values can be told apart only if they differ"
            yield problem_at(self.positions, ("sources", 0, key), "csv-marks", message, hint)
        name = first.primary_geometry_column
        here: Loc = ("sources", 0, "primary_geometry_column")
        if name and (first.x_column or first.y_column):
            message = "`primary_geometry_column` and `x_column`: a row has one geometry"
            yield problem_at(self.positions, here, "points", message, "omit one of them")
        declared = {
            **self.manifest.csv_column_data_type_overrides,
            **self.manifest.column_data_type_overrides,
        }
        if name and declared.get(name) is not None:
            message = f"{show(name)} has geometries, and a declared type"
            hint = "omit it from `column_data_type_overrides`"
            yield problem_at(self.positions, here, "points", message, hint)

    def _times(self) -> Iterator[Problem]:
        start, end = self.manifest.start_time, self.manifest.end_time
        if start and end and is_before(end, start):
            message = f"the end {show(end)} is before the start {show(start)}"
            hint = "correct one of them; `end_time` is exclusive"
            yield problem_at(self.positions, ("end_time",), "time-order", message, hint)
