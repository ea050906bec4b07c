"""Partner files of a collection that may be absent: what is made without them, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from shell import geobatch
from workbench import Workbench, write_tiff

PIXELS = np.arange(1, 65, dtype=np.uint8).reshape(8, 8)
QUALITY = np.full((8, 8), 7, np.uint8)
MASK = np.where(np.arange(8)[:, None] < 4, np.uint8(0), np.uint8(255)).repeat(8, axis=1)


def rule(**image: Any) -> dict[str, Any]:
    tilesets = [
        {"id": "main", "sources": [{"uris": ["{file}"]}]},
        {"id": "mask", "optional": True, "sources": [{"uris": ["masks/{stem}.tif"]}]},
        {"id": "qa", "optional": True, "sources": [{"uris": ["qa/{stem}.tif"]}]},
    ]
    made = {
        "id": "{stem}",
        "tilesets": tilesets,
        "bands": [
            {"id": "QA", "tileset_id": "qa", "pyramiding_policy": "SAMPLE"},
            {"id": "B", "tileset_id": "main"},
        ],
        "mask_bands": [{"tileset_id": "mask", "band_ids": ["B"]}],
    }
    return {
        "kind": "image_collection",
        "id": "c",
        "for_each": {"files": "scenes/*.tif"},
        "image": made | image,
    }


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    for folder in ("scenes", "masks", "qa"):
        (tmp_path / folder).mkdir()
    for name in ("x", "y"):
        write_tiff(tmp_path / "scenes" / f"{name}.tif", [PIXELS])
    write_tiff(tmp_path / "masks" / "x.tif", [MASK])
    write_tiff(tmp_path / "qa" / "x.tif", [QUALITY])
    bench = Workbench(folder=tmp_path)
    write(bench, rule())
    monkeypatch.chdir(tmp_path)
    return bench


def write(bench: Workbench, document: dict[str, Any]) -> None:
    (bench.folder / "spec.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def changed() -> dict[str, list[str]]:
    """Return what the next apply does to which asset."""
    document = geobatch("plan", "spec.yaml", "--json").record("plan")
    return {change["id"]: change["actions"] for change in document["asset_changes"]}


def test_an_image_is_made_without_what_is_absent(bench: Workbench) -> None:
    done = geobatch("apply", "spec.yaml")
    assert done.code == 0, done.err
    assert bench.names("c/x/0") == {"B", "QA"}
    assert bench.names("c/y/0") == {"B"}
    assert bench.has_mask("c/x/0/B")
    assert not bench.has_mask("c/y/0/B")
    np.testing.assert_array_equal(bench.masks("c/x/0/B"), MASK)
    np.testing.assert_array_equal(bench.array("c/x/0/B"), np.where(MASK == 0, 0, PIXELS))
    np.testing.assert_array_equal(bench.array("c/x/0/QA"), QUALITY)
    np.testing.assert_array_equal(bench.array("c/y/0/B"), PIXELS)
    for name in ("mask", "qa"):
        warning = f"1 of 2 images are made without the optional tileset `{name}`"
        assert done.err.count(warning) == 1
        assert warning in geobatch("validate", "spec.yaml").err
    assert done.err.count("`c/y`") == 2
    assert changed() == {}


def test_a_partner_that_comes_or_goes_is_a_change(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    before = geobatch("show", "c/y", "--json").record("asset")
    write_tiff(bench.folder / "masks" / "y.tif", [MASK])
    write_tiff(bench.folder / "qa" / "y.tif", [QUALITY])
    assert changed() == {"c/y": ["update"]}
    assert "optional tileset" not in geobatch("plan", "spec.yaml").err
    assert geobatch("apply", "spec.yaml").code == 0
    np.testing.assert_array_equal(bench.masks("c/y/0/B"), MASK)
    np.testing.assert_array_equal(bench.array("c/y/0/QA"), QUALITY)
    for folder in ("masks", "qa"):
        (bench.folder / folder / "y.tif").unlink()
    assert changed() == {"c/y": ["update"]}
    assert geobatch("apply", "spec.yaml").code == 0
    assert bench.names("c/y/0") == {"B"}
    assert bench.has_mask("c/x/0/B")
    assert not bench.has_mask("c/y/0/B")
    again = geobatch("show", "c/y", "--json").record("asset")
    assert again == before


def test_places_are_those_of_what_is_left(bench: Workbench) -> None:
    """A warning about a band of an image without the tileset before it names the band's line."""
    document = rule()
    document["image"]["tilesets"] = document["image"]["tilesets"][::-1]
    write(bench, document)
    (bench.folder / "scenes" / "y.tif").write_bytes(b"no raster")
    line = next(
        n
        for n, text in enumerate((bench.folder / "spec.yaml").read_text().splitlines(), 1)
        if "{file}" in text
    )
    done = geobatch("plan", "spec.yaml", "--keep-going", "--json")
    assert done.record("failure")["id"] == "c/y"
    assert done.record("failure")["line"] in {1, line}


