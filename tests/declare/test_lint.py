"""Warnings: what they point at, and that a stated choice is never warned about."""

from __future__ import annotations

from pathlib import Path

import pytest

from geobatch.declare import lint, load
from geobatch.errors import Problem
from geobatch.model.assets.class_names import is_class_like

T = "tilesets: [{sources: [{uris: [x.tif]}]}]\n"


def warnings_of(folder: Path, text: str, project: str = "") -> tuple[Problem, ...]:
    (folder / "geobatch.yaml").write_text(project)
    (folder / "a.yaml").write_text(text)
    return lint(load([folder]).specs)


@pytest.mark.parametrize(
    "name",
    ["class", "Class", "landcover", "land_cover", "LandCover", "SCL", "QA60", "pixel_qa",
     "QA_PIXEL", "cloud_mask", "SCL_20m", "quality", "mask", "labels",
     "fmask", "soil-code", "label2", "MCD12Q1_LC_classes", "lulc_2020"],
)  # fmt: skip
def test_names_of_classes(name: str) -> None:
    assert is_class_like(name)


@pytest.mark.parametrize(
    "name",
    ["NDVI", "B2", "elevation", "temperature", "classy", "unmasked", "quantity", "decoded",
     "class_probability", "label_score", "mask_fraction", "landscape", "b1", "square", "zonal"],
)  # fmt: skip
def test_names_of_quantities(name: str) -> None:
    assert not is_class_like(name)


def test_the_default_on_classes_is_warned_about_at_the_band(tmp_path: Path) -> None:
    text = "id: a\n" + T + "bands: [{id: NDVI}, {id: class, tileset_band_index: 1}]\n"
    (found,) = warnings_of(tmp_path, text)
    assert (found.rule, found.line, found.column) == ("categorical-mean", 3, 26)
    assert "`MEAN`, if you mean it" in (found.hint or "")


@pytest.mark.parametrize("policy", ["MODE", "MEAN", "mean"])
def test_a_stated_policy_is_a_choice(tmp_path: Path, policy: str) -> None:
    text = "id: a\n" + T
    assert not warnings_of(tmp_path, text + f"bands: [{{id: qa, pyramiding_policy: {policy}}}]\n")
    assert not warnings_of(tmp_path, text + f"bands: [{{id: qa}}]\npyramiding_policy: {policy}\n")


def test_bands_without_an_index_that_are_the_same_band(tmp_path: Path) -> None:
    text = "id: a\n" + T + "bands: [{id: R}, {id: G}, {id: B, tileset_band_index: 2}, {id: A}]\n"
    found = warnings_of(tmp_path, text)
    assert [(one.rule, one.column) for one in found] == [("same-band", 23), ("same-band", 64)]
    assert "`R` and `G`" in found[0].message
    assert "write `tileset_band_index: 1`" in (found[0].hint or "")
    assert not warnings_of(tmp_path, text, "silence: [same-band]\n")


@pytest.mark.parametrize(
    "bands",
    ["[{id: R}, {id: high, tileset_band_index: 0, pyramiding_policy: MAX}]",
     "[{id: R}, {id: G, tilesetBandIndex: 1}]",
     "[{id: R, feature: r}, {id: G, feature: g}]"],
)  # fmt: skip
def test_a_stated_index_is_a_choice(tmp_path: Path, bands: str) -> None:
    assert not warnings_of(tmp_path, f"id: a\n{T}bands: {bands}\n")


def test_bands_of_two_tilesets_are_not_the_same_band(tmp_path: Path) -> None:
    tilesets = "tilesets: [{id: t, sources: [{uris: [x]}]}, {id: u, sources: [{uris: [y]}]}]\n"
    text = f"id: a\n{tilesets}bands: [{{id: R, tileset_id: t}}, {{id: G, tileset_id: u}}]\n"
    assert not warnings_of(tmp_path, text)


def test_a_project_can_silence_a_rule(tmp_path: Path) -> None:
    text = "id: a\n" + T + "bands: [{id: qa}]\n"
    assert not warnings_of(tmp_path, text, "silence: [categorical-mean]\n")
    assert warnings_of(tmp_path, text, "silence: [lossy-source]\n")


