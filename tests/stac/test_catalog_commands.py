"""The catalog from the command line: switched on, updated, copied, rolled back, exported, read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import odc.stac
import pystac
import pytest
import xarray as xr
from cogs import external, values, write_cog
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff

from geobatch.exports.export import export
from geobatch.model.digest import digest_bytes

PIXELS = np.arange(4096, dtype=np.int16).reshape(64, 64)
COG = values((600, 600))
TIME = "2025-01-01T00:00:00Z"


def ok(*argv: str | Path) -> Done:
    done = geobatch(*argv)
    assert done.code == 0, done.err
    return done


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    write_tiff(tmp_path / "a.tif", [PIXELS], nodata=7)
    write_cog(tmp_path / "cog.tif", [COG])
    return Workbench(folder=tmp_path)


def publish(bench: Workbench, *ids: str) -> None:
    spec = bench.write_spec([
        *(image(one, "a.tif", start_time=TIME) for one in ids),
        external("x/cog", "cog.tif") | {"start_time": TIME},
    ])  # fmt: skip
    ok("--store", bench.store, "apply", spec, "--init", "--prune", "--max-delete", "9", "-y")


def items(catalog: Path) -> dict[str, pystac.Item]:
    root = pystac.Catalog.from_file(str(catalog))
    return {item.id: item for item in root.get_items(recursive=True)}


def test_a_store_has_none_unless_asked(bench: Workbench) -> None:
    publish(bench, "s/a")
    assert not (bench.store / "stac").exists()
    done = ok("--store", bench.store, "init", "--views", "stac=files")
    assert "made the STAC catalog" in done.out
    assert sorted(items(bench.store / "stac/catalog.json")) == ["s.a", "x.cog"]
    again = ok("--store", bench.store, "init", "--views", "stac=files")
    assert "catalog" not in again.out
    publish(bench, "s/b")
    assert sorted(items(bench.store / "stac/catalog.json")) == ["s.b", "x.cog"]
    ok("--store", bench.store, "rollback", "HEAD~1", "-y")
    assert sorted(items(bench.store / "stac/catalog.json")) == ["s.a", "x.cog"]
    ok("--store", bench.store, "gc", "--apply")
    ok("--store", bench.store, "fsck")
    (bench.store / "stac/s/a.item.json").write_text("{}")
    assert geobatch("--store", bench.store, "fsck").code == 6
    ok("--store", bench.store, "fsck", "--repair")
    ok("--store", bench.store, "fsck")
    assert sorted(items(bench.store / "stac/catalog.json")) == ["s.a", "x.cog"]
    assert "removed the STAC" in ok("--store", bench.store, "init", "--views", "stac=none").out
    assert not (bench.store / "stac").exists()


@pytest.mark.parametrize("text", ["stac", "stac=", "stac=yes", "stac=files,stac=none", "zarr=copy"])
def test_a_wrong_view_is_refused(bench: Workbench, text: str) -> None:
    done = geobatch("--store", bench.store, "init", "--views", text)
    assert done.code == 64
    assert "--views" in done.err
    assert not bench.store.exists()


def test_a_copy_has_what_its_source_has(bench: Workbench) -> None:
    ok("--store", bench.store, "init", "--views", "stac=files")
    publish(bench, "s/a")
    for name, views, has in (
        ("same", [], True), ("none", ["--views", "stac=none"], False),
        ("files", ["--views", "stac=files"], True),
    ):  # fmt: skip
        target = bench.folder / name
        ok("copy", bench.store, target, *views)
        assert (target / "stac").exists() == has
        if has:
            found = (target / "stac/s/a.item.json").read_bytes()
            assert found == (bench.store / "stac/s/a.item.json").read_bytes()
            ok("--store", target, "fsck")


def test_an_exported_catalog_names_the_files_of_the_store(bench: Workbench) -> None:
    publish(bench, "s/a", "s/b", "t")
    target = bench.folder / "out/catalog"
    done = ok("--store", bench.store, "export", "[sx]/*", target, "--format", "stac", "--json")
    record = done.record("export")
    assert (record["items"], record["collections"]) == (3, 2)
    found = items(target / "catalog.json")
    assert sorted(found) == ["s.a", "s.b", "x.cog"]
    zarr = found["s.a"].assets["zarr"].get_absolute_href()
    with xr.open_zarr(f"{zarr}/0") as opened:
        assert np.nanmax(opened["b1"].values) == PIXELS.max()
    assert sorted(one.name for one in (target / "s").iterdir()) == [
        "a.item.json", "b.item.json", "collection.json", "items.parquet",
    ]  # fmt: skip
    # Only a catalog is replaced, and only if asked for.
    command = ["--store", str(bench.store), "export", "t", str(target), "--format", "stac"]
    assert geobatch(*command).code == 1
    ok(*command, "--overwrite")
    assert sorted(items(target / "catalog.json")) == ["t"]
    assert sorted(one.name for one in target.parent.iterdir()) == ["catalog"]
    (bench.folder / "else").mkdir()
    (bench.folder / "else/notes").write_text("mine")
    command[4] = str(bench.folder / "else")
    assert geobatch(*command, "--overwrite").code == 1
    assert (bench.folder / "else/notes").read_text() == "mine"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nothing/*", "out"], "no asset matches"),
        (["s/*@1", "out"], "is not the newest commit"),
        (["s/*", "out", "--level", "1"], "--level"),
        (["s/*", "out", "--bands", "b1"], "--bands"),
        (["s/*"], "DEST is missing"),
        (["s/*", "store/stac", "--overwrite"], "is inside the store"),
        (["s/*", "store/zarr/s/new"], "is inside the store"),
        (["s/*", "store"], "is inside the store"),
    ],
)
def test_what_cannot_be_exported_is_said(bench: Workbench, argv: list[str], words: str) -> None:
    publish(bench, "s/a")
    publish(bench, "s/a", "s/b")
    argv = [str(bench.folder / one) if one.startswith(("out", "store")) else one for one in argv]
    done = geobatch("--store", bench.store, "export", *argv, "--format", "stac")
    assert done.code
    assert words in done.err
    assert not (bench.folder / "out").exists()
    assert geobatch("--store", bench.store, "fsck").code == 0


def test_python_says_how_it_gives_a_catalog(bench: Workbench) -> None:
    with pytest.raises(ValueError, match="--format stac` writes a catalog"):
        export("s/a", bench.folder / "out", format="stac", store=bench.store)  # type: ignore[call-overload]


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
@pytest.mark.filterwarnings("ignore:The 'shapely.ops:DeprecationWarning")
def test_odc_stac_loads_a_cog(bench: Workbench) -> None:
    ok("--store", bench.store, "init", "--views", "stac=files")
    publish(bench, "s/a")
    item = items(bench.store / "stac/catalog.json")["x.cog"]
    (asset,) = item.assets.values()
    href = asset.get_absolute_href()
    assert href is not None
    data = Path(href).read_bytes()
    assert asset.extra_fields["file:checksum"] == "1e20" + digest_bytes(data)
    loaded = odc.stac.load([item], chunks=None)
    (name,) = loaded.data_vars
    assert np.array_equal(loaded[name].values[0], COG)


def test_without_pyarrow_nothing_is_published(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ok("--store", bench.store, "init", "--views", "stac=files")
    publish(bench, "s/a")
    before = json.loads((bench.store / "stac/catalog.json").read_bytes())
    monkeypatch.setattr("geobatch.stac.parquet.find_spec", lambda _: None)
    spec = bench.write_spec([image("s/b", "a.tif")])
    done = geobatch("--store", bench.store, "apply", spec)
    assert done.code
    assert "pyarrow" in done.err
    assert "nothing was published" in done.err
    assert json.loads((bench.store / "stac/catalog.json").read_bytes()) == before
