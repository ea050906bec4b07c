"""`cube: true` from spec to readers: the stack of the files, kept so by every command."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import xarray as xr

import geobatch
from geobatch.errors import PlanError, SpecError
from geobatch.explain.status import status
from geobatch.model.plans.plan import Options
from geobatch.store.copying.copy import CopyOptions
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster
from geobatch.views.store_views import StoreViews
from geobatch.workflow.maintenance.copy import copy
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.rollback import rollback

SPEC = """\
kind: image_collection
id: s2/l2a
cube: true
for_each:
  files: data/*.tif
  pattern: '(?P<tile>[A-Z]*)_?(?P<date>[0-9]{8})[.]tif'
image:
  id: '{date}'
  tiling: {tile: 128}
  start_time: '{date:%Y%m%d}'
"""


class Bench:
    """A collection of small rasters, and a store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"
        self.spec = folder / "spec.yaml"
        (folder / "data").mkdir(parents=True)
        self.declare()

    def declare(self, text: str = SPEC) -> None:
        self.spec.write_text(text)

    def raster(self, name: str, *, seed: int = 0, size: tuple[int, int] = (150, 140)) -> None:
        pixels: npt.NDArray[np.uint8] = np.random.default_rng([seed, *name.encode()]).integers(
            1, 255, size, dtype=np.uint8
        )
        pixels[:20, :30] = 0
        write_raster(self.folder / f"data/{name}.tif", pixels)

    def apply(self, *, prune: bool = False, **options: object) -> geobatch.Plan:
        chosen = Options(is_pruning=prune, max_delete="100%", **options)  # type: ignore[arg-type]
        return geobatch.apply(self.spec, store=self.store, workers=1, options=chosen).plan

    def plan(self) -> geobatch.Plan:
        return geobatch.plan(self.spec, store=self.store, workers=1)

    def assert_stacks(self, cube: str, *names: str) -> None:
        """The cube has the pixels of these files, as another library reads them, in their order."""
        planes = []
        for name in names:
            with rasterio.open(self.folder / f"data/{name}.tif") as source:
                planes.append(source.read(1, masked=True).astype("float32").filled(np.nan))
        with xr.open_zarr(self.store / f"cubes/{cube}.zarr/0") as found:
            np.testing.assert_array_equal(found.b1.values, np.stack(planes))
            days = [str(one)[:10].replace("-", "") for one in found.time.values]
            assert days == [name[-8:] for name in names]
        assert fsck(self.store).is_whole
        assert self.plan().is_empty


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    for day in ("20250101", "20250103"):
        made.raster(day)
    return made


def test_days_come_change_and_go(bench: Bench) -> None:
    (cube,) = bench.apply().cubes
    assert (cube.id, cube.action, cube.images, cube.added) == ("s2/l2a", "create", 2, 2)
    bench.assert_stacks("s2/l2a", "20250101", "20250103")
    bench.raster("20250102")
    (cube,) = bench.apply().cubes
    assert (cube.action, cube.images, cube.added, cube.changed) == ("update", 3, 1, 0)
    bench.assert_stacks("s2/l2a", "20250101", "20250102", "20250103")
    bench.raster("20250103", seed=4)
    (cube,) = bench.apply().cubes
    assert (cube.images, cube.added, cube.changed) == (3, 0, 1)
    bench.assert_stacks("s2/l2a", "20250101", "20250102", "20250103")
    (bench.folder / "data/20250101.tif").unlink()
    (cube,) = bench.apply(prune=True).cubes
    assert (cube.images, cube.removed) == (2, 1)
    bench.assert_stacks("s2/l2a", "20250102", "20250103")


def test_a_collection_in_python_is_the_cube_verified(bench: Bench) -> None:
    bench.raster("20250102")
    bench.apply()
    with xr.open_zarr(bench.store / "cubes/s2/l2a.zarr/0") as cube:
        wanted = cube.b1.values
    bench.raster("20250102", seed=7)
    bench.apply()
    store = geobatch.open_store(bench.store)
    at_first = store.collection("s2/l2a", at=1)
    np.testing.assert_array_equal(at_first.b1.values, wanted)
    again = pickle.loads(pickle.dumps(at_first))
    np.testing.assert_array_equal(again.b1[1, 20:99, 7:140].values, wanted[1, 20:99, 7:140])
    with xr.open_zarr(bench.store / "cubes/s2/l2a.zarr/0") as cube:
        np.testing.assert_array_equal(store.collection("s2/l2a").b1.values, cube.b1.values)
    for path in (bench.store / "objects").rglob("*"):
        if path.is_file() and path.stat().st_nlink > 1:  # a tile that is shown
            path.chmod(0o644)
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
    with pytest.raises(geobatch.CorruptObjectError):
        _ = store.collection("s2/l2a").b1.values


def test_what_a_status_says(bench: Bench) -> None:
    bench.apply()
    assert not status(bench.store, [bench.spec]).has_differences
    bench.declare(SPEC.replace("cube: true\n", ""))
    found = status(bench.store, [bench.spec])
    assert found.has_differences
    assert [(cube.id, cube.action) for cube in found.cubes] == [("s2/l2a", "delete")]


def test_the_setting_alone_is_a_commit_and_no_content(bench: Bench) -> None:
    bench.declare(SPEC.replace("cube: true\n", ""))
    first = geobatch.apply(bench.spec, store=bench.store)
    assert not (bench.store / "cubes").exists()
    for text, action in ((SPEC, "create"), (SPEC.replace("cube: true", "cube: false"), "delete")):
        bench.declare(text)
        (cube,) = bench.plan().cubes
        assert cube.action == action
        done = geobatch.apply(bench.spec, store=bench.store)
        assert done.commit is not None
        assert done.content_root == first.content_root
        assert done.tiles.written == 0
        assert (bench.store / "cubes").exists() is (action == "create")
        assert geobatch.apply(bench.spec, store=bench.store).commit is None


def test_bytes_cost_nothing(bench: Bench) -> None:
    """Every chunk is an object: the store grows by documents and coordinates alone."""
    bench.apply()
    objects = {
        path.stat().st_ino for path in (bench.store / "objects").rglob("*") if path.is_file()
    }
    chunks = list((bench.store / "cubes").rglob("b1/c/*/*/*"))
    chunks += (bench.store / "cubes").rglob("masks/*/b1/c/*/*/*")
    assert len(chunks) == sum(
        entry.tiles for entry in TileStore.open(bench.store).head().tree.entries
    )
    assert {path.stat().st_ino for path in chunks} <= objects
    assert min(path.stat().st_nlink for path in chunks) >= 3, "object, image and cube"