def test_a_property_of_two_types_in_one_folder(tmp_path: Path) -> None:
    def image(name: str, properties: str) -> str:
        return f"id: {name}\nproperties: {{{properties}}}\n{T}"

    text = "---\n".join([
        image("c/one", "n: 1, s: a"), image("c/two", "n: 2.5, s: b"),
        image("c/three", "n: x, s: c"), image("d/four", "n: y"),
        image("n", "n: 1"), image("m", "n: x"),
    ])  # fmt: skip
    (found,) = warnings_of(tmp_path, text)
    assert found.rule == "mixed-property-types"
    # Specs are sorted by id: c/one, c/three.
    assert (found.line, found.column) == (10, 17)
    assert "`n` is `x`, text, but `1`, a number, in `c/one`" in found.message
    assert not warnings_of(tmp_path, text, "silence: [mixed-property-types]\n")


def test_images_of_one_rule_share_one_warning(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.tif").touch()
    text = (
        "kind: image_collection\nid: c\nfor_each: {files: '*.tif'}\n"
        "image:\n  id: '{stem}'\n  bands: [{id: class}]\n"
    )
    (found,) = warnings_of(tmp_path, text)
    assert (found.line, found.rule) == (6, "categorical-mean")


@pytest.mark.parametrize(
    ("start", "end", "meant"),
    [
        ("2024-01-01", "2024-12-31", "2025-01-01"),
        ("2020-01-01", "2024-12-31", "2025-01-01"),
        ("2024-03-07", "2024-12-31", "2025-01-01"),
        ("2024-02-01", "2024-02-29", "2024-03-01"),
        ("2024-06-01", "2024-06-30T23:59:59Z", "2024-07-01"),
        ("2024-06-07", "2024-06-07T23:59:59.999Z", "2024-06-08"),
        ("2024-01-01", "2025-01-01", None),
        ("2024-02-01", "2024-02-28", None),
        ("2024-12-30", "2024-12-31", None),
        ("2024-12-31", "2024-12-31", None),
        ("2024-06-07", "2024-06-30", None),
        ("2024-01-01", "2024-12-31T06:00:00Z", None),
        ("2024-01-01", "9999-12-31", None),
    ],
)
def test_ends_that_seem_inclusive(tmp_path: Path, start: str, end: str, meant: str | None) -> None:
    text = f"id: a\n{T}start_time: {start}\nend_time: {end}\n"
    found = warnings_of(tmp_path, text)
    assert [one.rule for one in found] == ["inclusive-end"] * (meant is not None)
    if meant is not None:
        assert found[0].line == 4
        assert f"`{meant}`" in (found[0].hint or "")
        assert not warnings_of(tmp_path, text.replace(end, meant))
        assert not warnings_of(tmp_path, text, "silence: [inclusive-end]\n")


def test_a_collection_has_one_warning_of_its_ends(tmp_path: Path) -> None:
    for year in range(2001, 2021):
        (tmp_path / f"{year}.tif").touch()
    text = (
        "kind: image_collection\nid: c\nfor_each: {files: '*.tif'}\n"
        "image:\n  id: y{stem}\n  start_time: '{stem}-01-01'\n  end_time: '{stem}-12-31'\n"
    )
    (found,) = warnings_of(tmp_path, text)
    assert (found.line, found.rule) == (7, "inclusive-end")
    assert not warnings_of(tmp_path, text.replace("{stem}-12-31", "{stem+1}-01-01"))


def test_numbers_without_quotes_are_named_where_text_is_beside_them(tmp_path: Path) -> None:
    text = (
        f"id: c/a\nproperties: {{orbit: '022'}}\n{T}---\nid: c/b\nproperties: {{orbit: 022}}\n{T}"
    )
    (found,) = warnings_of(tmp_path, text)
    assert found.rule == "mixed-property-types"
    assert "`022` and `1.10` without quotes are numbers" in (found.hint or "")
