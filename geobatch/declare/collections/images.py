"""The images of a collection; of many, only ids and uris are kept in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import count
from operator import eq
from typing import Any, Generic, TypeVar

from msgspec import Struct

from geobatch.declare.spec_list import MadeSpecs, Unmade
from geobatch.declare.specs import ImageSpec, Loc, RasterSpec
from geobatch.model.sources.declared import OF_RECORDS

R = TypeVar("R", bound=RasterSpec)
MANY = 1000
"""Images of a collection from which they are made when they are asked for."""

_Kinds = tuple[tuple[str, bool], ...]
"""Properties by name, and whether they are text."""


Own = tuple[tuple[str, str | None], ...]
"""Fields of a file by name, without those that follow from its uri."""


class Rule(Struct, frozen=True, kw_only=True):
    """What makes the images of a rule."""

    base: RasterSpec
    """The image, with stand-ins where templates are."""
    digest: bytes
    """Of all that the images have in common; empty if there is none."""
    own: Callable[[str], Own]
    """Returns the fields of a file."""
    image: Callable[[str], Any]
    """Makes the image of a file."""


class RuleImages(MadeSpecs):
    """The images of a rule that matches many files, of which each is the source of one image."""

    __slots__ = ("_rule", "uris")

    def __init__(
        self,
        *,
        rule: Rule,
        ids: Sequence[str],
        uris: Sequence[str],
        samples: Sequence[int],
    ) -> None:
        """Make nothing yet.

        Args:
            rule: What makes them.
            ids: Their ids, sorted.
            uris: The file of each.
            samples: See `MadeSpecs`.
        """
        self.path = rule.base.path
        self.ids = ids
        self.uris = uris
        """The file of each, as the rule spells it."""
        self.samples = samples
        self._rule = rule

    def made(self, number: int) -> ImageSpec:
        """Make a spec; see `MadeSpecs.made`."""
        found: ImageSpec = self._rule.image(self.uris[number])
        return found

    def unmade(self, number: int) -> ImageSpec | Unmade:
        """Return what a spec is made from; see `MadeSpecs.unmade`."""
        rule, uri = self._rule, self.uris[number]
        if not rule.digest:
            return self.made(number)
        base = rule.base
        own = rule.own(uri)
        return Unmade(self.ids[number], base.project, base.positions, uri, (rule.digest, own))


def may_be_made(base: RasterSpec, templates: Collection[Loc], uris: Sequence[str]) -> bool:
    """Return whether the images of a rule need not be kept: others need nothing of them."""
    return (
        len(uris) >= MANY
        and isinstance(base, ImageSpec)
        and base.positions.is_of_matches
        and base.moved_from is None
        and ("moved_from",) not in templates
        and not any(tileset.is_optional for tileset in base.tilesets)
        and not any(uri.lower().endswith(OF_RECORDS) for uri in uris)
    )


class Images(Generic[R]):
    """Collects the images of a rule."""

    def __init__(self, *, is_held: bool) -> None:
        """Collect nothing yet.

        Args:
            is_held: Whether the images are kept in memory, not only their ids and uris.
        """
        self.is_held = is_held
        self._images: list[R] = []
        self._ids: list[str] = []
        self._uris: list[str] = []
        self._first: dict[tuple[str, _Kinds], str] = {}

    def add(self, image: R, uri: str) -> None:
        """Add the image of a file."""
        self._ids.append(image.id)
        self._uris.append(uri)
        if self.is_held:
            self._images.append(image)
            return
        kinds = tuple([(key, isinstance(value, str)) for key, value in image.properties])
        place = image.id.rpartition("/")[0], kinds
        self._first[place] = min(image.id, self._first.get(place, image.id))

    def doubles(self) -> Iterator[tuple[str, str, str]]:
        """Remove images of an id that an earlier one has; yield both files, and the id."""
        ids = self._ids
        if len(set(ids)) == len(ids):
            return
        first: dict[str, int] = {}
        for number, name in enumerate(ids):
            if (other := first.setdefault(name, number)) != number:
                yield self._uris[number], self._uris[other], name
        left = list(first.values())
        self._ids, self._uris = [ids[n] for n in left], [self._uris[n] for n in left]
        self._images = [self._images[n] for n in left] if self.is_held else []

    def held(self) -> list[R]:
        """Return them, sorted by id."""
        return sorted(self._images, key=lambda image: image.id)

    def large(self, rule: Rule) -> RuleImages:
        """Return them sorted by id, to be made when they are asked for; see `RuleImages`."""
        ids, uris = by_id(self._ids, self._uris)
        samples = [bisect_left(ids, name) for name in sorted(self._first.values())]
        return RuleImages(rule=rule, ids=ids, uris=uris, samples=samples)


def by_id(ids: list[str], uris: list[str]) -> tuple[list[str], list[str]]:
    """Return ids and the uri of each, sorted by id."""
    order = sorted(range(len(ids)), key=ids.__getitem__)
    if all(map(eq, order, count())):
        return ids, uris
    return [ids[n] for n in order], [uris[n] for n in order]