def test_each_folder_of_images_is_a_cube(bench: Bench) -> None:
    bench.raster("A_20250101", size=(150, 140))
    bench.raster("B_20250101", size=(90, 60))
    bench.raster("B_20250104", size=(90, 60))
    for day in ("20250101", "20250103"):
        (bench.folder / f"data/{day}.tif").unlink()
    bench.declare(SPEC.replace("id: '{date}'", "id: '{tile}/{date}'"))
    assert [cube.id for cube in bench.apply().cubes] == ["s2/l2a/A", "s2/l2a/B"]
    bench.assert_stacks("s2/l2a/A", "A_20250101")
    bench.assert_stacks("s2/l2a/B", "B_20250101", "B_20250104")


def test_a_rollback_a_copy_and_another_clone_keep_cubes(bench: Bench, tmp_path: Path) -> None:
    bench.apply()
    bench.declare(SPEC.replace("cube: true\n", ""))
    bench.raster("20250102")
    bench.apply()
    assert not (bench.store / "cubes").exists()
    rollback(bench.store, "1")
    assert TileStore.open(bench.store).head().commit.cubes == ("s2/l2a",)  # type: ignore[union-attr]
    copy(bench.store, tmp_path / "other", CopyOptions())
    for store in (bench.store, tmp_path / "other"):
        with xr.open_zarr(store / "cubes/s2/l2a.zarr/0") as found:
            assert found.sizes["time"] == 2
        assert fsck(store).is_whole
    other = bench.folder / "elsewhere.yaml"
    other.write_text("id: one\ntilesets: [{sources: [{uris: [data/20250101.tif]}]}]\n")
    geobatch.apply(other, store=bench.store)
    head = TileStore.open(bench.store).head()
    assert head.commit is not None
    assert head.commit.cubes == ("s2/l2a",), "specs that do not declare it do not end it"
    assert StoreViews(TileStore.open(bench.store)).compare(head).is_current  # type: ignore[union-attr]


def test_a_selection_covers_only_its_collections(bench: Bench) -> None:
    bench.apply()
    bench.declare(
        SPEC.replace("cube: true\n", "")
        + "---\nid: one\ntilesets: [{sources: [{uris: [data/20250101.tif]}]}]\n"
    )
    assert bench.apply(select=("one",)).cubes == ()
    assert (bench.store / "cubes/s2/l2a.zarr/0/zarr.json").exists()
    assert [cube.action for cube in bench.apply().cubes] == ["delete"]


