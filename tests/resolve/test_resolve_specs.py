"""Specs resolved against real files: defaults, overrides, and errors with their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import CRS, PIXEL, X0, Y0, Document, Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.errors import PlanError, Problem, SourceError, SpecError
from geobatch.model.assets.asset import AnyImage, MaskSource
from geobatch.model.plans.plan import Reason
from geobatch.planner import because_of
from geobatch.resolve import resolve
from geobatch.sources.geotiff import identify


def pixels(dtype: str = "uint8", shape: tuple[int, int] = (40, 60), value: int = 1) -> Any:
    return np.full(shape, value, dtype=dtype)


def resolved(folder: Path, document: Document, workers: int = 1) -> AnyImage:
    spec = Workbench(folder=folder).write_spec([document])
    return resolve(validate([spec]), workers=workers).images[0]


def problem_of(folder: Path, document: Document) -> tuple[Problem, str]:
    """Return the one problem of a spec, and the line of the file that it points at."""
    with pytest.raises(SpecError) as caught:
        resolved(folder, document)
    (problem,) = caught.value.problems
    text = (folder / "spec.yaml").read_text().splitlines()[problem.line - 1]
    assert problem.column >= 1
    return problem, text[problem.column - 1 :]


# --- bands by default ---------------------------------------------------------------------------


def test_default_bands_leave_alpha_and_masks_out(tmp_path: Path) -> None:
    write_tiff(tmp_path / "rgba.tif", [pixels()] * 3, has_alpha=True)
    write_tiff(tmp_path / "one.tif", [pixels()] * 2)
    write_tiff(tmp_path / "mask.tif", [pixels()] * 2)
    asset = resolved(
        tmp_path,
        image(
            "a",
            "rgba.tif",
            more_tilesets=[
                {"id": "one", "sources": [{"uris": ["one.tif"]}]},
                {"id": "m", "sources": [{"uris": ["mask.tif"]}]},
            ],
            mask_bands=[{"tileset_id": "m", "band_ids": ["b3"]}],
        ),
    )
    assert [(b.id, b.tileset, b.index) for b in asset.bands] == [
        ("b1", "t", 0), ("b2", "t", 1), ("b3", "one", 0), ("b4", "one", 1), ("b5", "m", 0),
    ]  # fmt: skip
    sources = [band.masking.source for band in asset.bands]
    assert sources == [
        MaskSource.FILE, MaskSource.FILE, MaskSource.BAND, MaskSource.NONE, MaskSource.NONE,
    ]  # fmt: skip


def test_array_bands_name_bands_of_one_grid(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()] * 2)
    write_tiff(tmp_path / "b.tif", [pixels()[:20]])
    other = [{"id": "o", "sources": [{"uris": ["b.tif"]}]}]
    series = {"series": ["b2", "b1"]}
    asset = resolved(tmp_path, image("a", "a.tif", more_tilesets=other, array_bands=series))
    assert asset.array_bands == (("series", ("b2", "b1")),)
    for members, rule in ((["b1", "b3"], "array-grid"), (["b1", "b9"], "unknown-band")):
        series = {"series": members}
        document = image("a", "a.tif", more_tilesets=other, array_bands=series)
        problem, text = problem_of(tmp_path, document)
        assert problem.rule == rule
        assert text.startswith(members[1])
    problem, _ = problem_of(tmp_path, image("a", "a.tif", array_bands={"b2": ["b1"]}))
    assert problem.rule == "duplicate-band"


def test_only_masks_make_no_band(tmp_path: Path) -> None:
    write_tiff(tmp_path / "mask.tif", [pixels()])
    problem, _ = problem_of(tmp_path, image("a", "mask.tif", mask_bands=[{"tileset_id": "t"}]))
    assert problem.rule == "no-bands"


def test_an_unknown_default_band_is_pointed_at(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()] * 2)
    mask = {"tileset_id": "t", "band_ids": ["b7"]}
    problem, text = problem_of(tmp_path, image("a", "a.tif", mask_bands=[mask]))
    assert problem.rule == "unknown-band"
    assert text.startswith("b7")
    ring = [{"x": x, "y": y} for x, y in ((0, 0), (9, 0), (9, 9), (0, 0))]
    footprint = {"points": ring, "band_id": "b7"}
    problem, text = problem_of(tmp_path, image("a", "a.tif", footprint=footprint))
    assert problem.rule == "unknown-band"
    assert text.startswith("b7")


# --- bands as declared --------------------------------------------------------------------------


def band(index: int = 0, **more: Any) -> Document:
    return {"id": f"band{index}", "tileset_id": "t", "tileset_band_index": index, **more}


def test_a_band_index_out_of_range_is_pointed_at(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()] * 2)
    problem, text = problem_of(tmp_path, image("a", "a.tif", bands=[band(0), band(2)]))
    assert problem.rule == "band-index"
    assert text.startswith("2")
    assert "2 bands" in problem.message
    assert problem.hint is not None
    assert "0 to 1" in problem.hint


def test_missing_data_of_the_band_goes_before_the_assets(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()] * 3, nodata=5)
    asset = resolved(
        tmp_path,
        image(
            "a",
            "a.tif",
            missing_data={"values": [1]},
            bands=[
                band(0),
                band(1, missing_data={"values": [2, 3]}),
                band(2, missing_data={"values": []}),
            ],
        ),
    )
    assert [b.masking.values for b in asset.bands] == [(1,), (2, 3), ()]
    assert [b.fill for b in asset.bands] == [1, 2, 0]
    assert [b.mask_from_level for b in asset.bands] == [1, 1, None]


@pytest.mark.parametrize("value", [256, -1, 1.5])
@pytest.mark.parametrize("is_own", [False, True])
def test_missing_data_that_no_pixel_can_equal_is_warned_about(
    tmp_path: Path, value: float, *, is_own: bool
) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    missing: Document = {"missing_data": {"values": [0, value]}}
    document = (
        image("a", "a.tif", bands=[band(0, **missing)])
        if is_own
        else image("a", "a.tif", bands=[band(0)], **missing)
    )
    spec = Workbench(folder=tmp_path).write_spec([document])
    found = resolve(validate([spec]))
    assert found.images[0].bands[0].masking.values == (0,)
    (warning,) = found.warnings
    assert warning.rule == "nodata-outside-type"
    line = spec.read_text().splitlines()[warning.line - 1]
    assert line[warning.column - 1 :].startswith(str(value))
    assert "UINT8" in warning.message


def test_a_wider_data_type_makes_room_for_a_missing_value(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    document = image("a", "a.tif", tileset={"data_type": "INT16"}, missing_data={"values": [-9999]})
    asset = resolved(tmp_path, document)
    assert (asset.bands[0].dtype, asset.bands[0].fill) == ("int16", -9999)
    assert asset.tilesets[0].dtypes == ("uint8",)


def test_a_narrower_data_type_is_refused_at_the_spec(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels("int16")])
    with pytest.raises(PlanError, match=r"spec\.yaml:1: `a`: .*UINT8.*INT16.*a\.tif"):
        resolved(tmp_path, image("a", "a.tif", tileset={"data_type": "UINT8"}))


# --- what the spec says in place of the file ----------------------------------------------------


def test_crs_and_transform_override_the_file(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    tileset = {
        "crs": "EPSG:4326",
        "sources": [
            {
                "uris": ["a.tif"],
                "affine_transform": {"scale_x": 0.5, "translate_x": 7, "scale_y": -0.5,
                                     "translate_y": 9, "shear_x": 0, "shear_y": 0},
                "dimensions": {"width": 60, "height": 40},
            }
        ],
    }  # fmt: skip
    geobox = resolved(tmp_path, image("a", "a.tif", tileset=tileset)).grids[0].geobox
    assert geobox.crs.code == "EPSG:4326"
    assert geobox.transform == (0.5, 0.0, 7.0, 0.0, -0.5, 9.0)
    assert geobox.shape == (40, 60)


def test_a_text_that_is_no_crs_is_pointed_at(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    problem, text = problem_of(tmp_path, image("a", "a.tif", tileset={"crs": "EPSG:99999999"}))
    assert text.startswith("EPSG:99999999")
    assert "EPSG:99999999" in problem.message


@pytest.mark.parametrize("is_mask", [False, True])
def test_other_dimensions_than_the_files_are_pointed_at(tmp_path: Path, *, is_mask: bool) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    write_tiff(tmp_path / "m.tif", [pixels()])
    wrong = {"dimensions": {"width": 60, "height": 41}}
    tileset = {} if is_mask else {"sources": [{"uris": ["a.tif"], **wrong}]}
    mask = {"id": "m", "sources": [{"uris": ["m.tif"], **(wrong if is_mask else {})}]}
    document = image(
        "a",
        "a.tif",
        tileset=tileset,
        more_tilesets=[mask],
        mask_bands=[{"tileset_id": "m"}],
        bands=[band(0)],
    )
    problem, _ = problem_of(tmp_path, document)
    assert problem.rule == "dimensions"
    assert "60 x 41" in problem.message
    assert "60 x 40" in problem.message


def test_a_file_without_a_crs_is_named(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()], crs=None)
    with pytest.raises(SourceError, match=r"spec\.yaml:1: `a`: `a\.tif`.*CRS") as caught:
        resolved(tmp_path, image("a", "a.tif"))
    assert caught.value.hint is not None
    assert "crs" in caught.value.hint


# --- masks --------------------------------------------------------------------------------------


def masked(folder: Path, **mask: Any) -> Document:
    write_tiff(folder / "a.tif", [pixels()])
    write_tiff(folder / "m.tif", [mask.pop("pixels", pixels())], **mask)
    return image(
        "a",
        "a.tif",
        bands=[band(0)],
        more_tilesets=[{"id": "m", "sources": [{"uris": ["m.tif"]}]}],
        mask_bands=[{"tileset_id": "m"}],
    )


def test_a_mask_is_placed_on_the_canvas_of_its_band(tmp_path: Path) -> None:
    document = masked(tmp_path, row=-5, col=7, pixels=pixels(shape=(90, 100)))
    asset = resolved(tmp_path, document)
    source = asset.tileset("m").sources[0]
    assert (source.row, source.col) == (-5, 7)
    assert asset.grids[0].geobox.shape == (40, 60)
    assert asset.bands[0].masking.source is MaskSource.BAND


def test_a_mask_of_another_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"m\.tif.*UINT16.*UINT8"):
        resolved(tmp_path, masked(tmp_path, pixels=pixels("uint16")))


def test_a_mask_on_another_grid_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="EPSG:32634") as caught:
        resolved(tmp_path, masked(tmp_path, crs="EPSG:32634"))
    assert "a.tif" in caught.value.message
    assert "m.tif" in caught.value.message


def test_a_mask_for_bands_of_two_grids_is_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "b.tif", [pixels(shape=(20, 20))])
    document = masked(tmp_path)
    document["tilesets"].append({"id": "u", "sources": [{"uris": ["b.tif"]}]})
    document["bands"].append({"id": "other", "tileset_id": "u", "tileset_band_index": 0})
    with pytest.raises(PlanError, match="two grids"):
        resolved(tmp_path, document)


# --- grids, footprints, sources -----------------------------------------------------------------


def test_a_footprint_belongs_to_the_grid_of_its_band(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    write_tiff(tmp_path / "b.tif", [pixels(shape=(20, 20))])
    ring = [{"x": x, "y": y} for x, y in ((0, 0), (9, 0), (9, 9), (0, 9), (0, 0))]
    bands = [band(0), {"id": "other", "tileset_id": "u", "tileset_band_index": 0}]
    more = [{"id": "u", "sources": [{"uris": ["b.tif"]}]}]
    for band_id, cut in (("", "band0"), ("band0", "band0"), ("other", "other")):
        asset = resolved(
            tmp_path,
            image(
                "a", "a.tif", bands=bands, more_tilesets=more,
                footprint={"points": ring, "band_id": band_id},
            ),
        )  # fmt: skip
        assert asset.footprint is not None
        assert asset.footprint.grid == asset.band(cut).grid
        assert [b.id for b in asset.bands if b.can_be_masked] == [cut]


def test_grids_are_named_by_pixel_size_and_shared_by_equal_planes(tmp_path: Path) -> None:
    for name, shape in (("a", (40, 60)), ("b", (40, 60)), ("c", (50, 60))):
        write_tiff(tmp_path / f"{name}.tif", [pixels(shape=shape)])
    more = [{"id": name, "sources": [{"uris": [f"{name}.tif"]}]} for name in ("b", "c")]
    asset = resolved(tmp_path, image("a", "a.tif", more_tilesets=more))
    assert [grid.name for grid in asset.grids] == ["r10m", "r10m_2"]
    assert [b.grid for b in asset.bands] == ["r10m", "r10m", "r10m_2"]


def test_declared_bounds_place_every_tileset(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()], col=3)
    bounds = [X0, Y0 - 100 * PIXEL, X0 + 100 * PIXEL, Y0]
    asset = resolved(tmp_path, image("a", "a.tif", grid={"bounds": bounds}))
    assert asset.grids[0].geobox.shape == (100, 100)
    assert asset.tilesets[0].sources[0].col == 3
    assert asset.bands[0].can_be_masked


def test_sources_are_identified_in_the_order_of_the_spec(tmp_path: Path) -> None:
    for number in range(3):
        write_tiff(tmp_path / f"{number}.tif", [pixels(value=number)], col=60 * number)
    document = image("a", "2.tif", "0.tif", "1.tif")
    one, four = resolved(tmp_path, document), resolved(tmp_path, document, workers=4)
    assert one == four
    sources = one.tilesets[0].sources
    assert [source.uri for source in sources] == ["2.tif", "0.tif", "1.tif"]
    for source in sources:
        assert source.digest == identify(tmp_path / source.uri).digest


def test_a_file_that_is_named_twice_is_two_sources(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    write_tiff(tmp_path / "b.tif", [pixels(value=2)])
    before = resolved(tmp_path, image("a", "a.tif", "b.tif", "a.tif"))
    assert [source.uri for source in before.tilesets[0].sources] == ["a.tif", "b.tif", "a.tif"]
    after = resolved(tmp_path, image("a", "a.tif", "b.tif"))
    assert {(b.reason, b.path) for b in because_of(after, before)} == {
        (Reason.SOURCE_REMOVED, "a.tif")
    }


def test_sources_of_one_tileset_must_agree(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()], nodata=1)
    write_tiff(tmp_path / "b.tif", [pixels()], nodata=2, col=60)
    with pytest.raises(PlanError) as caught:
        resolved(tmp_path, image("a", "a.tif", "b.tif"))
    for text in ("a.tif", "b.tif", "`1`", "`2`", "spec.yaml:1"):
        assert text in caught.value.message


def test_the_crs_of_the_file_is_the_grids(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [pixels()])
    assert resolved(tmp_path, image("a", "a.tif")).grids[0].geobox.crs.code == CRS
