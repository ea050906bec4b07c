"""Fills the fields of a file into the image of a collection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from msgspec.structs import asdict

from geobatch.declare.checks.image import is_before
from geobatch.declare.collections.template import Fields, Plain, Template
from geobatch.declare.fields.values import check_asset_id, check_property, parse_time, refuse
from geobatch.declare.hints import show
from geobatch.declare.specs import Loc, RasterSpec, SourceSpec, TilesetSpec

R = TypeVar("R", bound=RasterSpec)
_PARSERS: dict[str, Callable[[str], str]] = {
    "memo": str,
    "moved_from": check_asset_id,
    "start_time": parse_time,
    "end_time": parse_time,
}
"""Parsers that make a value of a template's text, by field."""


class Maker(Generic[R]):
    """Fills the fields of a file into the templates of an image.

    What no template touches is shared by all images, and no field is validated twice.
    """

    def __init__(self, *, base: R, templates: dict[Loc, Template], columns: frozenset[str]) -> None:
        self.base = base
        self.templates = templates
        self.columns = columns
        self.at: Loc = ()
        """The template being filled in, for errors."""
        own: dict[str, Template] = {}
        self._texts: list[tuple[str, Template]] = []
        self._tilesets: list[tuple[TilesetSpec, dict[Loc, Template]]]
        self._tilesets = [(tileset, {}) for tileset in base.tilesets]
        for loc, template in templates.items():
            if loc[0] == "tilesets":
                self._tilesets[int(loc[1])][1][loc] = template
            elif loc[0] == "properties":
                own[str(loc[1])] = template
            elif loc != ("id",):
                self._texts.append((str(loc[0]), template))
        self._properties: list[tuple[str, Plain | Template]]
        self._properties = sorted((dict(base.properties) | own).items())
        self._same: dict[str, Any] = asdict(base)

    def image(self, folder: str, fields: Fields) -> R:
        """Return the image of a file."""
        self.at = ("id",)
        made = self._same.copy()
        made["id"] = check_asset_id(self.id_of(folder, fields))
        for name, template in self._texts:
            self.at = (name,)
            made[name] = _PARSERS[name](template.text(fields))
        start, end = made["start_time"], made["end_time"]
        if start and end and is_before(end, start):
            self.at = ("end_time",)
            message = f"the end {show(end)} is before the start {show(start)}"
            refuse("time-order", message, "correct one of them; `end_time` is exclusive")
        made["properties"] = self._filled(fields)
        made["tilesets"] = tuple(
            [
                self._tileset(*tileset, fields) if tileset[1] else tileset[0]
                for tileset in self._tilesets
            ]
        )
        return type(self.base)(**made)

    def id_of(self, folder: str, fields: Fields) -> str:
        """Return the id of the image of a file, not checked."""
        return f"{folder}/{self.templates['id',].text(fields)}"

    def _filled(self, fields: Fields) -> tuple[tuple[str, Plain], ...]:
        found: list[tuple[str, Plain]] = []
        for key, wanted in self._properties:
            if not isinstance(wanted, Template):
                found.append((key, wanted))
                continue
            self.at = ("properties", key)
            value = wanted.value(fields, self.columns)
            if value is not None:
                found.append((key, check_property(value)))
        return tuple(found)

    def _tileset(
        self, tileset: TilesetSpec, templates: dict[Loc, Template], fields: Fields
    ) -> TilesetSpec:
        """Return a tileset with its texts filled in."""
        crs, sources = tileset.crs, list(tileset.sources)
        for loc, template in templates.items():
            self.at = loc
            text = template.text(fields)
            if not text:
                refuse("empty-value", "the text is empty")
            if loc[2] == "crs":
                crs = text
                continue
            number, location = int(loc[3]), int(loc[5])
            source = sources[number]
            uris = (*source.uris[:location], text, *source.uris[location + 1 :])
            sources[number] = SourceSpec(
                uris=uris, affine_transform=source.affine_transform, dimensions=source.dimensions
            )
        return TilesetSpec(
            id=tileset.id,
            sources=tuple(sources),
            dtype=tileset.dtype,
            crs=crs,
            variable=tileset.variable,
            tfrecord=tileset.tfrecord,
            is_optional=tileset.is_optional,
        )
