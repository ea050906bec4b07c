"""Documents that differ from an earlier one only in names, times and properties.

Of ten thousand documents that a script wrote, one is checked; the others are compared with it,
event by event, and only what differs is checked. Any doubt, and the document is checked itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

import yaml
from msgspec import Struct, field
from msgspec.structs import asdict
from pydantic_core import PydanticCustomError

from geobatch.declare.checks.image import is_before
from geobatch.declare.fields.values import check_asset_id, check_property, parse_time
from geobatch.declare.specs import AssetSpec, Loc, Positions, RasterSpec, SourceSpec, TilesetSpec
from geobatch.declare.text.nodes import Plain, parse_plain

MAX_EVENTS = 1000
"""Documents with more parse events are checked one by one."""
MAX_MODELS = 16
"""How many documents of one outline are kept for comparison."""
MAX_OUTLINES = 256
"""How many outlines are kept."""

Events: TypeAlias = Sequence[Any]
"""PyYAML's events of one document, its start and end included."""
Fields: TypeAlias = dict[str, Any]
Slot: TypeAlias = tuple[int, Callable[[Any], Any]]

_PLAIN_CODES = {
    yaml.MappingEndEvent: 1, yaml.SequenceEndEvent: 2, yaml.DocumentStartEvent: 3,
    yaml.DocumentEndEvent: 4,
}  # fmt: skip
_STYLE_CODES = {None: 16, "": 16, "'": 17, '"': 18}


class Model(Struct, kw_only=True):
    """A document that was checked and has no problems."""

    spec: AssetSpec
    """What it declares."""
    same: Callable[[Sequence[str | None]], Any]
    """Selects the texts that a similar document must share."""
    texts: Any
    """Those texts."""
    locs: tuple[Loc, ...]
    """Every element."""
    events: tuple[int, ...]
    """The event of each of them."""
    slots: dict[Loc, int]
    """The event of each value that may differ."""


class SimilarDocuments(Struct, kw_only=True):
    """The documents of one load that later ones are compared with."""

    _models: dict[bytes, list[Model]] = field(default_factory=dict)

    def find(self, events: Events, *, path: str) -> AssetSpec | None:
        """Return the spec of a document that is similar to an earlier one, or None."""
        codes = outline(events)
        for model in self._models.get(codes, ()) if codes else ():
            texts = [getattr(event, "value", None) for event in events]
            if model.same(texts) == model.texts:
                try:
                    return _like(model, events, path)
                except PydanticCustomError:
                    return None
        return None

    def add(self, events: Events, spec: AssetSpec) -> None:
        """Keep a document without problems for later comparisons."""
        codes = outline(events)
        if not codes or (codes not in self._models and len(self._models) >= MAX_OUTLINES):
            return
        models = self._models.setdefault(codes, [])
        if len(models) < MAX_MODELS and (model := _model(events, spec)) is not None:
            models.append(model)


def outline(events: Events) -> bytes:
    """Return a byte per event, texts left out; empty for a document that cannot be compared."""
    if len(events) > MAX_EVENTS:
        return b""
    codes = bytearray()
    for event in events:
        kind = type(event)
        if kind is yaml.ScalarEvent:
            code = _STYLE_CODES.get(event.style)
            if code is None or event.tag is not None or event.anchor is not None:
                return b""
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if event.tag is not None or event.anchor is not None:
                return b""
            code = (8 if kind is yaml.MappingStartEvent else 10) + bool(event.flow_style)
        else:
            code = _PLAIN_CODES.get(kind)
            if code is None or (code == 3 and (event.version or event.tags)):
                return b""
        codes.append(code)
    return bytes(codes)


def _model(events: Events, spec: AssetSpec) -> Model | None:
    first: dict[tuple[int, int], int] = {}
    scalars: dict[tuple[int, int], int] = {}
    for number, event in enumerate(events):
        mark, end = event.start_mark, event.end_mark
        position = (mark.line + 1, mark.column + 1)
        if type(event) is yaml.ScalarEvent:
            if mark.index == end.index:
                return None  # an empty position, where a new element may start
            scalars[position] = number
        if type(event) is not yaml.DocumentStartEvent:
            first.setdefault(position, number)
    positions = spec.positions.by_loc
    if not all(position in first for position in positions.values()):
        return None
    inner = {loc[:-1] for loc in positions}
    slots = {
        loc: scalars[position]
        for loc, position in positions.items()
        if loc not in inner and position in scalars and _may_vary(loc)
    }
    varying = set(slots.values())
    fixed = [number for number in scalars.values() if number not in varying]
    if len(fixed) < 2:
        return None
    same = itemgetter(*fixed)
    return Model(
        spec=spec,
        same=same,
        texts=same([getattr(event, "value", None) for event in events]),
        locs=tuple(positions),
        events=tuple(first[position] for position in positions.values()),
        slots=slots,
    )


def _may_vary(loc: Loc) -> bool:
    if len(loc) == 1:
        return loc[0] in ("id", "moved_from", "start_time", "end_time")
    if len(loc) == 2:
        return loc[0] == "properties"
    return len(loc) == 6 and loc[0] == "tilesets" and loc[4] == "uris"


def _like(model: Model, events: Events, path: str) -> AssetSpec | None:
    """Return the spec of a similar document; None if a value is not valid."""
    made: Fields = asdict(model.spec)
    properties: dict[str, str | int | float] = dict(model.spec.properties)
    uris: list[tuple[Loc, str]] = []
    for loc, number in model.slots.items():
        value = _value(events[number])
        key = loc[0]
        if key == "properties":
            properties[str(loc[1])] = check_property(value)
        elif not isinstance(value, str) or not value:
            return None
        elif key in ("id", "moved_from"):
            made[str(key)] = check_asset_id(value)
        elif key == "tilesets":
            uris.append((loc, value))
        else:
            made[str(key)] = parse_time(value)
    start, end = made["start_time"], made["end_time"]
    if start and end and is_before(end, start):
        return None
    made["properties"] = tuple(properties.items())
    if isinstance(model.spec, RasterSpec):
        made["tilesets"] = _tilesets(model.spec.tilesets, uris)
    marks = [events[number].start_mark for number in model.events]
    by_loc = dict(zip(model.locs, [(m.line + 1, m.column + 1) for m in marks], strict=True))
    made["positions"] = Positions(path=path, by_loc=by_loc)
    return type(model.spec)(**made)


def _value(event: Any) -> Plain:
    text: str = event.value
    return text if event.style else parse_plain(text)


def _tilesets(
    tilesets: tuple[TilesetSpec, ...], uris: list[tuple[Loc, str]]
) -> tuple[TilesetSpec, ...]:
    wanted = {(loc[1], loc[3], loc[5]): uri for loc, uri in uris}
    return tuple(
        [
            TilesetSpec(
                id=tileset.id,
                sources=tuple(
                    [
                        SourceSpec(
                            uris=tuple(
                                [wanted.get((i, j, k), u) for k, u in enumerate(source.uris)]
                            ),
                            affine_transform=source.affine_transform,
                            dimensions=source.dimensions,
                        )
                        for j, source in enumerate(tileset.sources)
                    ]
                ),
                dtype=tileset.dtype,
                crs=tileset.crs,
                variable=tileset.variable,
                tfrecord=tileset.tfrecord,
                is_optional=tileset.is_optional,
            )
            for i, tileset in enumerate(tilesets)
        ]
    )
