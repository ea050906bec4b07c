"""The checked fields of a document as the members of its spec, by their names.

A field is declared twice, for two readers: a `Part` says what a document may hold, and a spec says
what the rest of geobatch reads. They have the same names; a spec's field names the key of the
document if its own name differs. So no field is copied by hand.
"""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from msgspec import Struct, convert

from geobatch.declare.fields.manifest import (
    AffineManifest,
    DimensionsManifest,
    GridManifest,
    LifecycleManifest,
    MissingDataManifest,
    Part,
    PointManifest,
)

S = TypeVar("S", bound=Struct)
Members: TypeAlias = dict[str, Any]

TUPLES = frozenset({AffineManifest, DimensionsManifest, PointManifest})
"""Mappings that are tuples in a spec: their values in the order of the fields."""
INLINE = frozenset({GridManifest, LifecycleManifest, MissingDataManifest})
"""Mappings whose members are fields of the spec around them, as in `grid.bounds`."""


def members_of(part: Part) -> Members:
    """Return the members of a document by the keys that fields of a spec name, without None."""
    found: Members = {}
    for key, value in part.__dict__.items():
        kind = type(value)
        if kind in INLINE:
            for name, inner in value.__dict__.items():
                if inner is not None:
                    found[f"{key}.{name}"] = inner
        elif kind is list:
            found[key] = [_value(item) for item in value]
        elif kind is str or kind is int or kind is bool:
            found[key] = value
        elif value is not None:
            found[key] = _value(value)
    return found


def spec_of(kind: type[S], members: Members) -> S:
    """Return the spec of some members; members that it has no field for are ignored."""
    return convert(members, kind)


def _value(value: Any) -> Any:
    kind = type(value)
    if kind is str:
        return value
    if kind is list:
        return [_value(item) for item in value]
    if kind is dict:
        return sorted(value.items())
    if isinstance(value, Part):
        return list(value.__dict__.values()) if kind in TUPLES else members_of(value)
    return value