def test_a_link_that_leads_nowhere_is_an_error(bench: Workbench) -> None:
    (bench.folder / "masks" / "y.tif").symlink_to("nowhere.tif")
    done = geobatch("plan", "spec.yaml")
    assert done.code == 7
    assert "masks/y.tif" in done.err


MAIN = {"id": "main", "sources": [{"uris": ["{file}"]}]}
EXTRA = {"id": "qa", "optional": True, "sources": [{"uris": ["qa/{stem}.tif"]}]}


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ({"tilesets": [MAIN | {"optional": True}], "bands": [{"id": "B"}]}, "every tileset"),
        ({"tilesets": [MAIN, EXTRA], "bands": [{"id": "B", "tileset_id": "qa"}]}, "every band"),
        ({"array_bands": {"all": ["B", "QA"]}}, "array band `all`"),
        ({"footprint": {"points": [{"x": 0, "y": 0}, {"x": 8, "y": 0}, {"x": 8, "y": 8},
                                   {"x": 0, "y": 0}]}}, "footprint"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_refused(bench: Workbench, image: dict[str, Any], words: str) -> None:
    document = rule(**image)
    if "tilesets" in image:
        del document["image"]["mask_bands"]
    write(bench, document)
    done = geobatch("validate", "spec.yaml")
    assert done.code == 1
    assert words in done.err
    assert "optional-files" in done.err


def test_bands_that_are_not_named_and_images_of_no_collection(bench: Workbench) -> None:
    document = rule()
    del document["image"]["bands"], document["image"]["mask_bands"]
    write(bench, document)
    assert "declare `bands`" in geobatch("validate", "spec.yaml").err
    write(bench, {"id": "a", "tilesets": [EXTRA | {"sources": [{"uris": ["qa/x.tif"]}]}]})
    done = geobatch("validate", "spec.yaml")
    assert done.code == 1
    assert "a collection" in done.err


HINT = "if not every image has such a file, add `optional: true` to the tileset"


@pytest.mark.parametrize("uri", ["masks/{stem}.tif", "masks/{stem}_*.tif"])
def test_a_missing_partner_says_how_to_go_without_it(bench: Workbench, uri: str) -> None:
    tilesets: list[dict[str, Any]] = [
        {"id": "main", "sources": [{"uris": ["{file}"]}]},
        {"id": "mask", "sources": [{"uris": [uri]}]},
    ]
    bands = [{"id": "B", "tileset_id": "main"}]
    write(bench, rule(tilesets=tilesets, bands=bands, mask_bands={"tileset_id": "mask"}))
    for argv in (["validate"], ["plan", "--init"], ["apply", "--init"]):
        command, *more = argv
        done = geobatch(command, "spec.yaml", *more)
        assert done.code != 0
        assert "missing-file" in done.err
        assert HINT in done.err
    # The hint works.
    tilesets[1]["optional"] = True
    write(bench, rule(tilesets=tilesets, bands=bands, mask_bands={"tileset_id": "mask"}))
    assert geobatch("validate", "spec.yaml").code == 0


def test_other_missing_files_are_not_to_be_optional(bench: Workbench) -> None:
    """A rule's own files, the only tileset, and an image that no rule makes."""
    alone = {"tilesets": [{"id": "main", "sources": [{"uris": ["no/{stem}.tif"]}]}]}
    only = rule() | {"image": {"id": "{stem}", **alone}}
    nothing = rule() | {"for_each": {"files": "no/*.tif"}}
    single = {
        "id": "one",
        "tilesets": [
            {"id": "main", "sources": [{"uris": ["scenes/x.tif"]}]},
            {"id": "mask", "sources": [{"uris": ["masks/none.tif"]}]},
        ],
        "bands": [{"id": "B", "tileset_id": "main"}],
        "mask_bands": {"tileset_id": "mask"},
    }
    for document in (only, nothing, single):
        write(bench, document)
        done = geobatch("validate", "spec.yaml")
        assert done.code != 0
        assert "optional" not in done.err
