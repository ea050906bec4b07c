"""Colours and compressions of COGs, and many assets at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
from export_workbench import export
from rasterio.enums import ColorInterp
from shell import geobatch
from workbench import Workbench, image, write_tiff


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("formats"))
    rng = np.random.default_rng(3)
    layers = [rng.integers(0, 255, (600, 520)).astype(np.uint8) for _ in range(4)]
    write_tiff(bench.folder / "a.tif", layers)

    def bands(*ids: str) -> list[dict[str, Any]]:
        return [
            {"id": one, "tileset_id": "t", "tileset_band_index": number}
            for number, one in enumerate(ids)
        ]

    bench.apply(
        image("c/rgb", "a.tif", bands=bands("red", "green", "blue", "nir")),
        image("c/deep/bgr", "a.tif", bands=bands("B", "G", "R")),
        image("c/two", "a.tif", bands=bands("red", "green")),
        image("d/one", "a.tif", bands=bands("v")),
    )
    return bench


@pytest.mark.parametrize(
    ("argv", "colours"),
    [
        (["c/rgb"], "red green blue undefined"),
        (["c/deep/bgr"], "blue green red"),
        (["c/rgb", "--bands", "red,green,blue"], "red green blue"),
        (["c/two"], "gray gray"),
        (["d/one"], "gray"),
    ],
)
def test_red_green_and_blue_are_said(bench: Workbench, argv: list[str], colours: str) -> None:
    path = bench.folder / "colours" / argv[0].replace("/", "-")
    made = export(bench.store, argv[0], path, "--format", "cog", "--overwrite", *argv[1:])
    with rasterio.open(made.record("export")["files"][0]) as file:
        found = [colour.name for colour in file.colorinterp]
        # GDAL calls one gray band and further ones without a colour so.
        assert found[0] == colours.split(maxsplit=1)[0]
        assert [one for one in found if one in ("red", "green", "blue")] == [
            one for one in colours.split() if one in ("red", "green", "blue")
        ]
        assert ColorInterp.alpha not in file.colorinterp


@pytest.mark.parametrize(
    ("method", "said"), [("zstd", "ZSTD"), ("deflate", "DEFLATE"), ("lzw", "LZW"), ("none", None)]
)
def test_each_compression_keeps_every_bit(bench: Workbench, method: str, said: str | None) -> None:
    path = bench.folder / "compressed" / method
    made = export(bench.store, "c/rgb", path, "--format", "cog", "--compress", method)
    name = made.record("export")["files"][0]
    for level in (0, 1):
        options = {"overview_level": level - 1} if level else {}
        with rasterio.open(name, **options) as file:
            assert file.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION") == said
            for number, band in enumerate(("red", "green", "blue", "nir"), start=1):
                np.testing.assert_array_equal(
                    file.read(number), bench.array(f"c/rgb/{level}/{band}")
                )


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--format", "cog", "--compress", "jpeg"], "`zstd`, `deflate`, `lzw`, `none`"),
        (["--format", "tfrecord", "--compress", "lzw"], "option of `--format cog`"),
        (["--format", "manifest", "--compress", "lzw"], "no effect"),
        (["--format", "csv"], "is for tables"),
        (["--format", "parquet"], "is for tables"),
    ],
)
def test_what_has_no_effect_is_refused(bench: Workbench, argv: list[str], words: str) -> None:
    out = bench.folder / "refused" / "x"
    done = geobatch("--store", bench.store, "export", "c/rgb", str(out), *argv)
    assert done.code == 64
    assert words in done.err
    assert not out.parent.exists()


def test_a_pattern_exports_many(bench: Workbench) -> None:
    folder = bench.folder / "many"
    done = export(bench.store, "c/*", folder, "--format", "cog")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.tif")) == [
        "c/deep/bgr.tif", "c/rgb.tif", "c/two.tif",
    ]  # fmt: skip
    exported = [line["asset"] for line in done.lines if line["type"] == "export"]
    assert exported == ["c/deep/bgr", "c/rgb", "c/two"]
    with rasterio.open(folder / "c" / "two.tif") as file:
        np.testing.assert_array_equal(file.read(2), bench.array("c/two/0/green"))
    again = geobatch("--store", bench.store, "export", "c/*", str(folder), "--format", "cog")
    assert again.code != 0
    assert "exists already" in again.err
    none = geobatch("--store", bench.store, "export", "x/*", str(folder), "--format", "cog")
    assert none.code == 1
    assert "no asset matches `x/*`" in none.err
