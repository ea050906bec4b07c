"""What is read otherwise than other programs would, or not at all, is said in every plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from nodata_tag import write_nodata
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from workbench import CRS, PIXEL, X0, Y0, Document, Workbench, image, write_tiff

from geobatch.errors import PlanError, Problem, SourceError
from geobatch.model.plans.summary import ApplySummary
from geobatch.workflow.plan import plan_specs
from geobatch.workflow.request import Request

PIXELS = np.arange(16, dtype=np.uint8).reshape(4, 4)


def told(folder: Path, *documents: Document) -> list[Problem]:
    """Return the warnings of a plan, which are the same when everything is known already."""
    path = Workbench(folder=folder).write_spec(documents)
    first, second = (
        plan_specs(Request.of([path], store=folder / "store")).warnings for _ in range(2)
    )
    assert first == second
    return list(first)


def rules(folder: Path, *documents: Document) -> list[str]:
    return [warning.rule for warning in told(folder, *documents)]


def tile(folder: Path, name: str, col: int, change: Callable[[Any], None]) -> str:
    write_tiff(folder / name, [PIXELS, PIXELS, PIXELS], col=col)
    with rasterio.open(folder / name, "r+") as file:
        change(file)
    return name


# --- mosaics of unlike bands ---------------------------------------------------------------------

CHANGES: dict[str, tuple[Callable[[Any], None], str, str]] = {
    "descriptions": (
        lambda file: setattr(file, "descriptions", ("B4", "B3", "B2")),
        "`B2, B3, B4`",
        "`B4, B3, B2`",
    ),
    "colours": (
        lambda file: setattr(file, "colorinterp", [*map(ColorInterp, (3, 4, 5))]),
        "`gray, undefined, undefined`",
        "`red, green, blue`",
    ),
    "units": (lambda file: setattr(file, "units", ("K", "K", "m")), "`K, K, K`", "`K, K, m`"),
}


def alike(file: Any) -> None:
    file.descriptions = ("B2", "B3", "B4")
    file.units = ("K", "K", "K")


@pytest.mark.parametrize("kind", CHANGES)
def test_a_mosaic_of_unlike_bands_is_told_of_with_both_values(tmp_path: Path, kind: str) -> None:
    change, mine, yours = CHANGES[kind]

    def other(file: Any) -> None:
        alike(file)
        change(file)

    names = [tile(tmp_path, "a.tif", 0, alike), tile(tmp_path, "b.tif", 4, alike)]
    assert not rules(tmp_path, image("x", *names))
    names += [tile(tmp_path, f"{n}.tif", 4 * n, other) for n in (3, 4, 5)]
    (warning,) = told(tmp_path, image("x", *names))
    assert warning.rule == "unlike-bands"
    for text in ("`a.tif`", "`3.tif`", mine, yours, "3 of 5"):
        assert text in warning.message
    (tmp_path / "geobatch.yaml").write_text("silence: [unlike-bands]\n")
    assert not rules(tmp_path, image("x", *names))


def test_unlike_colour_tables_are_told_of_by_the_first_colour(tmp_path: Path) -> None:
    for number, red in enumerate((1, 1, 9)):
        path = write_tiff(tmp_path / f"{number}.tif", [PIXELS], col=4 * number)
        with rasterio.open(path, "r+") as file:
            file.write_colormap(1, {0: (0, 0, 0, 255), 3: (red, 2, 3, 255)})
    document = image("x", "0.tif", "1.tif", "2.tif", pyramiding_policy="MODE")
    (warning,) = told(tmp_path, document)
    for text in ("`0.tif`", "`2.tif`", "`1, 2, 3, 255` for 3", "`9, 2, 3, 255` for 3"):
        assert text in warning.message


# --- alpha ---------------------------------------------------------------------------------------


def bands(*indexes: int) -> list[Document]:
    return [{"id": f"b{n}", "tileset_id": "t", "tileset_band_index": n} for n in indexes]


def test_a_band_that_is_tagged_alpha_and_declared_is_data(tmp_path: Path) -> None:
    near = np.array([[0, 1, 200, 255]] * 4, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [PIXELS, PIXELS, PIXELS, near], has_alpha=True)
    document = image("x", "a.tif", bands=bands(0, 1, 2, 3))
    assert rules(tmp_path, document) == ["alpha-not-used"]
    bench = Workbench(folder=tmp_path)
    bench.apply(document)
    assert bench.names("x/0") == {"b0", "b1", "b2", "b3"}
    assert (bench.array("x/0/b0") == PIXELS).all()
    assert (bench.array("x/0/b3") == near).all()
    # As a mask, it masks; and a band that the spec does not name goes on doing so.
    assert not rules(tmp_path, image("x", "a.tif", bands=bands(0, 1, 2)))
    assert not rules(
        tmp_path, image("x", "a.tif", bands=bands(0, 3), mask_bands=[{"tileset_id": "t"}])
    )
    bench.apply(image("x", "a.tif", bands=bands(0, 1, 2)))
    assert (bench.masks("x/0/b0") == near).all()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_alpha_that_is_not_the_last_band_is_told_of(tmp_path: Path, position: int) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS] * 4)
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        colours = [ColorInterp.undefined] * 4
        colours[position] = ColorInterp.alpha
        file.colorinterp = colours
    (warning,) = told(tmp_path, image("x", "a.tif"))
    assert warning.rule == "alpha-not-used"
    assert f"index {position}" in warning.message
    rest = [n + 1 for n in range(4) if n != position]
    assert " ".join(f"-b {n}" for n in (*rest, position + 1)) in (warning.hint or "")
    others = [n for n in range(4) if n != position]
    assert rules(tmp_path, image("x", "a.tif", bands=bands(*others))) == ["alpha-not-used"]
    assert not rules(tmp_path, image("x", "a.tif", bands=bands(position)))


def test_alpha_of_another_type_and_premultiplied_alpha_are_told_of(tmp_path: Path) -> None:
    ones = np.ones((4, 4), dtype=np.float32)
    write_tiff(tmp_path / "a.tif", [ones, ones], has_alpha=True)
    assert rules(tmp_path, image("x", "a.tif", bands=bands(0))) == ["alpha-not-used"]
    for alpha, expected in (("PREMULTIPLIED", ["premultiplied-alpha"]), ("NON-PREMULTIPLIED", [])):
        with rasterio.open(
            tmp_path / "b.tif", "w", driver="GTiff", height=4, width=4, count=4, dtype="uint8",
            crs=CRS, transform=rasterio.Affine(PIXEL, 0, X0, 0, -PIXEL, Y0), photometric="RGB",
            alpha=alpha,
        ) as file:  # fmt: skip
            file.write(np.array([PIXELS] * 4))
        assert rules(tmp_path, image("x", "b.tif")) == expected


# --- mask bands ----------------------------------------------------------------------------------


def masked(mask: str, **more: Any) -> Document:
    tileset = {"id": "m", "sources": [{"uris": [mask]}]}
    return image("x", "a.tif", more_tilesets=[tileset], mask_bands=[{"tileset_id": "m", **more}])


def applied(folder: Path, document: Document) -> tuple[ApplySummary, list[Any]]:
    bench = Workbench(folder=folder)
    summary = bench.apply(document)
    return summary, bench.masks("x/0/b1").tolist()


@pytest.mark.parametrize("top", [1, 100, 2])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64"])
def test_a_mask_of_0_to_less_than_255_is_told_of_and_can_be_declared(
    tmp_path: Path, top: int, dtype: str
) -> None:
    mask = np.array([[0, top, 0, top], [top // 2, top, 0, 0]] * 2, dtype=dtype)
    write_tiff(tmp_path / "a.tif", [PIXELS])
    write_tiff(tmp_path / "m.tif", [mask])
    if dtype == "uint8":
        summary, found = applied(tmp_path, masked("m.tif"))
        (warning,) = summary.warnings
        assert warning.rule == "mask-never-valid"
        assert f"{top} of 255" in warning.message
        assert f"`valid_value: {top}`" in (warning.hint or "")
        assert found == mask.tolist()
    else:
        with pytest.raises(PlanError, match="expected UINT8") as caught:
            rules(tmp_path, masked("m.tif"))
        assert "valid_value" in (caught.value.hint or "")
    summary, found = applied(tmp_path, masked("m.tif", valid_value=top))
    assert not summary.warnings
    assert found == (mask.astype(int) * 255 // top).tolist()


@pytest.mark.parametrize(("bits", "top"), [(1, 1), (2, 3), (4, 15), (8, 255)])
def test_the_highest_value_of_the_bits_of_a_mask_band_means_valid(
    tmp_path: Path, bits: int, top: int
) -> None:
    mask = np.array([[0, top, 0, top]] * 4, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [PIXELS])
    write_tiff(tmp_path / "m.tif", [mask], layout={"nbits": bits} if bits < 8 else None)
    summary, found = applied(tmp_path, masked("m.tif"))
    assert not summary.warnings
    assert found == [[0, 255, 0, 255]] * 4


def test_values_above_the_valid_one_are_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS])
    write_tiff(tmp_path / "m.tif", [np.array([[0, 1, 255, 1]] * 4, dtype=np.uint8)])
    with pytest.raises(SourceError, match=r"`m\.tif`.*`1` \(valid\), got `255`"):
        applied(tmp_path, masked("m.tif", valid_value=1))


def test_a_mask_of_unlike_bits_is_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS, PIXELS // 255])
    write_tiff(tmp_path / "b.tif", [PIXELS // 15, PIXELS // 15], col=4, layout={"nbits": 1})
    document = image("x", "a.tif", "b.tif", bands=bands(0), mask_bands=[{"tileset_id": "t"}])
    with pytest.raises(PlanError, match=r"`8`.*`1`"):
        rules(tmp_path, document)


# --- nodata --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "text", "data_type", "rule"),
    [
        ("uint8", "1.5", None, "nodata-not-its-text"),
        ("uint8", "abc", None, "nodata-not-its-text"),
        ("float32", "1e300", None, "nodata-not-its-text"), ("uint8", "-1", None,
        "nodata-outside-type"), ("uint8", "-1", "INT8", None), ("int8", "255", "UINT8", None),
        ("uint8", "255", "INT8", None), ("float32", "-3.4e+38", None, None),
        ("float32", "1.#QNAN", None, None), ("int64", "1e3", None, "nodata-not-its-text"),
        ("uint8", "", None, None), ("float64", "nan", None, None),
    ],
)  # fmt: skip
def test_nodata_that_is_not_what_its_tag_says_is_told_of(
    tmp_path: Path, dtype: str, text: str, data_type: str | None, rule: str | None
) -> None:
    write_nodata(write_tiff(tmp_path / "a.tif", [PIXELS.astype(dtype)]), text)
    tileset = {"data_type": data_type} if data_type else None
    assert rules(tmp_path, image("x", "a.tif", tileset=tileset)) == ([rule] if rule else [])
    assert not rules(tmp_path, image("x", "a.tif", tileset=tileset, missing_data={"values": []}))


# --- beside and behind a file --------------------------------------------------------------------

PAM = '<PAMDataset>{}<PAMRasterBand band="1">{}</PAMRasterBand></PAMDataset>'


@pytest.mark.parametrize(
    ("name", "text", "rule", "words"),
    [
        ("a.tif.msk", "", "unread-mask", "mask"),
        ("A.TIF.MSK", "", "unread-mask", "mask"),
        ("a.tif.ovr", "", "unread-overviews", "levels"),
        ("a.ovr", "", "unread-overviews", "levels"),
        ("a.tif.aux.xml", PAM.format("", "<NoDataValue>5</NoDataValue>"), "unread-metadata",
         "nodata `5`"),
        ("a.tif.aux.xml", PAM.format("<SRS x='1'>w</SRS>", "<ColorInterp>Red</ColorInterp>"),
         "unread-metadata", "a CRS, colours"),
        ("a.tif.aux.xml", PAM.format("", "<Metadata><MDI key='STATISTICS_MEAN'>5</MDI></Metadata>"),
         None, ""),
        ("a.tfw", "1", None, ""),
        ("b.tif.msk", "", None, ""),
    ],
)  # fmt: skip
def test_what_lies_beside_a_file_is_told_of(
    tmp_path: Path, name: str, text: str, rule: str | None, words: str
) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS])
    (tmp_path / name).write_text(text)
    found = told(tmp_path, image("x", "a.tif"))
    assert [warning.rule for warning in found] == ([rule] if rule else [])
    for warning in found:
        assert f"`{name}` is next to `a.tif`" in warning.message
        assert words in warning.message


def test_what_the_spec_states_is_not_missed(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [PIXELS])
    write_tiff(tmp_path / "a.tif.msk", [PIXELS])
    (tmp_path / "a.tif.aux.xml").write_text(PAM.format("", "<NoDataValue>5</NoDataValue>"))
    assert not rules(tmp_path, {**masked("a.tif.msk"), "missing_data": {"values": [5]}})


def test_many_files_alike_are_counted_once(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    for number in range(30):
        write_tiff(tmp_path / f"scenes/{number:02}.tif", [PIXELS])
        (tmp_path / f"scenes/{number:02}.tif.msk").write_text("")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump({
        "kind": "image_collection", "id": "c", "for_each": {"files": "scenes/*.tif"},
        "image": {"id": "i{stem}"},
    }))  # fmt: skip
    (warning,) = plan_specs(Request.of([tmp_path / "spec.yaml"], store=tmp_path / "store")).warnings
    assert "30 files" in warning.message


def test_further_pages_are_told_of(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [PIXELS], internal=np.full((4, 4), 255, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2])
    assert not rules(tmp_path, image("x", "a.tif"))
    for count in (1, 2):
        with rasterio.open(
            path, "w", driver="GTiff", height=4, width=4, count=1, dtype="uint8", crs=CRS,
            transform=rasterio.Affine(PIXEL, 0, X0, 0, -PIXEL, Y0), APPEND_SUBDATASET="YES",
        ) as file:  # fmt: skip
            file.write(PIXELS, 1)
        (warning,) = told(tmp_path, image("x", "a.tif"))
        assert warning.rule == "unread-pages"
        assert ("another image" if count == 1 else "2 other images") in warning.message


def test_an_error_names_the_file_that_would_place_a_raster(tmp_path: Path) -> None:
    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", height=4, width=4, count=1, dtype="uint8"
        ) as file,
    ):
        file.write(PIXELS, 1)
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    (tmp_path / "a.prj").write_text(rasterio.CRS.from_string(CRS).to_wkt())
    with pytest.raises(SourceError) as caught:
        rules(tmp_path, image("x", "a.tif"))
    assert "`uris: [a.tif, a.tfw]`" in (caught.value.hint or "")
    document = image("x", "a.tif")
    document["tilesets"][0]["sources"] = [{"uris": ["a.tif", "a.tfw"]}]
    with pytest.raises(SourceError) as caught:
        rules(tmp_path, document)
    assert "a.prj" in (caught.value.hint or "")
    document["tilesets"][0]["sources"] = [{"uris": ["a.tif", "a.tfw", "a.prj"]}]
    assert not rules(tmp_path, document)


# --- LERC ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["LERC", "LERC_ZSTD", "LERC_DEFLATE"])
@pytest.mark.parametrize(
    ("dtype", "error", "is_lossy"),
    [("float32", 0, False), ("float32", 0.01, True), ("int16", 0.5, False), ("int16", 2, True)],
)
def test_lerc_with_an_error_is_lossy(
    tmp_path: Path, compression: str, dtype: str, error: float, is_lossy: bool
) -> None:
    wanted = np.random.default_rng(1).integers(0, 900, (64, 64)).astype(dtype)
    if dtype == "float32":
        wanted += 0.123
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", height=64, width=64, count=1, dtype=dtype,
        crs=CRS, transform=rasterio.Affine(PIXEL, 0, X0, 0, -PIXEL, Y0), compress=compression,
        MAX_Z_ERROR=error,
    ) as file:  # fmt: skip
        file.write(wanted, 1)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert np.array_equal(file.read(1), wanted) is not is_lossy
    assert ("lossy-source" in rules(tmp_path, image("a", "a.tif"))) is is_lossy
