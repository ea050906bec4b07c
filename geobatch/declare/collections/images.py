"""The images of a collection; of many, only ids and uris are kept in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Generic, TypeVar

from geobatch.declare.spec_list import MadeSpecs
from geobatch.declare.specs import ImageSpec, Loc, RasterSpec
from geobatch.model.sources.declared import OF_RECORDS

R = TypeVar("R", bound=RasterSpec)
MANY = 1000
"""Images of a collection from which they are made when they are asked for."""

_Kinds = tuple[tuple[str, bool], ...]
"""Properties by name, and whether they are text."""


class RuleImages(MadeSpecs):
    """The images of a rule that matches many files, of which each is the source of one image."""

    __slots__ = ("_image", "uris")

    def __init__(
        self,
        *,
        path: str,
        ids: Sequence[str],
        uris: Sequence[str],
        samples: Sequence[int],
        image: Callable[[str], ImageSpec],
    ) -> None:
        """Make nothing yet.

        Args:
            path: Spec file, as the user named it.
            ids: Their ids, sorted.
            uris: The file of each.
            samples: See `MadeSpecs`.
            image: Makes the image of a file.
        """
        self.path = path
        self.ids = ids
        self.uris = uris
        """The file of each, as the rule spells it."""
        self.samples = samples
        self._image = image

    def made(self, number: int) -> ImageSpec:
        """Make a spec; see `MadeSpecs.made`."""
        return self._image(self.uris[number])


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

    def large(self, path: str, image: Callable[[str], Any]) -> RuleImages:
        """Return them sorted by id, to be made when they are asked for; see `RuleImages`."""
        ids, uris = self._ids, self._uris
        order = sorted(range(len(ids)), key=ids.__getitem__)
        if order != list(range(len(ids))):
            ids, uris = [ids[n] for n in order], [uris[n] for n in order]
        samples = [bisect_left(ids, name) for name in sorted(self._first.values())]
        return RuleImages(path=path, ids=ids, uris=uris, samples=samples, image=image)