def test_a_renamed_image_stays_a_step(bench: Bench) -> None:
    bench.apply()
    bench.declare(SPEC.replace("id: '{date}'", "id: 'd{date}'\n  moved_from: 's2/l2a/{date}'"))
    bench.apply()
    bench.assert_stacks("s2/l2a", "20250101", "20250103")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (("  start_time: '{date:%Y%m%d}'\n", ""), "has no `start_time`"),
        (("'{date:%Y%m%d}'", "2025-01-01"), "have the same `start_time`"),
        (("image:\n", "image:\n  kind: external_image\n"), "these are external"),
        (("cube: true", "cube: often"), "expected `true` or `false`"),
        (("cube: true\n", ""), None),
    ],
)
def test_what_specs_tell_is_refused_when_they_are_read(
    bench: Bench, edit: tuple[str, str], words: str | None
) -> None:
    text = SPEC.replace(*edit)
    if "external" in text:
        text = text.replace("  tiling: {tile: 128}\n", "")
    bench.declare(text)
    if words is None:
        bench.declare(text.replace("image:\n", "image:\n  cube: true\n"))
        words = "it belongs next to `for_each`"
    with pytest.raises(SpecError) as caught:
        bench.plan()
    assert words in str(caught.value) + "".join(p.hint or "" for p in caught.value.problems)
    assert all(problem.line > 1 for problem in caught.value.problems)


def test_what_files_tell_is_refused_with_both_names(bench: Bench) -> None:
    bench.apply()
    bench.raster("20250105", size=(150, 141))
    with pytest.raises(PlanError) as caught:
        bench.apply()
    assert "`s2/l2a/20250101` and `s2/l2a/20250105` are not one array" in caught.value.message
    assert "(150, 140) and (150, 141) rows and columns" in caught.value.message
    assert "{tile}/{date}" in str(caught.value.hint)
    (bench.folder / "data/20250105.tif").unlink()
    bench.assert_stacks("s2/l2a", "20250101", "20250103")


def test_a_published_image_that_is_not_declared_any_more_must_fit_too(bench: Bench) -> None:
    bench.apply()
    (bench.folder / "data/20250101.tif").unlink()
    bench.raster("20250103", size=(60, 60))
    with pytest.raises(PlanError, match="`s2/l2a/20250101` and `s2/l2a/20250103`"):
        bench.apply()
    assert bench.apply(prune=True).cubes[0].removed == 1
    bench.assert_stacks("s2/l2a", "20250103")


@pytest.mark.parametrize(
    ("band", "name"),
    [("Time", "band_Time"), ("time-bnds", "band_time_bnds"), ("spatial-ref", "band_spatial_ref"),
     ("masks", "masks"), ("0", "band_0"), ("asset", "asset"), ("bnds", "band_bnds"), ("c", "c")],
)  # fmt: skip
def test_a_band_may_be_called_as_anything_beside_it(bench: Bench, band: str, name: str) -> None:
    text = SPEC.replace("  start_time", "  end_time: '{date+1:%Y%m%d}'\n  start_time")
    bench.declare(f"{text}  bands: [{{id: '{band}'}}]\n")
    bench.apply()
    assert bench.plan().is_empty
    assert fsck(bench.store).is_whole
    planes = []
    for day in ("20250101", "20250103"):
        with rasterio.open(bench.folder / f"data/{day}.tif") as source:
            planes.append(source.read(1, masked=True).astype("float32").filled(np.nan))
        image = xr.open_zarr(bench.store / f"zarr/s2/l2a/{day}/0")
        engine = xr.open_dataset(bench.store, engine="geobatch", asset=f"s2/l2a/{day}")
        for found in (image, engine):
            assert list(found.data_vars) == [name]
            assert found.time.dt.strftime("%Y%m%d").item() == day
            np.testing.assert_array_equal(found[name].values, planes[-1])
    with xr.open_zarr(bench.store / "cubes/s2/l2a.zarr/0") as cube:
        assert list(cube.data_vars) == [name]
        assert set(cube.coords) == {"time", "time_bnds", "x", "y", "spatial_ref"}
        np.testing.assert_array_equal(cube[name].values, np.stack(planes))
    series = geobatch.open_store(bench.store).collection("s2/l2a")
    assert list(series.data_vars) == [name]
    np.testing.assert_array_equal(series[name].values, np.stack(planes))
