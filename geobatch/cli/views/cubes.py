"""The cubes of a store for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import count_text
from geobatch.views.cubes.members import FOLDER, SUFFIX, wanted_cubes

if TYPE_CHECKING:
    from geobatch.model.published import Head
    from geobatch.store.tilestore import TileStore


def cubes_json(store: TileStore, head: Head, folder: str = "") -> list[dict[str, Any]]:
    """Return the machine form of the cubes of a commit: all, or those at and below a folder."""
    found = []
    for name, cube in wanted_cubes(head).items():
        cube_id = name.removesuffix(SUFFIX)
        if not folder or f"{cube_id}/".startswith(f"{folder.rstrip('/')}/"):
            path = name if store.backend.local is not None else f"{cube_id}.json"
            images = len(cube.entries)
            found.append({"id": cube_id, "images": images, "path": f"{FOLDER}/{path}"})
    return found


def cube_lines(cubes: Sequence[Mapping[str, Any]], start: str) -> Iterator[str]:
    """Yield a line for each cube: its images, and where it is."""
    for cube in cubes:
        yield f"{start}{cube['id']}, {count_text(cube['images'], 'image')}: {cube['path']}"
