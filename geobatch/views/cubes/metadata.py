"""What a cube looks like as Zarr v3: the documents of one of its images, with an axis of time."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from geobatch.format.zarr_layout.paths import join
from geobatch.model.assets.cubes import folder_of, nanoseconds
from geobatch.model.published import AssetRecord
from geobatch.views.cubes.members import Member
from geobatch.views.zarr.attributes import Attributes
from geobatch.views.zarr.metadata import DOCUMENT, array, consolidated, documents

TIME = "time"
"""Name of the coordinate, and of the axis."""
BOUNDS = "time_bnds"
"""Name of the array of starts and ends."""
TIMES = 1024
"""Times in a chunk of the coordinate: a step more changes one chunk, and the others stay."""
_TIME_OF_IMAGE = re.compile(rf"(^|/){TIME}/c(/|$)")
"""A chunk of the time that an image may have; a cube has its own."""
_PLANE = ["y", "x"]
_INT64_CODECS = [{"name": "bytes", "configuration": {"endian": "little"}}]
_UNITS = (
    ("seconds", 1_000_000_000), ("milliseconds", 1_000_000), ("microseconds", 1_000),
    ("nanoseconds", 1),
)  # fmt: skip
"""Units and their nanoseconds; the first in which all times are whole is taken."""


def cube_documents(record: AssetRecord, members: Sequence[Member]) -> dict[str, bytes]:
    """Return every Zarr metadata document and coordinate chunk of a cube.

    Args:
        record: The first of its images, by whose form all are read.
        members: Its steps.

    Returns:
        Bytes by path within the cube, in the order of writing: chunks, arrays, groups from the
        deepest up, and the cube's own document last.

    Source:
        CF 1.11, sections 4.4 (time) and 7.1 (bounds); see `geobatch.views.zarr.metadata`.
    """
    times = _Times(members)
    chunks: dict[str, bytes] = {}
    arrays: dict[str, str] = {}
    groups: dict[str, Attributes] = {}
    for path, data in _timeless(documents(record)).items():
        node = path.rpartition("/")[0]
        if not path.endswith(DOCUMENT):
            if not _TIME_OF_IMAGE.search(path):
                chunks[path] = data
            continue
        document = json.loads(data)
        if document["node_type"] == "group":
            groups[node] = _group(document["attributes"])
            continue
        if node.rpartition("/")[2] == TIME:  # of the image alone
            continue
        if document["dimension_names"] == _PLANE:
            _stack(document, len(members))
            level = node.rpartition("/")[0]
            arrays |= {join(level, name): text for name, text in times.arrays().items()}
            chunks |= {join(level, name): chunk for name, chunk in times.chunks().items()}
        arrays[node] = _text(document)
    for path in {node.rpartition("/")[0] for node in arrays}:
        if times.has_bounds:
            # By this alone xarray takes the bounds for a coordinate, and not for data.
            groups[path]["coordinates"] = BOUNDS
    groups[""] = _facts(record, members) | groups[""]
    return {
        **chunks,
        **{join(path, DOCUMENT): text.encode() for path, text in arrays.items()},
        **consolidated(groups, arrays),
    }


def _timeless(found: dict[str, bytes]) -> dict[str, bytes]:
    """Return the documents of an image without its own time, a coordinate without dimensions."""
    own = f"/{TIME}/c"
    levels = [path.removesuffix(own) for path in found if path.endswith(own)]
    dropped = {join(level, TIME, name) for level in levels for name in ("c", DOCUMENT)}
    return {path: data for path, data in found.items() if path not in dropped}


def _facts(record: AssetRecord, members: Sequence[Member]) -> Attributes:
    """Return what a reader can know of the cube as a whole, for its own group."""
    return {
        "time_coverage_start": members[0].start,
        "time_coverage_end": members[-1].end or members[-1].start,
        "geobatch": {
            "id": folder_of(record.asset.id),
            "kind": "image_collection",
            "tile": record.image.tile,
            "images": [[one.id, one.start, one.end, one.stored] for one in members],
        },
    }


def _group(attributes: Attributes) -> Attributes:
    """Return the attributes of a group: of the image, what it shares with the others."""
    found = {
        key: value
        for key, value in attributes.items()
        if key not in ("geobatch", "time_coverage_start", "time_coverage_end")
    }
    for level in found.get("multiscales", {}).get("layout", ()):
        # One number per axis of the arrays; GDAL refuses fewer.
        if "transform" in level:
            transform = level["transform"]
            transform["scale"] = [1.0, *transform["scale"]]
            transform["translation"] = [0.0, *transform["translation"]]
    return found


def _stack(document: dict[str, Any], count: int) -> None:
    """Give the document of a plane an axis of time; a chunk of one time has the same bytes."""
    document["shape"] = [count, *document["shape"]]
    document["dimension_names"] = [TIME, *_PLANE]
    grid = document["chunk_grid"]["configuration"]
    grid["chunk_shape"] = [1, *grid["chunk_shape"]]
    for codec in document["codecs"]:
        if codec["name"] == "sharding_indexed":
            shard = codec["configuration"]
            shard["chunk_shape"] = [1, *shard["chunk_shape"]]


class _Times:
    """The coordinate of time, and its bounds."""

    def __init__(self, members: Sequence[Member]) -> None:
        starts = [nanoseconds(one.start) for one in members]
        ends = [nanoseconds(one.end or one.start) for one in members]
        self.has_bounds = any(one.end is not None for one in members)
        every = [*starts, *(ends if self.has_bounds else ())]
        unit, factor = next(
            (unit, factor) for unit, factor in _UNITS if all(time % factor == 0 for time in every)
        )
        self._units = f"{unit} since 1970-01-01 00:00:00"
        self._starts = np.array([time // factor for time in starts], dtype="<i8")
        self._ends = np.array([time // factor for time in ends], dtype="<i8")

    def arrays(self) -> dict[str, str]:
        """Return the documents of the arrays, by name."""
        calendar = {"units": self._units, "calendar": "proleptic_gregorian"}
        count = len(self._starts)
        found = {
            TIME: array(
                (count,),
                dtype="int64",
                chunk_shape=(TIMES,),
                fill=0,
                codecs=_INT64_CODECS,
                dimensions=(TIME,),
                attributes={
                    "standard_name": "time",
                    "long_name": "start of the image",
                    "axis": "T",
                    **calendar,
                    **({"bounds": BOUNDS} if self.has_bounds else {}),
                },
            )
        }
        if self.has_bounds:
            found[BOUNDS] = array(
                (count, 2),
                dtype="int64",
                chunk_shape=(TIMES, 2),
                fill=0,
                codecs=_INT64_CODECS,
                dimensions=(TIME, "bnds"),
                attributes={"long_name": "start and end of the image", **calendar},
            )
        return {name: _text(document) for name, document in found.items()}

    def chunks(self) -> dict[str, bytes]:
        """Return the chunks of the arrays, by path below their level, padded to their size."""
        found: dict[str, bytes] = {}
        for number, first in enumerate(range(0, len(self._starts), TIMES)):
            starts = self._starts[first : first + TIMES]
            room = np.zeros((TIMES, 2), dtype="<i8")
            room[: len(starts), 0] = starts
            room[: len(starts), 1] = self._ends[first : first + TIMES]
            found[f"{TIME}/c/{number}"] = room[:, 0].tobytes()
            if self.has_bounds:
                found[f"{BOUNDS}/c/{number}/0"] = room.tobytes()
        return found


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)
