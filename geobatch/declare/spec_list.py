"""Specs in the order of their ids; those of large collections are made when they are asked for."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, overload

from msgspec import Struct

from geobatch.declare.projects.project import Project
from geobatch.declare.specs import AssetSpec, Positions

_id = attrgetter("id")


class Unmade(Struct, frozen=True):
    """The image of a file of a rule, by all that it is made from."""

    id: str
    """Its id."""
    project: Project
    """What holds for all specs of its project."""
    positions: Positions
    """Positions of its elements."""
    uri: str
    """The file, as the rule spells it: the one file of each of its sources."""
    made_from: tuple[bytes, tuple[tuple[str, str | None], ...]]
    """A digest of what all images of the rule are made from, and the fields of the file."""


class _Specs(Sequence[AssetSpec]):
    """Specs sorted by id, of which only what is needed to make them is in memory."""

    __slots__ = ("ids",)

    ids: Sequence[str]
    """Their ids."""

    def made(self, number: int) -> AssetSpec:
        """Make a spec.

        Args:
            number: Which one, from 0.
        """
        raise NotImplementedError

    def unmade(self, number: int) -> AssetSpec | Unmade:
        """Return what a spec is made from; the spec itself if it is in memory.

        Args:
            number: Which one, from 0.
        """
        return self.made(number)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> AssetSpec: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[AssetSpec, ...]: ...
    def __getitem__(self, at: int | slice) -> AssetSpec | tuple[AssetSpec, ...]:
        numbers = range(len(self))[at]
        if isinstance(numbers, int):
            return self.made(numbers)
        return tuple(map(self.made, numbers))

    def __iter__(self) -> Iterator[AssetSpec]:
        return map(self.made, range(len(self)))


class MadeSpecs(_Specs):
    """The specs of a large collection. Each has one file, which is there, and no former id."""

    __slots__ = ("path", "samples")

    path: str
    """Spec file, as the user named it."""
    samples: Sequence[int]
    """The first of each folder and, in it, of each choice of types of properties, by number."""


class SpecList(_Specs):
    """The specs of several documents."""

    __slots__ = ("_order", "_starts", "held", "large")

    def __init__(self, held: Iterable[AssetSpec], large: Iterable[MadeSpecs]) -> None:
        """Sort specs by id.

        Args:
            held: Specs that are in memory.
            large: Those of large collections.
        """
        self.held: Sequence[AssetSpec] = sorted(held, key=_id)
        """Specs that are in memory, sorted."""
        self.large = tuple(large)
        """Those of large collections."""
        ids = [ids_of(part) for part in self._parts]
        self._starts = array("q", accumulate(map(len, ids), initial=0))
        names: Sequence[str] = (
            ids[-1] if len(self) == len(ids[-1]) else [n for one in ids for n in one]
        )
        self._order: Sequence[int] = range(len(names))
        if any(one > two for one, two in pairwise(names)):
            self._order = array("q", sorted(self._order, key=names.__getitem__))
            names = [names[number] for number in self._order]
        self.ids = names

    @property
    def _parts(self) -> tuple[Sequence[AssetSpec], ...]:
        return (self.held, *self.large)

    def made(self, number: int) -> AssetSpec:
        """Return a spec; see `_Specs.made`."""
        part, place = self._place(number)
        return self._parts[part][place]

    def unmade(self, number: int) -> AssetSpec | Unmade:
        """Return what a spec is made from; see `_Specs.unmade`."""
        part, place = self._place(number)
        return self.large[part - 1].unmade(place) if part else self.held[place]

    def _place(self, number: int) -> tuple[int, int]:
        """Return the part that has a spec, and its number there."""
        place = self._order[number]
        part = bisect_right(self._starts, place) - 1
        return part, place - self._starts[part]

    def __len__(self) -> int:
        return self._starts[-1]


def in_order(specs: Sequence[AssetSpec]) -> Sequence[AssetSpec]:
    """Return specs sorted by id."""
    return specs if isinstance(specs, SpecList) else tuple(sorted(specs, key=_id))


def ids_of(specs: Sequence[Any]) -> Sequence[str]:
    """Return the ids of specs, without making any."""
    return specs.ids if isinstance(specs, _Specs) else [spec.id for spec in specs]


def unmade(specs: Sequence[AssetSpec]) -> Iterator[AssetSpec | Unmade]:
    """Yield what specs are made from, or the specs themselves if they are in memory."""
    return map(specs.unmade, range(len(specs))) if isinstance(specs, _Specs) else iter(specs)


def unmade_one(specs: Sequence[AssetSpec], number: int) -> AssetSpec | Unmade:
    """Return what one spec is made from, or the spec itself if it is in memory."""
    return specs.unmade(number) if isinstance(specs, _Specs) else specs[number]


def held(specs: Sequence[AssetSpec]) -> Sequence[AssetSpec]:
    """Return the specs that are in memory: all that declare former ids or optional tilesets."""
    return specs.held if isinstance(specs, SpecList) else specs


def samples(specs: Sequence[AssetSpec]) -> Sequence[AssetSpec]:
    """Return specs that represent all, sorted.

    They have all projects, all spec files, and the first of each choice of types of properties in
    each folder.
    """
    if not isinstance(specs, SpecList):
        return specs
    some = (part[number] for part in specs.large for number in part.samples)
    return sorted([*specs.held, *some], key=_id)


def by_file(specs: Sequence[AssetSpec]) -> dict[str, Sequence[AssetSpec]]:
    """Return the specs of each spec file, sorted by id."""
    found: dict[str, list[AssetSpec]] = {}
    for spec in held(specs):
        found.setdefault(spec.path, []).append(spec)
    large: dict[str, list[MadeSpecs]] = {}
    for part in specs.large if isinstance(specs, SpecList) else ():
        large.setdefault(part.path, []).append(part)
    return {path: _joined(found.get(path, ()), large.get(path, ())) for path in found | large}


def _joined(held: Sequence[AssetSpec], large: Sequence[MadeSpecs]) -> Sequence[AssetSpec]:
    if held and not large:
        return held
    return large[0] if len(large) == 1 and not held else SpecList(held, large)


def find_spec(specs: Sequence[AssetSpec], asset_id: str) -> AssetSpec:
    """Return the spec of an id.

    Raises:
        KeyError: There is none.
    """
    if isinstance(specs, _Specs):
        at = bisect_left(specs.ids, asset_id)
    else:
        at = bisect_left(specs, asset_id, key=_id)
    if at < len(specs) and (found := specs[at]).id == asset_id:
        return found
    raise KeyError(asset_id)
