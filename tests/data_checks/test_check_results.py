"""Results of checks of data equal those of numpy, whatever was computed and whatever was kept."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference_pyramid import Values
from test_execute_resume import StopsAfter
from workbench import Workbench, image, write_tiff

from geobatch.errors import InterruptedRunError
from geobatch.execute import passes
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.protocol import Executor
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.model.checks.result import CheckResult
from geobatch.workflow.apply import apply

ROWS, COLS, TILE = 72, 88, 32
TILED = {"tiled": True, "blockxsize": 16, "blockysize": 16}
DTYPES = ("uint8", "int16", "uint32", "float32", "float64")


@dataclass
class Scene:
    """One band, mosaicked from files; what numpy says of it."""

    dtype: str
    nodata: float | None
    files: list[tuple[int, int, Values]]
    """(row, column, pixels); later ones win where they are valid."""

    def write(self, folder: Path) -> list[Path]:
        return [
            write_tiff(
                folder / f"{number}.tif", [pixels], row=row, col=col, nodata=self.nodata,
                layout=TILED,
            )
            for number, (row, col, pixels) in enumerate(self.files)
        ]  # fmt: skip

    def canvas(self) -> tuple[Values, NDArray[np.bool_]]:
        """Return the pixels and which of them are valid."""
        values = np.zeros((ROWS, COLS), dtype=self.dtype)
        is_valid = np.zeros((ROWS, COLS), dtype=np.bool_)
        for row, col, pixels in self.files:
            fine = np.ones(pixels.shape, dtype=np.bool_)
            if self.nodata is not None:
                fine &= pixels != self.nodata
            if pixels.dtype.kind == "f":
                fine &= ~np.isnan(pixels)
            area = (slice(row, row + pixels.shape[0]), slice(col, col + pixels.shape[1]))
            values[area][fine] = pixels[fine]
            is_valid[area] |= fine
        return values, is_valid


@dataclass
class Expected:
    """Counts of one check."""

    count: int
    first: tuple[int, int] | None
    is_failed: bool = field(default=False)


def counted(wrong: NDArray[np.bool_]) -> Expected:
    places = np.argwhere(wrong)
    first = None if not len(places) else (int(places[0][0]), int(places[0][1]))
    return Expected(int(wrong.sum()), first)


def expected(check: dict[str, Any], scene: Scene, before: Scene | None) -> Expected | None:
    """Return what numpy says of a check; None if there is nothing to compare with."""
    values, is_valid = scene.canvas()
    if "range" in check:
        low, high = check["range"]
        made = counted(is_valid & ((values < low) | (values > high)))
        made.is_failed = made.count > 0
    elif "classes" in check:
        made = counted(is_valid & ~np.isin(values, np.array(check["classes"]).astype(values.dtype)))
        made.is_failed = made.count > 0
    elif "max_masked" in check:
        made = Expected(int((~is_valid).sum()), None)
        made.is_failed = made.count * 100 > float(check["max_masked"][:-1]) * values.size
    else:
        if before is None:
            return None
        old, was = before.canvas()
        made = counted((is_valid != was) | (is_valid & was & (values != old)))
        made.is_failed = made.count * 100 > float(check["max_changed"][:-1]) * values.size
    return made


def assert_results(
    results: Sequence[CheckResult], checks: list[dict[str, Any]], scene: Scene, before: Scene | None
) -> None:
    assert [one.index for one in results] == list(range(len(checks)))
    for check, one in zip(checks, results, strict=True):
        wanted = expected(check, scene, before)
        if wanted is None:
            assert (one.count, one.status) == (None, "passed")
            continue
        assert (one.count, one.first, one.is_failed) == (
            wanted.count, wanted.first, wanted.is_failed,
        ), check  # fmt: skip
        assert one.pixels == ROWS * COLS


@st.composite
def pixels_of(draw: st.DrawFn, dtype: str, shape: tuple[int, int]) -> Values:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    made: Values = rng.integers(0, 8, shape).astype(dtype)
    if dtype.startswith("float") and draw(st.booleans()):
        made[rng.random(shape) < 0.2] = math.nan
    return made


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    dtype = draw(st.sampled_from(DTYPES))
    files = [(0, 0, draw(pixels_of(dtype, (48, 48)))), (24, 40, draw(pixels_of(dtype, (48, 48))))]
    return Scene(dtype, draw(st.sampled_from([None, 0.0, 5.0])), files)


@st.composite
def edits(draw: st.DrawFn, scene: Scene) -> Scene:
    """Return a scene of which a few blocks have other pixels."""
    files = [(row, col, pixels.copy()) for row, col, pixels in scene.files]
    for _ in range(draw(st.integers(1, 2))):
        _, _, pixels = files[draw(st.integers(0, 1))]
        row, col = (16 * draw(st.integers(0, 2)) for _ in range(2))
        pixels[row : row + 16, col : col + 16] = draw(st.sampled_from([0, 3, 6, 7]))
    return Scene(scene.dtype, scene.nodata, files)


def checks_of() -> st.SearchStrategy[list[dict[str, Any]]]:
    bound = st.integers(0, 8)
    share = st.sampled_from(["0%", "0.5%", "25%", "50%", "100%"])
    one = st.one_of(
        st.tuples(bound, bound).map(lambda pair: {"range": sorted(pair)}),
        st.sets(bound, min_size=1).map(lambda some: {"classes": sorted(some)}),
        share.map(lambda text: {"max_masked": text}),
        share.map(lambda text: {"max_changed": text}),
    )
    warn = one.map(lambda check: {**check, "severity": "warn"})
    return st.lists(warn, min_size=1, max_size=4)


@given(data=st.data())
@settings(max_examples=examples(6, 400), deadline=None)
def test_results_are_those_of_numpy(data: st.DataObject) -> None:
    first = data.draw(scenes())
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(folder=Path(folder))
        before, checks = None, data.draw(checks_of())
        scene = first
        for step in range(3):
            files = scene.write(bench.folder)
            done = bench.apply(image("a", *files, tile=TILE, checks=checks))
            if done.commit is not None:
                assert_results(done.checks["a"], checks, scene, before)
            before, scene = scene, data.draw(edits(scene))
            if step == 1 and data.draw(st.booleans()):  # counts of other checks are not kept
                checks = data.draw(checks_of())


CHECKS: list[dict[str, Any]] = [
    {"range": [0, 3], "severity": "warn"},
    {"classes": [1, 2], "severity": "warn"},
    {"max_masked": "10%", "severity": "warn"},
    {"max_changed": "10%", "severity": "warn"},
]


def scene_of(seed: int, dtype: str = "uint8", nodata: float | None = 0) -> Scene:
    rng = np.random.default_rng(seed)
    return Scene(dtype, nodata, [(0, 0, rng.integers(0, 8, (ROWS, COLS)).astype(dtype))])


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(folder=tmp_path)


KEPT_CHANGES = (
    pytest.param({"pyramiding_policy": "MODE"}, id="level 0 is kept"),
    pytest.param({"codec": "zstd"}, id="encoded again"),
    pytest.param({"memo": "x"}, id="no tile"),
    pytest.param({"bands": [{"id": "other"}]}, id="a band renamed"),
    pytest.param({"tiling": {"tile": 16}}, id="other tiles"),
    pytest.param({"missing_data": {"values": [2]}}, id="other masks"),
    pytest.param({"missing_data": {"values": []}}, id="no masks"),
    pytest.param({"tilesets": "INT16"}, id="another type"),
    pytest.param({"moved_from": "a", "id": "b"}, id="a rename"),
)


@pytest.mark.parametrize("change", KEPT_CHANGES)
def test_results_after_other_changes(bench: Workbench, change: dict[str, Any]) -> None:
    scene = scene_of(1)
    (file,) = scene.write(bench.folder)
    bands = [{"id": "b1"}]
    bench.apply(image("a", file, tile=TILE, bands=bands, checks=CHECKS))
    tileset = {"data_type": change["tilesets"]} if "tilesets" in change else None
    more = {key: value for key, value in change.items() if key not in ("tilesets", "id")}
    name = change.get("id", "a")
    spec = image(name, file, tile=TILE, tileset=tileset, checks=CHECKS, **{"bands": bands, **more})
    done = bench.apply(spec)
    after = Scene(scene.dtype, scene.nodata, scene.files)
    if "missing_data" in change:
        after.nodata = next(iter(change["missing_data"]["values"]), None)
    is_new = "bands" in change
    assert_results(done.checks[name], CHECKS, after, None if is_new else scene)


def test_another_grid_changes_every_pixel(bench: Workbench) -> None:
    scene = scene_of(1)
    (file,) = scene.write(bench.folder)
    bench.apply(image("a", file, tile=TILE, checks=CHECKS))
    write_tiff(file, [scene.files[0][2]], row=1, nodata=0)
    changed = bench.apply(image("a", file, tile=TILE, checks=CHECKS)).checks["a"][3]
    assert (changed.count, changed.is_failed) == (ROWS * COLS, True)


def test_a_footprint_is_what_shares_are_of(bench: Workbench) -> None:
    scene = scene_of(1)
    (file,) = scene.write(bench.folder)
    ring = [(0, 0), (40, 0), (40, 72), (0, 72), (0, 0)]
    footprint = {"points": [{"x": x, "y": y} for x, y in ring]}
    checks = [{"max_masked": "20%"}]
    done = bench.apply(image("a", file, tile=TILE, footprint=footprint, checks=checks))
    (result,) = done.checks["a"]
    inside = scene.files[0][2][:, :40]
    assert (result.count, result.pixels) == (int((inside == 0).sum()), inside.size)


def test_a_new_check_reads_stored_tiles_only(bench: Workbench) -> None:
    scene = scene_of(1)
    (file,) = scene.write(bench.folder)
    before = bench.apply(image("a", file, tile=TILE))
    done = bench.apply(image("a", file, tile=TILE, checks=CHECKS))
    assert (done.bytes.read, done.tiles.written) == (0, 0)
    assert done.content_root == before.content_root
    assert_results(done.checks["a"], CHECKS, scene, scene)
    assert bench.apply(image("a", file, tile=TILE, checks=CHECKS)).commit is None


EXECUTORS: tuple[Executor, ...] = (SerialExecutor(), ThreadExecutor(2), ProcessExecutor(2))


def test_executors_give_the_same(bench: Workbench) -> None:
    states: list[Any] = []
    for number, executor in enumerate(EXECUTORS):
        states.append(run_all(bench.folder / str(number), executor))
    assert states[0] == states[1] == states[2]


def run_all(folder: Path, executor: Executor) -> list[Any]:
    """Return commits' results of a whole ingest, an update, and a check that is new."""
    folder.mkdir()
    bench, found = Workbench(folder=folder), []
    scene = scene_of(1)
    changed = scene_of(1)
    changed.files[0][2][40:50, 40:50] = 7
    for one, checks in (
        (scene, CHECKS),
        (changed, CHECKS),
        (changed, [*CHECKS, {"range": [0, 9]}]),
    ):
        (file,) = one.write(folder)
        spec = bench.write_spec([image("a", file.name, tile=TILE, checks=checks)])
        done = apply([spec], store=bench.store, executor=executor)
        found.append((done.content_root, done.checks["a"]))
    return found


