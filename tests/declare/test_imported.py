"""Manifests rewritten as YAML say the same, in the canonical form, and tell of every choice."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.declare import (
    BandSpec,
    FootprintSpec,
    ImageSpec,
    MaskBandSpec,
    SourceSpec,
    TilesetSpec,
    expand,
    load,
)
from geobatch.declare.earth_engine.from_manifest import import_manifest
from geobatch.declare.loading.document import draft
from geobatch.declare.projects.project import Project
from geobatch.declare.text.canonical import fmt_text
from geobatch.declare.text.read import read
from geobatch.declare.text.written import write_spec
from geobatch.errors import SpecError
from geobatch.model.assets.asset import Codec, Policy

WORDS = st.one_of(
    st.sampled_from(["yes", "no", "1.1", "2025-01-01", "null", "~", "a: b", "# c", "- d", "'", '"',
                     "x\ny", " ", "é", "{e}", "[f]", "0x1f", ".nan", "*", "g:", "12:30", "y",
                     "a b", "true", "!x", "@", "\t", "tab\there"]),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=12),
)  # fmt: skip
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,8}", fullmatch=True).filter(lambda n: n not in ("x", "y"))
NUMBERS = st.one_of(st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False))
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
MISSING = st.none() | st.lists(NUMBERS | st.just(math.nan), max_size=3).map(tuple)
POLICIES = st.none() | st.sampled_from(Policy)
TIMES = st.sampled_from(
    ["1969-12-31T23:59:59.999Z", "2025-01-01T00:00:00Z", "2025-01-01T00:00:01Z"]
)


def is_band(name: str) -> bool:
    return name.casefold() not in {"x", "y", "spatial_ref"}


URIS = WORDS.filter(lambda text: "\t" not in text)


@st.composite
def specs(draw: st.DrawFn) -> ImageSpec:
    """Draw a spec as loading would give it."""
    ids = draw(st.lists(st.just("") | NAMES | WORDS, min_size=1, max_size=3, unique=True))
    tilesets = tuple(
        TilesetSpec(
            id=name,
            sources=tuple(draw(st.lists(st.builds(
                SourceSpec,
                uris=st.lists(URIS, min_size=1, max_size=2).map(tuple),
                affine_transform=st.none() | st.tuples(
                    st.just(10.0), FINITE, FINITE, st.just(0.0), st.just(-0.1), FINITE
                ),
                dimensions=st.none() | st.just((3, 4)),
            ), min_size=1, max_size=2))),
            dtype=draw(st.sampled_from([None, "uint8", "float32", "float64", "int64"])),
            crs=draw(st.sampled_from([None, "EPSG:4326", 'PROJCS["a, b",\n GEOGCS[]]'])),
        )
        for name in ids
    )  # fmt: skip
    names = draw(st.lists(NAMES.filter(is_band), max_size=4, unique_by=str.casefold))
    bands = tuple(
        BandSpec(
            id=name, tileset_id=draw(st.sampled_from(ids)),
            tileset_band_index=draw(st.integers(0, 9)), missing_data=draw(MISSING),
            pyramiding_policy=draw(POLICIES),
        )
        for name in names
    )  # fmt: skip
    masks: tuple[MaskBandSpec, ...] = ()
    if draw(st.booleans()):
        masks = (MaskBandSpec(tileset_id=draw(st.sampled_from(ids))),)
    elif len(names) > 1:
        masks = tuple(
            MaskBandSpec(tileset_id=draw(st.sampled_from(ids)), band_ids=(name,)) for name in names
        )
    ring = ((0.5, 0.5), (draw(FINITE), 1.5), (1.5, 1.5), (0.5, 0.5))
    start, end = sorted([draw(TIMES), draw(TIMES)])
    return ImageSpec(
        id="/".join(draw(st.lists(NAMES, min_size=1, max_size=3))),
        tilesets=tilesets,
        bands=bands or None,
        mask_bands=masks,
        missing_data=draw(MISSING),
        pyramiding_policy=draw(POLICIES),
        start_time=draw(st.sampled_from([None, start])),
        end_time=draw(st.sampled_from([None, end])),
        properties=tuple(sorted(draw(st.dictionaries(
            NAMES.map(lambda name: name.replace("-", "_")), WORDS | NUMBERS.filter(math.isfinite),
            max_size=3,
        )).items())),
        footprint=draw(st.none() | st.just(FootprintSpec(points=ring, band_id=(names or [""])[0]))),
        memo=draw(st.just("") | WORDS),
        uri_prefix=draw(st.sampled_from(["", "gs://b/", "data/"])),
        tile=draw(st.sampled_from([512, 256])),
        codec=draw(st.sampled_from([
            Codec(), Codec(level=5), Codec(name="gzip", level=1, compressor="", shuffle=""),
            Codec(name="none", level=0, compressor="", shuffle=""),
        ])),
        bounds=draw(st.none() | st.just((0.0, 0.5, 20.0, 31.25))),
        is_protected=draw(st.booleans()),
    )  # fmt: skip


@settings(max_examples=examples(50, 150), deadline=None)
@given(spec=specs())
def test_what_is_written_is_read_again(spec: ImageSpec) -> None:
    text = write_spec(
        spec, head=["From here."], above={"tilesets": ["a: b"]}, beside={"id": "why # so"}
    )
    file = read(text.encode(), path="a.yaml")
    assert not file.problems
    (root,) = file.documents
    again = draft(root, path="a.yaml")
    assert not again.problems
    assert repr(again.specs[0]) == repr(spec)
    assert fmt_text(text, path="a.yaml") == text
    assert text.startswith("# From here.\nkind: image\nid: ")


MANIFEST: dict[str, Any] = {
    "name": "projects/my-project/assets/col/img1",
    "tilesets": [{"id": "t", "dataType": "FLOAT32", "sources": [{"uris": ["d/x.tif"]}]}],
    "startTime": {"seconds": 317692800},
    "endTime": "1980-02-01T01:00:00+01:00",
    "properties": {"version": "1.1"},
}


def imported(
    folder: Path, manifest: dict[str, Any], to: str = "specs", **options: Any
) -> tuple[str, str]:
    """Return the text of an imported manifest, checked, and the repr of its spec."""
    source, target = folder / "manifests" / "m.json", folder / to
    source.parent.mkdir(exist_ok=True)
    target.mkdir(exist_ok=True)
    source.write_text(json.dumps(manifest))
    (made,) = import_manifest(
        source.read_bytes(), path=str(source), folder=target, project=Project(**options)
    )
    (target / "m.yaml").write_text(made.text)
    assert fmt_text(made.text, path="m.yaml") == made.text
    (spec,) = load([target / "m.yaml"]).specs
    return made.text, repr(spec)


def test_every_choice_is_told(tmp_path: Path) -> None:
    text, _ = imported(tmp_path, MANIFEST)
    assert text == (
        "# From m.json.\n"
        "kind: image\n"
        "id: col/img1  # projects/my-project/assets/col/img1 in Earth Engine\n"
        "# Relative uris start at this file; those of the manifest started at the manifest.\n"
        "# No bands are declared: all bands of the tilesets, in order, are named b1, b2, ...\n"
        "# No pyramiding policy is declared: the default is MEAN. Bands of classes need MODE.\n"
        "tilesets:\n"
        "  - id: t\n"
        "    data_type: FLOAT\n"
        "    sources:\n"
        "      - uris: [../manifests/d/x.tif]\n"
        "start_time: 1980-01-26  # 317692800 seconds since 1970 in the manifest\n"
        "end_time: 1980-02-01  # 1980-02-01T01:00:00+01:00 in the manifest\n"
        "properties:\n"
        '  version: "1.1"\n'
    )


def test_what_needs_no_choice_has_no_comment(tmp_path: Path) -> None:
    manifest = {
        "id": "a",
        "tilesets": [{"sources": [{"uris": ["gs://b/x.tif"]}]}],
        "bands": [{"id": "b", "pyramidingPolicy": "MODE", "missingData": {"values": ["NaN"]}}],
        "maskBands": {"tilesetId": ""},
        "startTime": "2020-01-01T00:00:00Z",
    }
    text, _ = imported(tmp_path, manifest)
    assert text.count("#") == 1
    assert "missing_data: {values: [.nan]}" in text
    assert 'mask_bands: {tileset_id: ""}' in text


def test_misspelt_keys_are_mended_and_told(tmp_path: Path) -> None:
    manifest = MANIFEST | {
        "pyramindingPolicy": "MODE", "bands": [{"id": "b", "pyramindingPolicy": "MIN"}],
    }  # fmt: skip
    text, _ = imported(tmp_path, manifest)
    assert "pyramiding_policy: MODE  # `pyramindingPolicy` in the manifest\n" in text
    assert "# `pyramindingPolicy` of the manifest is read as `pyramidingPolicy`.\nbands:\n" in text


@pytest.mark.parametrize(
    ("prefix", "uri", "expected"),
    [
        ("", "x.tif", ("", "../manifests/x.tif")),
        ("", "../d/*.tif", ("", "../d/*.tif")),
        ("", "/abs/x.tif", ("", "/abs/x.tif")),
        ("d/", "x.tif", ("../manifests/d/", "x.tif")),
        ("d/lc_", "x.tif", ("../manifests/d/lc_", "x.tif")),
        ("gs://b/", "x.tif", ("gs://b/", "x.tif")),
    ],
)
def test_relative_uris_lead_where_they_led(
    tmp_path: Path, prefix: str, uri: str, expected: tuple[str, str]
) -> None:
    manifest = MANIFEST | {"uriPrefix": prefix, "tilesets": [{"sources": [{"uris": [uri]}]}]}
    _, spec = imported(tmp_path, manifest)
    assert f"uri_prefix={expected[0]!r}" in spec
    assert f"uris=({expected[1]!r},)" in spec
    _, same = imported(tmp_path, manifest, to="manifests")
    assert f"uris=({uri!r},)" in same


@pytest.mark.parametrize("prefix", ["", "d/"])
def test_relative_uris_of_tables_lead_where_they_led(tmp_path: Path, prefix: str) -> None:
    manifest = {"id": "t", "uriPrefix": prefix, "sources": [{"uris": ["a.tfrecord"]}]}
    file = tmp_path / "manifests" / prefix / "a.tfrecord"
    file.parent.mkdir(parents=True)
    file.touch()
    text, _ = imported(tmp_path, manifest)
    assert text.count("start at this file") == 1
    (spec,) = load([tmp_path / "specs" / "m.yaml"]).specs
    (found,) = expand(spec).table
    assert found.path.samefile(file)


def test_no_name_breaks_out_of_a_comment(tmp_path: Path) -> None:
    path = tmp_path / "a\nid: evil\x85\x07.json"
    (made,) = import_manifest(json.dumps(MANIFEST).encode(), path=str(path), folder=tmp_path)
    assert made.text.startswith("# From a id: evil ?.json.\nkind: image\nid: col/img1 ")
    odd = MANIFEST | {"name": "projects/a\nb/assets/c"}
    with pytest.raises(SpecError, match="asset-id"):
        import_manifest(json.dumps(odd).encode(), path="m.json", folder=tmp_path)


def test_a_kept_prefix_stays(tmp_path: Path) -> None:
    text, _ = imported(tmp_path, MANIFEST, keeps_prefix=True)
    assert "id: projects/my-project/assets/col/img1\n" in text


def test_problems_are_those_of_the_manifest(tmp_path: Path) -> None:
    text = json.dumps(MANIFEST | {"tilesetz": 1}, indent=1)
    with pytest.raises(SpecError) as caught:
        import_manifest(text.encode(), path="m.json", folder=tmp_path)
    (found,) = caught.value.problems
    assert (found.rule, found.path) == ("unknown-key", "m.json")
    collection = (
        b"kind: image_collection\nid: c\nfor_each: {files: '*.md'}\nimage: {id: '{stem}'}\n"
    )
    with pytest.raises(SpecError, match="not-a-manifest"):
        import_manifest(collection, path=str(tmp_path / "c.yaml"), folder=tmp_path)
