"""External images over time: drift, pinning anew, switching of kinds, and rules of COGs."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from cogs import external, overview, record, values, write_cog
from shell import geobatch as run
from workbench import CRS, Workbench, assert_same, image, write_tiff

import geobatch
from geobatch.errors import PlanError, SourceError, SpecError
from geobatch.explain.status import status
from geobatch.model.plans.plan import AssetChange, Op, Reason
from geobatch.workflow.plan import plan, plan_specs
from geobatch.workflow.request import Request


def bench_of(folder: Path, **more: Any) -> Workbench:
    write_cog(folder / "cog.tif", [values()])
    bench = Workbench(folder=folder)
    bench.apply(external("a", "cog.tif", **more))
    return bench


def planned(bench: Workbench) -> AssetChange:
    (change,) = plan([bench.folder / "spec.yaml"], store=bench.store).changes
    return change


def read(bench: Workbench, name: str = "0/b1") -> Any:
    array: Any = geobatch.open_store(bench.store).open("a")[name]
    return array[...]


def test_applied_twice_nothing_is_done(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    assert planned(bench).op is Op.KEEP
    assert bench.apply_spec().commit is None
    os.utime(tmp_path / "cog.tif")
    assert planned(bench).op is Op.KEEP


def test_a_cog_that_changed_is_never_read(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    before = record(bench, "a").image.tilesets[0].sources[0]
    assert before.pin is not None
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    array[:300, :300]  # one tile is known, and the file is open
    write_cog(tmp_path / "cog.tif", [values()])
    message = f"Failed to load the GeoTIFF at `cog.tif#{before.digest}`"
    for rows in (slice(0, 300), slice(400, 700)):
        with pytest.raises(SourceError) as caught:
            array[rows]
        assert caught.value.message == message
    with pytest.raises(SourceError, match="Failed to load the GeoTIFF"):
        read(bench)
    change = planned(bench)
    assert change.op is Op.UPDATE
    assert [because.reason for because in change.because] == [Reason.SOURCE_CHANGED]
    assert change.tiles.compute == 0
    assert status(bench.store, [tmp_path / "spec.yaml"]).changed_sources == ("cog.tif",)
    shown = run("--store", bench.store, "status", tmp_path / "spec.yaml")
    assert "cog.tif" in shown.out
    bench.apply_spec()
    assert_same(read(bench), overview(tmp_path / "cog.tif", 0), "pinned anew")


@pytest.mark.parametrize("how", ["same size and time", "gone", "cut", "touched", "copied back"])
def test_what_a_reader_finds(tmp_path: Path, how: str) -> None:
    bench = bench_of(tmp_path)
    path = tmp_path / "cog.tif"
    expected = overview(path, 0)
    data, stat = path.read_bytes(), path.stat()
    if how == "same size and time":
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(data[:-100])
    elif how == "touched":
        os.utime(path)
    else:
        path.unlink()
        path.write_bytes(data)
    if how in ("touched", "copied back"):
        assert_same(read(bench), expected, how)
        shutil.rmtree(bench.store / "cache")
        assert_same(read(bench), expected, "without a cache")
        return
    with pytest.raises(SourceError) as caught:
        read(bench)
    assert caught.value.message.startswith("Failed to load the GeoTIFF at `cog.tif#")


def test_store_and_cogs_can_be_moved_together(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    bench = bench_of(tmp_path / "old")
    expected = overview(tmp_path / "old/cog.tif", 0)
    (tmp_path / "old").rename(tmp_path / "new")
    moved = Workbench(folder=tmp_path / "new")
    assert_same(read(moved), expected, "moved")
    assert planned(moved).op is Op.KEEP
    assert not bench.folder.exists()


def test_a_cog_that_was_moved_is_found_after_the_next_apply(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    root = bench.apply_spec().content_root
    (tmp_path / "there").mkdir()
    (tmp_path / "cog.tif").rename(tmp_path / "there/cog.tif")
    summary = bench.apply(external("a", "there/cog.tif"))
    assert summary.content_root == root, "where it lies, no reader can see"
    assert_same(read(bench), overview(tmp_path / "there/cog.tif", 0), "moved")


def test_a_property_is_a_property(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    bench.write_spec([external("a", "cog.tif", properties={"k": 1}, start_time="2025-01-01")])
    change = planned(bench)
    reasons = {because.reason for because in change.because}
    assert reasons == {Reason.PROPERTIES_CHANGED, Reason.TIME_CHANGED}
    bench.apply_spec()
    group = geobatch.open_store(bench.store).open("a")
    assert group.attrs["geobatch"]["properties"] == {"k": 1}  # type: ignore[index,call-overload]


def test_kinds_switch_and_the_plan_says_what_it_costs(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    outside = read(bench)
    bench.write_spec([image("a", "cog.tif", tile=256)])
    change = planned(bench)
    assert change.because[0].reason is Reason.KIND_CHANGED
    assert Reason.SOURCE_CHANGED not in {because.reason for because in change.because}
    assert change.tiles.compute == change.tiles.add == change.tiles.total > 12
    summary = bench.apply_spec()
    assert summary.tiles.written == change.tiles.total
    assert_same(read(bench), outside, "ingested")
    bench.write_spec([external("a", "cog.tif")])
    back = planned(bench)
    assert (back.tiles.compute, back.tiles.remove) == (0, change.tiles.total)
    text = run("--store", bench.store, "plan", tmp_path / "spec.yaml").out
    assert f"no tiles, {change.tiles.total} tiles removed" in text
    bench.apply_spec()
    assert_same(read(bench), outside, "external again")
    # Tiles that were made before are taken over, as after any other way back.
    assert bench.apply(image("a", "cog.tif", tile=256)).tiles.written == 0
    assert_same(read(bench), outside, "ingested again")


def test_what_has_no_effect_is_refused(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    for key, value in {
        "tiling": {"tile": 256}, "codec": "zstd", "grid": {"bounds": [0, 0, 1, 1]},
    }.items():  # fmt: skip
        with pytest.raises(SpecError, match=f"`{key}` has no effect on an external image"):
            bench.apply(external("a", "cog.tif", **{key: value}))
    document = external("a", "cog.tif")
    document["tilesets"][0]["sources"].append({"uris": ["cog.tif"]})
    with pytest.raises(SpecError, match="one per tileset"):
        bench.apply(document)
    with pytest.raises(SpecError, match="is a glob"):
        bench.apply(external("a", "*.tif"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "it is in strips (600 x 500)"),
        ({"tiled": True, "blockxsize": 256, "blockysize": 512}, "tiles of 256 x 512"),
        ({"tiled": True, "blockxsize": 128, "blockysize": 128}, "tiles of 128 x 128"),
    ],
)
def test_tiles_must_be_squares_of_some_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "no cog.tif", [values((500, 600), "float32")], layout=options)
    bench = Workbench(folder=tmp_path)
    with pytest.raises(PlanError) as caught:
        bench.apply(external("a", "no cog.tif"))
    assert words in caught.value.message
    assert caught.value.message.startswith(f"{tmp_path / 'spec.yaml'}:7: `a`: `no cog.tif`")
    assert (
        "gdal_translate 'no cog.tif' 'no cog_cog.tif' -of COG -co OVERVIEWS=IGNORE_EXISTING"
        " -co COMPRESS=ZSTD -co LEVEL=22 -co PREDICTOR=3 -co INTERLEAVE=BAND"
    ) in (caught.value.hint or "")
    assert not bench.store.exists()


def test_directories_must_be_at_the_beginning(tmp_path: Path) -> None:
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    path = write_tiff(tmp_path / "late.tif", [values()], layout=layout)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], rasterio.enums.Resampling.nearest)
    with pytest.raises(PlanError, match="at the beginning of the file"):
        Workbench(folder=tmp_path).apply(external("a", "late.tif"))


def test_what_should_be_is_a_warning(tmp_path: Path) -> None:
    write_cog(tmp_path / "small.tif", [values(), values()])
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512}
    plain = write_tiff(tmp_path / "plain.tif", [values()], layout=layout)
    with rasterio.open(plain, "r+") as file:
        file.build_overviews([3], rasterio.enums.Resampling.nearest)
    rasterio.shutil.copy(
        plain, tmp_path / "third.tif", driver="GTiff", COPY_SRC_OVERVIEWS="YES", **layout
    )
    bench = Workbench(folder=tmp_path)
    spec = bench.write_spec([external("a", "small.tif"), external("b", "third.tif")])
    done = run("--store", bench.store, "--json", "plan", spec)
    messages = [line["message"] for line in done.lines if line["type"] == "warning"]
    assert any("`small.tif`: it has tiles of 256" in message for message in messages)
    assert any("interleaves its bands by pixel" in message for message in messages)
    assert any("are not half of the one before: 334 x 234" in message for message in messages)
    assert len(messages) == 2  # one per file
    bench.apply_spec()
    group = geobatch.open_store(bench.store).open("b")
    assert_same(np.asarray(group["1/b1"]), overview(tmp_path / "third.tif", 1), "1/b1")


def test_a_collection_of_external_images(tmp_path: Path) -> None:
    for name in ("x1", "x2"):
        write_cog(tmp_path / f"{name}.tif", [values((300, 300))])
    document = {
        "kind": "image_collection",
        "id": "c",
        "for_each": {"files": "x?.tif"},
        "image": {"kind": "external_image", "id": "{stem}"},
    }
    bench = Workbench(folder=tmp_path)
    bench.apply(document)
    store = geobatch.open_store(bench.store)
    assert store.assets() == ("c/x1", "c/x2")
    assert record(bench, "c/x1").asset.is_external


def test_one_file_ingested_here_and_external_there(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", "cog.tif"), image("b", "cog.tif"))
    assert bench.apply_spec().commit is None
    bench.apply(image("b", "cog.tif"))
    text = yaml.safe_load((tmp_path / "spec.yaml").read_text())
    assert text["id"] == "b"
    assert bench.apply_spec().commit is None


def test_crs_and_place_may_be_declared(tmp_path: Path) -> None:
    write_cog(tmp_path / "cog.tif", [values()])
    document = external("a", "cog.tif")
    document["tilesets"][0]["crs"] = "EPSG:32634"
    bench = Workbench(folder=tmp_path)
    bench.apply(document)
    assert record(bench, "a").image.grids[0].geobox.crs.code == "EPSG:32634" != CRS


def test_a_local_generation(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    digest = record(bench, "a").image.tilesets[0].sources[0].digest
    bench.apply(external("a", f"cog.tif#{digest}"))
    bench.apply(external("a", "cog.tif#1712345678"))  # of the bucket that it was copied from
    (tmp_path / "cog.tif").unlink()
    with pytest.raises(SourceError) as caught:
        read(bench)
    assert caught.value.message == "Failed to load the GeoTIFF at `cog.tif#1712345678`"
    write_cog(tmp_path / "cog.tif", [values()])
    with pytest.raises(SourceError) as caught:
        bench.apply(external("a", f"cog.tif#{digest}"))
    assert caught.value.message.endswith(f"`a`: Failed to load the GeoTIFF at `cog.tif#{digest}`")


def test_explanations_know_that_no_pixel_is_stored(tmp_path: Path) -> None:
    bench = bench_of(tmp_path)
    write_cog(tmp_path / "cog.tif", [values()])
    bench.apply_spec()
    bench.apply(external("a", "cog.tif", memo="a note"))
    place: list[str | Path] = ["--store", bench.store]
    text = run(*place, "why", "a", "--tile", "0/0/0", tmp_path / "spec.yaml").out
    assert "none stored: read from the COG" in text
    assert "since    commit 2" in text
    assert "cog.tif changed (pinned to" in text
    text = run(*place, "diff", "1", "2", "--stats").out
    assert "cog.tif changed (pinned to" in text
    assert "pixels changed" not in text
    assert "squares of 256 x 256 are read from the COGs" in run(*place, "info", "a").out


def test_a_weak_cog_is_warned_about_once_with_a_command_for_where_the_user_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my specs"
    folder.mkdir()
    write_cog(folder / "a cog.tif", [values(), values()])  # blocks of 256, bands by pixel
    bench = Workbench(folder=folder)
    path = bench.write_spec([external("a", "a cog.tif")])
    monkeypatch.chdir(tmp_path)
    (found,) = plan_specs(Request.of([path], store=bench.store)).warnings
    assert found.rule == "cog"
    assert "tiles of 256" in found.message
    assert "by pixel" in found.message
    words = shlex.split((found.hint or "").partition("`")[2].rstrip("`"))
    assert words[0] == "gdal_translate"
    assert Path(words[1]).samefile(folder / "a cog.tif")
    assert words[2] == "a cog_cog.tif"
    (folder / "geobatch.yaml").write_text("silence: [cog]\n")
    assert not plan_specs(Request.of([path], store=bench.store)).warnings