def test_a_killed_run_and_the_next_count_each_tile_once(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "REGION_PIXELS", TILE)
    scene = scene_of(1)
    (file,) = scene.write(bench.folder)
    spec = bench.write_spec([image("a", file, tile=TILE, checks=CHECKS)])
    for regions in (3, 4):
        with pytest.raises(InterruptedRunError):
            apply([spec], store=bench.store, workers=1, observer=StopsAfter(regions))
    done = apply([spec], store=bench.store)
    assert done.tiles.written < 9  # of the 9 at level 0 and those above, some are reused
    assert_results(done.checks["a"], CHECKS, scene, None)


def test_a_first_pixel_that_is_gone_is_searched_again(bench: Workbench) -> None:
    pixels = np.ones((ROWS, COLS), dtype=np.uint8)
    pixels[3, 3] = pixels[70, 80] = 9
    scene = Scene("uint8", None, [(0, 0, pixels)])
    (file,) = scene.write(bench.folder)
    bench.apply(image("a", file, tile=TILE, checks=CHECKS))
    pixels[3, 3] = 1
    scene.write(bench.folder)
    done = bench.apply(image("a", file, tile=TILE, checks=CHECKS))
    (result, *_) = done.checks["a"]
    assert (result.count, result.first) == (1, (70, 80))
