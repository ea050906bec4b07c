"""Regions: any dirty tiles, any size of regions and any number of workers give the same tiles."""

from __future__ import annotations

import math
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from reference_ingest import Expectation, Plane, expect
from reference_pyramid import Values
from region_workbench import (
    Executor,
    change_of,
    contents,
    head_of,
    resolved,
    roots,
    tile_shape,
)
from workbench import LAYOUTS, Document, image, is_fill, write_tiff

from geobatch.errors import CorruptObjectError, InterruptedRunError, SourceError
from geobatch.execute import Counts, SilentObserver, TaskContext, passes
from geobatch.execute.levels import AssetRun, Shared
from geobatch.execute.tasks.runner import run_task
from geobatch.model import geobox
from geobatch.model.assets.asset import AnyImage, Codec, Resolution
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.plans.plan import BandWork, Op, Start
from geobatch.model.published import ArrayKey, AssetRecord, Head
from geobatch.model.tiles import TileSet
from geobatch.planner import plan
from geobatch.sources.geotiff import Reader

TILE = 16
POLICIES = ("MEAN", "MODE", "MEDIAN", "SAMPLE")


@contextmanager
def constants(*, top: int = 16, **limits: int) -> Iterator[None]:
    """Change how many levels there are and how large regions may be, so that small images do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geobox, "TOP_LEVEL_PIXELS", top)
        for name, value in limits.items():
            patch.setattr(passes, name, value)
        yield


# --- a scene: two tilesets, masked in different ways, one of them a mosaic -----------------------


def scene(rng: np.random.Generator, shape: tuple[int, int]) -> dict[str, list[Values]]:
    """Return the bands of the files: `left` and `right` overlap, `rgba` has fractional masks."""
    height, width = shape
    split = width // 2

    def patchy(dtype: str, cols: int) -> Values:
        values = rng.integers(1, 200, (height, cols)).astype(dtype)
        # Whole tiles are masked, and parts of tiles.
        for _ in range(3):
            row, col = rng.integers(0, height), rng.integers(0, cols)
            values[row : row + 40, col : col + 40] = 0
        return values

    alpha = rng.choice(np.array([0, 1, 128, 255, 255, 255], dtype=np.uint8), shape)
    alpha[: height // 2, : width // 3] = 0
    return {
        "left": [patchy("float32", split + 20), patchy("float32", split + 20)],
        "right": [patchy("float32", width - split), patchy("float32", width - split)],
        "rgba": [patchy("uint8", width), alpha],
    }


def write(folder: Path, files: dict[str, list[Values]], *, split: int, layout: int = 0) -> None:
    options = LAYOUTS[layout % len(LAYOUTS)]
    write_tiff(folder / "left.tif", files["left"], nodata=0, layout=options)
    write_tiff(folder / "right.tif", files["right"], nodata=0, layout=options, col=split)
    write_tiff(folder / "rgba.tif", files["rgba"], has_alpha=True, layout=options)


def document(**more: Any) -> Document:
    bands = [
        {"id": f"t{index}", "tileset_id": "t", "tileset_band_index": index,
         "pyramiding_policy": POLICIES[index]}
        for index in range(2)
    ]  # fmt: skip
    bands.append({"id": "grey", "tileset_id": "u", "pyramiding_policy": "MEDIAN"})
    second = {"id": "u", "sources": [{"uris": ["rgba.tif"]}]}
    return image(
        "a", "left.tif", "right.tif", tile=TILE, bands=bands, more_tilesets=[second], **more
    )


SHAPES = st.tuples(st.integers(17, 150), st.integers(60, 190))


def limits(pixels: int, bytes_: int = 64 << 20, strip: int = 24 << 20) -> dict[str, int]:
    return {"REGION_PIXELS": pixels, "REGION_BYTES": bytes_, "STRIP_BYTES": strip}


LIMITS = st.sampled_from(
    [limits(2048), limits(4 * TILE), limits(2 * TILE), limits(TILE), limits(2048, 40_000),
     limits(2048, strip=1)]
)  # fmt: skip


def some_tiles(rng: np.random.Generator, shape: tuple[int, int]) -> TileSet:
    """Return no tile, one tile, a few or many: Hypothesis would crowd them in a corner."""
    mask = rng.random(shape) < rng.choice([0, 0.02, 0.1, 0.5])
    if rng.random() < 0.3:
        mask[rng.integers(0, shape[0]), rng.integers(0, shape[1])] = True
    return TileSet.from_mask(mask)


@settings(max_examples=examples(10, 30), deadline=None)
@given(
    can_stop=st.booleans(),
    shape=SHAPES,
    seed=st.integers(0, 2**32),
    region=LIMITS,
    layout=st.integers(0, 5),
    workers=st.integers(1, 3),
)
def test_dirty_tiles_upon_a_store_equal_a_full_run(
    shape: tuple[int, int],
    seed: int,
    region: dict[str, int],
    layout: int,
    workers: int,
    *,
    can_stop: bool,
) -> None:
    rng = np.random.default_rng(seed)
    split = shape[1] // 2
    files = scene(rng, shape)
    with tempfile.TemporaryDirectory() as name, constants(**region):
        folder = Path(name)
        write(folder, files, split=split, layout=layout)
        before = resolved(folder, document())
        executor = Executor()
        stored = executor.build(before)

        dirty = {band.id: some_tiles(rng, tile_shape(before, band.id)) for band in before.bands}
        for band_id, (rows, cols) in tiles_of(dirty):
            kind = rng.choice(["same", "same", "masked", "valid", "noise"])
            if kind != "same":
                repaint(files, band_id, kind, rng, np.s_[rows, cols], split=split)
        write(folder, files, split=split, layout=layout)
        after = resolved(folder, document())

        work = [
            BandWork(
                band=band,
                start=Start.SOURCES,
                tiles=tiles,
                base=("a", band),
                can_stop=can_stop,
            )
            for band, tiles in dirty.items()
        ]
        (found,), counts = executor.execute(
            change_of(after, work), records={"a": stored}, workers=workers
        )
        clean = Executor().build(after)
        assert roots(found) == roots(clean)
        possible = sum(
            level.count * (1 + has_mask(after, piece.band, number))
            for piece in work
            for number, level in enumerate(piece.dirty(depth(after)))
        )
        done = counts.written + counts.reused + counts.empty
        assert done <= possible if can_stop else done == possible


def test_a_tile_that_comes_out_equal_leaves_its_parents_as_they_are(tmp_path: Path) -> None:
    """Dirty in two far corners, changed in one: the box of what is fresh is larger than needed."""
    values = np.random.default_rng(4).integers(1, 200, (160, 160)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [values], nodata=0)
    spec = image("a", "a.tif", tile=TILE)
    shape = (10, 10)
    with constants():
        for changed in ((0, 0), (9, 9), (0, 9)):
            executor = Executor()
            stored = executor.build(resolved(tmp_path, spec))
            row, col = changed
            values[row * TILE + 3, col * TILE + 4] ^= 255
            write_tiff(tmp_path / "a.tif", [values], nodata=0)
            after = resolved(tmp_path, spec)
            dirty = np.zeros(shape, dtype=np.bool_)
            for place in ((0, 0), (9, 9), (0, 9)):
                dirty[place] = True
            work = BandWork(
                band="b1", start=Start.SOURCES, tiles=TileSet.from_mask(dirty), base=("a", "b1"),
                can_stop=True,
            )  # fmt: skip
            (found,), counts = executor.execute(change_of(after, [work]), records={"a": stored})
            assert roots(found) == roots(Executor().build(after))
            # Three tiles are looked at, and one at each of the four levels above, with its mask.
            assert counts.written + counts.reused + counts.empty == 3 + 4 * 2


def tiles_of(dirty: dict[str, TileSet]) -> Iterator[tuple[str, tuple[slice, slice]]]:
    for band_id, tiles in dirty.items():
        for row, col in tiles:
            yield (
                band_id,
                (
                    slice(row * TILE, (row + 1) * TILE),
                    slice(col * TILE, (col + 1) * TILE),
                ),
            )


def repaint(
    files: dict[str, list[Values]],
    band_id: str,
    kind: str,
    rng: np.random.Generator,
    place: tuple[slice, slice],
    *,
    split: int,
) -> None:
    """Repaint a piece of the canvas in the files of one band."""
    rows, cols = place
    if band_id == "grey":
        # Of the two planes of this file, the alpha band decides what is masked.
        value, alpha = files["rgba"]
        value[place] = rng.integers(1, 200, value[place].shape)
        alpha[place] = {
            "masked": 0, "valid": 255, "noise": rng.integers(0, 256, alpha[place].shape),
        }[kind]  # fmt: skip
        return
    index = int(band_id[1:])
    for name, start in (("left", 0), ("right", split)):
        plane = files[name][index]
        piece = plane[rows, max(cols.start - start, 0) : max(cols.stop - start, 0)]
        piece[:] = {
            "masked": 0, "valid": 9, "noise": rng.integers(0, 200, piece.shape),
        }[kind]  # fmt: skip


def has_mask(asset: AnyImage, band: str, level: int) -> bool:
    first = asset.band(band).mask_from_level
    return first is not None and level >= first


def depth(asset: AnyImage) -> int:
    return max(grid.geobox.level_count for grid in asset.grids)


# --- the size of regions, workers, grids ---------------------------------------------------------


def grids(folder: Path) -> AnyImage:
    """Return an asset on three grids, of which one has a single level."""
    rng = np.random.default_rng(5)
    for name, shape in (("a", (301, 417)), ("b", (523, 60)), ("c", (31, 40))):
        write_tiff(
            folder / f"{name}.tif",
            [rng.integers(0, 9, shape).astype(np.uint8) for _ in range(2)],
            nodata=0,
        )
    more = [{"id": name, "sources": [{"uris": [f"{name}.tif"]}]} for name in "bc"]
    return resolved(folder, image("a", "a.tif", tile=TILE, more_tilesets=more))


@pytest.mark.parametrize("top", [16, 256])
def test_the_size_of_regions_does_not_matter(tmp_path: Path, top: int) -> None:
    found = []
    for pixels, most, strip in (
        (TILE, 1, 1),
        (2 * TILE, 64 << 20, 1),
        (8 * TILE, 64 << 20, 24 << 20),
        (2048, 40_000, 24 << 20),
        (2048, 64 << 20, 24 << 20),
    ):
        with constants(top=top, REGION_PIXELS=pixels, REGION_BYTES=most, STRIP_BYTES=strip):
            asset = grids(tmp_path)
            found.append(roots(Executor().build(asset)))
    assert len(found[0]) > 6 * 2
    assert all(other == found[0] for other in found)


@pytest.mark.parametrize("pixels", [2 * TILE, 2048])
def test_the_number_of_workers_does_not_matter(tmp_path: Path, pixels: int) -> None:
    with constants(REGION_PIXELS=pixels):
        asset = grids(tmp_path)
        copies = [replace(asset, id=f"copy{number}") for number in range(2)]
        found = []
        for workers in (1, 2, 4):
            records, counts = Executor().execute(*map(change_of, copies), workers=workers)
            found.append([roots(record) for record in records])
            assert counts.written + counts.reused + counts.empty == 2 * total(asset)
        assert all(other == found[0] for other in found)
        assert all(other == found[0][0] for other in found[0])


def total(asset: AnyImage) -> int:
    return sum(
        math.prod(tile_shape(asset, band.id, level)) * (1 + has_mask(asset, band.id, level))
        for band in asset.bands
        for level in range(asset.grid(band.grid).geobox.level_count)
    )


@pytest.mark.parametrize("pixels", [TILE, 4 * TILE, 2048])
def test_every_level_equals_the_reference(tmp_path: Path, pixels: int) -> None:
    rng = np.random.default_rng(3)
    values = [rng.integers(0, 5, (67, 333)).astype(np.int16) for _ in POLICIES]
    for plane in values:
        plane[:33, :70] = 0
    write_tiff(tmp_path / "a.tif", values, nodata=0)
    bands = [
        {"id": policy, "tileset_id": "t", "tileset_band_index": index, "pyramiding_policy": policy}
        for index, policy in enumerate(POLICIES)
    ]
    with constants(top=256, REGION_PIXELS=pixels):
        asset = resolved(tmp_path, image("a", "a.tif", tile=TILE, bands=bands))
        executor = Executor()
        record = executor.build(asset)
        for policy, plane in zip(POLICIES, values, strict=True):
            expected = expect([Plane(values=plane, nodata=0)], shape=plane.shape, policy=policy)
            assert_levels(executor, record, policy, expected)


def assert_levels(
    executor: Executor, record: AssetRecord, band: str, expected: Expectation
) -> None:
    for level, (values, masks) in enumerate(expected.levels):
        found = executor.plane(record, ArrayKey(band=band, level=level))
        assert found.tolist() == values.tolist()
        if has_mask(record.image, band, level):
            mask = executor.plane(record, ArrayKey(band=band, level=level, is_mask=True))
            assert mask.tolist() == masks.tolist()
        else:
            assert (is_fill(found, expected.fill) == (masks == 0)).all()


# --- what need not be read from the sources ------------------------------------------------------


def policies(*names: str) -> Document:
    made = document()
    for band, name in zip(made["bands"], names, strict=True):
        band["pyramiding_policy"] = name
    return made


@pytest.mark.parametrize("pixels", [TILE, 2 * TILE, 2048])
def test_levels_rebuilt_from_stored_level_0_equal_a_full_run(tmp_path: Path, pixels: int) -> None:
    write(tmp_path, scene(np.random.default_rng(1), (90, 150)), split=75)
    with constants(REGION_PIXELS=pixels):
        executor = Executor()
        before = executor.build(resolved(tmp_path, document()))
        after = resolved(tmp_path, policies("MAX", "MODE", "SAMPLE"))
        work = [
            BandWork(
                band=band,
                start=Start.LEVEL_0,
                tiles=TileSet.full(tile_shape(after, band)),
                base=("a", band),
            )
            for band in ("t0", "grey")
        ]
        change = replace(change_of(after, work), carried=(("t1", ("a", "t1")),))
        clean = Executor().build(after)
        for file in tmp_path.glob("*.tif"):
            file.unlink()
        (found,), counts = executor.execute(change, records={"a": before}, workers=2)
        assert roots(found) == roots(clean)
        possible = sum(
            level.count * (1 + has_mask(after, piece.band, number))
            for piece in work
            for number, level in enumerate(piece.dirty(depth(after)))
        )
        assert counts.written + counts.reused + counts.empty == possible


GZIP = Codec(name="gzip", level=1, compressor="", shuffle="")


def test_another_codec_changes_bytes_and_no_content(tmp_path: Path) -> None:
    write(tmp_path, scene(np.random.default_rng(2), (90, 150)), split=75)
    with constants():
        executor = Executor()
        asset = resolved(tmp_path, document())
        before = executor.build(asset)
        after = replace(asset, codec=GZIP)
        made = plan(Resolution(assets=(after,)), base=head_of(before), records={"a": before},
                    store_id="")  # fmt: skip
        assert {work.start for work in made.changes[0].work} == {Start.RECODE}
        (found,), counts = executor.execute(*made.changes, records={"a": before}, workers=2)
        assert contents(found) == contents(before)
        assert roots(found) == roots(Executor().build(after))
        planned = made.changes[0].tiles
        assert counts.written + counts.reused + counts.empty == planned.compute == planned.total


def test_a_renamed_band_takes_its_tiles_along(tmp_path: Path) -> None:
    write(tmp_path, scene(np.random.default_rng(2), (60, 80)), split=40)
    with constants():
        executor = Executor()
        before = executor.build(resolved(tmp_path, document()))
        renamed = document()
        renamed["bands"][0]["id"] = "other"
        after = resolved(tmp_path, renamed)
        made = plan(Resolution(assets=(after,)), base=head_of(before), records={"a": before},
                    store_id="")  # fmt: skip
        assert not made.changes[0].work
        (found,), counts = executor.execute(*made.changes, records={"a": before})
        assert counts.written == 0
        assert roots(found) == roots(Executor().build(after))
        assert dict(found.fingerprints)["other"] == band_fingerprint(before.image, "t0")


# --- counts --------------------------------------------------------------------------------------


@settings(max_examples=examples(5, 15), deadline=None)
@given(shape=SHAPES, seed=st.integers(0, 2**32), region=LIMITS)
def test_a_plan_counts_the_very_tiles_of_every_level(
    shape: tuple[int, int], seed: int, region: dict[str, int]
) -> None:
    with tempfile.TemporaryDirectory() as name, constants(**region):
        folder = Path(name)
        write(folder, scene(np.random.default_rng(seed), shape), split=shape[1] // 2)
        asset = resolved(folder, document())
        change = plan(
            Resolution(assets=(asset,)), base=Head(number=0, digest=None), records={}, store_id=""
        ).changes[0]
        assert change.op is Op.CREATE
        executor = Executor()
        by_level: Counter[int] = Counter()
        with Reader() as reader:
            context = TaskContext(objects=executor.objects, index=executor.index, reader=reader)
            shared = Shared(
                records={},
                finished={},
                index=executor.index,
                inputs=context.inputs,
                sink=None,
                base_commit=None,
            )
            run = AssetRun(change, shared)
            while (tasks := run.next_pass()) is not None:
                for task in tasks:
                    result = run_task(task, context)
                    for key, rows in result.entries.items():
                        by_level[key.level] += len(rows)
                    for key, places in result.removed.items():
                        by_level[key.level] += len(places)
                    run.absorb(result)
                run.finish_pass()
        assert tuple(by_level[level] for level in sorted(by_level)) == change.tiles.by_level
        assert change.tiles.compute == change.tiles.total == total(asset)


# --- failures and interruptions -------------------------------------------------------------------


def region_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("region")]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_task_that_fails_ends_the_run_and_leaves_no_thread(tmp_path: Path, workers: int) -> None:
    write(tmp_path, scene(np.random.default_rng(2), (150, 180)), split=90)
    with constants(REGION_PIXELS=2 * TILE):
        asset = resolved(tmp_path, document())
        (tmp_path / "right.tif").unlink()
        with pytest.raises(SourceError, match=r"right\.tif"):
            Executor().execute(change_of(asset), workers=workers)
    assert region_threads() == []


def test_a_damaged_tile_in_the_store_is_not_built_upon(tmp_path: Path) -> None:
    write(tmp_path, scene(np.random.default_rng(2), (60, 80)), split=40)
    with constants():
        executor = Executor()
        before = executor.build(resolved(tmp_path, document()))
        shape = tile_shape(before.image, "grey")
        entry = executor.index.entries(shape, before.root(ArrayKey(band="grey", level=0)))[0]
        name = executor.objects.path(bytes(entry["stored"]).hex())
        backend = executor.objects.backend
        backend.replace(name, backend.get(name)[:-1] + b"?")
        after = resolved(tmp_path, policies("MEAN", "MODE", "MAX"))
        work = BandWork(
            band="grey", start=Start.LEVEL_0, tiles=TileSet.full(shape), base=("a", "grey")
        )
        change = replace(
            change_of(after, [work]), carried=(("t0", ("a", "t0")), ("t1", ("a", "t1")))
        )
        with pytest.raises(CorruptObjectError, match="damaged"):
            executor.execute(change, records={"a": before})
    assert region_threads() == []


class Impatient(SilentObserver):
    """Stops the run, as Ctrl-C does, after some results."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.tiles = 0

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Count, and stop when it is enough."""
        del asset_id, bytes_read
        self.tiles += tiles
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("after", [1, 5])
def test_an_interrupted_run_finishes_what_is_in_flight(
    tmp_path: Path, workers: int, after: int
) -> None:
    write(tmp_path, scene(np.random.default_rng(2), (150, 180)), split=90)
    with constants(REGION_PIXELS=2 * TILE):
        asset = resolved(tmp_path, document())
        executor, observer = Executor(), Impatient(after)
        with pytest.raises(InterruptedRunError, match="nothing was published"):
            executor.execute(change_of(asset), workers=workers, observer=observer)
        assert region_threads() == []
        assert 0 < observer.tiles < total(asset)
        # Whatever was put is whole, and the next run does not put it again.
        (found,), counts = executor.execute(change_of(asset), workers=workers)
        clean = Executor()
        assert roots(found) == roots(clean.build(asset))
        assert counts.reused > 0


class Listener(SilentObserver):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str, int]] = []

    def run_started(self, *, assets: int, tiles: int) -> None:
        pass

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        """Keep it."""
        self.told.append(("started", asset_id, tiles))

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Keep it."""
        assert bytes_read > 0
        self.told.append(("done", asset_id, tiles))

    def asset_finished(self, asset_id: str) -> None:
        """Keep it."""
        self.told.append(("finished", asset_id, 0))


def test_an_observer_hears_of_every_tile_between_start_and_end(tmp_path: Path) -> None:
    with constants(REGION_PIXELS=4 * TILE):
        asset = grids(tmp_path)
        copies = [replace(asset, id=f"copy{number}") for number in range(4)]
        made = plan(
            Resolution(assets=tuple(copies)),
            base=Head(number=0, digest=None),
            records={},
            store_id="",
        )
        listener = Listener()
        Executor().execute(*made.changes, workers=2, observer=listener)
        tiles = total(asset)
    for copy in copies:
        events = [event for event in listener.told if event[1] == copy.id]
        assert events[0] == ("started", copy.id, tiles)
        assert events[-1] == ("finished", copy.id, 0)
        assert all(kind == "done" for kind, _, _ in events[1:-1])
        assert sum(done for _, _, done in events[1:-1]) == tiles


def test_an_empty_plan_does_nothing() -> None:
    assert Executor().execute() == ([], Counts())
