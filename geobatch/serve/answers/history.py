"""Commits, the commits that changed an asset, and which tiles differ between two of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.model.assets.grid import Grid
from geobatch.model.published import ArrayKey, AssetRecord, Head, array_keys
from geobatch.model.window import Box
from geobatch.serve.answers.answer import Answer, Question, json_answer, whole_number
from geobatch.serve.commits import Served, State
from geobatch.sources.projections.rings import Ring, rings_of
from geobatch.store.tile_diff import differing, side_of

MOST_COMMITS = 1000
"""Most commits of one answer."""
MOST_FEATURES = 5000
"""Most tiles of one answer."""
_SECONDS = 5.0
"""Seconds for which commits are read to find those that changed an asset."""
Sides: TypeAlias = tuple[AssetRecord | None, AssetRecord | None]
"""An asset in the first state, and in the second."""
_OPS = ("added", "changed", "removed")


class Step(Struct, frozen=True, kw_only=True):
    """A commit that changed an asset."""

    head: Head
    """The commit."""
    asset_id: str
    """Id of the asset in it."""


def commits(question: Question) -> Answer:
    """Answer with the commits, newest first."""
    state = question.served.commits.find()
    limit = whole_number(question.query, "limit", 100, MOST_COMMITS)
    log = question.served.store.log()
    found = [commit_json(head) for _, head in zip(range(limit), log, strict=False)]
    return json_answer({"commits": found}, state)


def history(question: Question) -> Answer:
    """Answer with the commits that changed an asset, newest first.

    Raises:
        NotFoundError: The newest commit has no such asset.
    """
    state = question.served.commits.find()
    return json_answer(history_json(question.served, state, question.path["asset"]), state)


def history_json(served: Served, state: State, asset_id: str) -> dict[str, Any]:
    """Return the commits that changed an asset, newest first.

    Raises:
        NotFoundError: The newest commit has no such asset.
    """
    state.entry(asset_id)
    until = time.monotonic() + _SECONDS
    found: list[dict[str, Any]] = []
    is_whole = True
    for step in _steps(served, asset_id):
        if len(found) == MOST_COMMITS or time.monotonic() > until:
            is_whole = False
            break
        found.append({**commit_json(step.head), "id": step.asset_id})
    return {"asset": asset_id, "commits": found, "is_whole": is_whole}


def _steps(served: Served, asset_id: str) -> Iterator[Step]:
    """Yield the commits that changed an asset, newest first, also under its former ids."""
    newer: Step | None = None
    stored = None
    for head in served.store.log():
        entry = head.tree.entry(asset_id)
        if newer is not None and (entry is None or entry.stored != stored):
            yield newer
        if entry is None:
            return
        newer, stored = Step(head=head, asset_id=asset_id), entry.stored
        asset_id = head.name_before(asset_id)
    if newer is not None:
        yield newer


def commit_json(head: Head) -> dict[str, Any]:
    """Return a commit."""
    commit = head.commit
    provenance = None if commit is None else commit.provenance
    return {
        "number": head.number,
        "commit": head.digest,
        "time": None if commit is None else commit.time,
        "message": "" if commit is None else commit.message,
        "user_message": "" if provenance is None else provenance.message,
        "git": "" if provenance is None else provenance.git_commit,
        "pull_request": "" if provenance is None else provenance.pull_request,
    }


def diff(question: Question) -> Answer:
    """Answer with the assets that differ between two commits; of one asset, with its tiles.

    Raises:
        NotFoundError: There is no such commit or asset.
    """
    served, path = question.served, question.path
    before, after = served.commits.find(path["a"]), served.commits.find(path["b"])
    asset_id = question.query.get("asset", "")
    if asset_id:
        level = whole_number(question.query, "level", 0, 63)
        return json_answer(tiles_json(served, before, after, asset_id, level), after)
    return json_answer(assets_json(before, after), after)


def assets_json(before: State, after: State) -> dict[str, Any]:
    """Return which assets differ between two states."""
    found = [
        {"id": asset_id, "op": "added" if old is None else "removed" if new is None else "changed"}
        for asset_id, (old, new) in before.head.tree.differences(after.head.tree).items()
    ]
    return {
        "a": before.name,
        "b": after.name,
        "total": len(found),
        "assets": found[:MOST_COMMITS],
    }


def tiles_json(
    served: Served, before: State, after: State, asset_id: str, level: int
) -> dict[str, Any]:
    """Return the tiles of an asset that differ between two states as GeoJSON (RFC 7946).

    Args:
        served: The store.
        before: The first state.
        after: The second state.
        asset_id: The asset.
        level: The finest level that is compared; of coarser ones, if that is equal.

    Raises:
        NotFoundError: Neither state has such an image.
    """
    old, new = _record(served, before, asset_id), _record(served, after, asset_id)
    newest = new or old
    if newest is None:
        raise NotFoundError(f"there is no image `{asset_id}` in either state")
    features: list[dict[str, Any]] = []
    total = 0
    for grid in newest.image.grids:
        for number in range(level, grid.level_count):
            masks = _changed(served, (old, new), newest, grid, number)
            if any(mask.any() for mask in masks.values()):
                found = list(_features(newest, grid, number, masks))
                total += len(found)
                features += found[: MOST_FEATURES - len(features)]
                break
    return {
        "type": "FeatureCollection",
        "geobatch": {
            "a": before.name,
            "b": after.name,
            "tiles": total,
            "omitted": total - len(features),
        },
        "features": [one for one in map(_with_geometry, features) if one is not None],
    }


def _record(served: Served, state: State, asset_id: str) -> AssetRecord | None:
    entry = state.head.tree.entry(asset_id)
    return None if entry is None or entry.is_table else served.record(entry)


def _changed(
    served: Served, sides: Sides, newest: AssetRecord, grid: Grid, level: int
) -> dict[str, npt.NDArray[np.bool_]]:
    """Return which tiles of a level differ, by what happened: added, changed, removed."""
    tile = newest.image.tile
    shape = grid.tile_shape(tile=tile, level=level)
    found = {op: np.zeros(shape, np.bool_) for op in _OPS}
    names = {band.id for band in newest.image.bands_of(grid.name)}
    is_external = any(one is not None and one.asset.is_external for one in sides)
    if is_external:  # whose tiles have no digests
        found["changed"][:] = sides[0] != sides[1]
        return found
    for key in array_keys(newest.image):
        if key.band in names and key.level == level:
            for op, places in zip(_OPS, _places(served, sides, key), strict=True):
                inside = (places[:, 0] < shape[0]) & (places[:, 1] < shape[1])
                found[op][places[inside, 0], places[inside, 1]] = True
    found["added"] &= ~found["changed"]
    found["removed"] &= ~found["changed"] & ~found["added"]
    return found


def _places(served: Served, sides: Sides, key: ArrayKey) -> tuple[Any, Any, Any]:
    old, new = sides
    was, now = side_of(old, key), side_of(new, key)
    if was is not None and now is not None and not was.is_like(now):
        old = None  # its tiles cover other squares
    return differing(served.store, old, new, key)


def _features(
    record: AssetRecord, grid: Grid, level: int, masks: dict[str, npt.NDArray[np.bool_]]
) -> Iterator[dict[str, Any]]:
    for op, mask in masks.items():
        for row, col in np.argwhere(mask).tolist():
            yield {
                "record": record,
                "grid": grid,
                "at": {"op": op, "grid": grid.name, "level": level, "row": row, "col": col},
            }


def _with_geometry(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return a tile as a feature; None if it is not on the Earth."""
    grid: Grid = found["grid"]
    at = found["at"]
    plane = grid.level(at["level"])
    tile = found["record"].image.tile
    rings = rings_of(plane, Box.of_tile(at["row"], at["col"]).window(plane.shape, tile=tile))
    if not rings:
        return None
    return {"type": "Feature", "properties": at, "geometry": geometry_of(rings)}


def geometry_of(rings: list[Ring]) -> dict[str, Any]:
    """Return rings as a geometry."""
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}
