"""What a collection with `cube: true` must declare: a time for each image, unlike the others'."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geobatch.declare.checks.reporter import problem_at
from geobatch.declare.hints import show
from geobatch.declare.specs import CollectionSpec, ExternalImageSpec, ImageSpec
from geobatch.errors import Problem
from geobatch.model.assets.cubes import folder_of, nanoseconds

MAX_SHOWN = 5
"""How many problems of one kind are named; the others are counted."""


def cube_problems(
    collection: CollectionSpec, images: Sequence[ImageSpec | ExternalImageSpec]
) -> Iterator[Problem]:
    """Yield why images of a collection cannot be cubes, as far as specs tell."""
    if not collection.has_cubes or not images:
        return
    where = collection.positions
    if isinstance(images[0], ExternalImageSpec):
        message = "`cube: true` needs images whose pixels are in the store; these are external"
        yield problem_at(where, ("cube",), "cube", message, "remove `cube`, or `kind` of `image`")
        return
    first: dict[tuple[str, int], str] = {}
    found: list[tuple[str, str]] = []
    for image in images:
        if image.start_time is None:
            hint = "declare it under `image`, such as `start_time: '{date:%Y%m%d}'`"
            message = f"{show(image.id)} has no `start_time`, by which a cube is ordered"
            found.append((message, hint))
            continue
        key = folder_of(image.id), nanoseconds(image.start_time)
        if (other := first.setdefault(key, image.id)) != image.id:
            message = (
                f"{show(other)} and {show(image.id)} have the same `start_time`, "
                f"{show(image.start_time)}, and would be one step of a cube"
            )
            hint = (
                "put the images of each tile in a folder of their own, such as "
                "`id: '{tile}/{date}'`: each folder is a cube"
            )
            found.append((message, hint))
    for message, hint in found[:MAX_SHOWN]:
        yield problem_at(where, ("cube",), "cube", message, hint)
    if len(found) > MAX_SHOWN:
        message = f"the same problem in {len(found) - MAX_SHOWN:,} more images"
        yield problem_at(where, ("cube",), "cube", message, None)
