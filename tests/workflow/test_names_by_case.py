"""Names that differ by case alone are one folder on many disks: no two of them are published."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from shell import Done, geobatch
from workbench import image, write_tiff

from geobatch.errors import ConflictError
from geobatch.model.assets.names_by_case import first_alike, folders
from geobatch.store.tilestore import TileStore


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((4, 4), 7, np.uint8)])
    return tmp_path


def spec(*ids: str, file: str = "spec.yaml", **more: Any) -> None:
    Path(file).write_text(yaml.safe_dump_all([image(one, "a.tif", **more) for one in ids]))


def bands(*names: str) -> dict[str, Any]:
    return {"bands": [{"id": name, "tileset_id": "t"} for name in names]}


def refused(done: Done, *words: str, code: int = 1) -> None:
    assert done.code == code, done.out
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.err


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Foo", "foo"),
        ("A/x", "a/y"),
        ("a/b/c", "a/B/d"),
        ("a/x", "a/X"),
        ("A", "a/x"),
        ("a/x", "A"),
    ],
)
def test_ids_among_specs(bench: Path, one: str, other: str) -> None:
    spec(one, file="1.yaml")
    spec(other, file="2.yaml")
    done = geobatch("validate", bench)
    refused(done, "1.yaml:1:", "2.yaml:1:", one, other, "only by case")
    assert done.err.count("duplicate-asset") == 1


@pytest.mark.parametrize(("one", "other"), [("Foo", "foo"), ("A/x", "a/y"), ("A", "a/x")])
def test_ids_against_what_is_published(bench: Path, one: str, other: str) -> None:
    spec(one)
    assert geobatch("apply", "spec.yaml").code == 0
    before = geobatch("ls").out
    spec(other)
    for argv in ([], ["--prune", "--max-delete", "1"], ["--select", other]):
        refused(geobatch("plan", "spec.yaml", *argv), one, other, "only by case")
        refused(geobatch("apply", "spec.yaml", *argv), one, other, "only by case")
    spec(other, moved_from=one)
    refused(geobatch("apply", "spec.yaml"), one, other, "moved_from")
    assert geobatch("ls").out == before
    spec("third", moved_from=one)
    assert geobatch("apply", "spec.yaml").code == 0
    spec(other, moved_from="third")
    assert geobatch("apply", "spec.yaml").code == 0, "what the hint says works"


def test_ids_of_a_collection(bench: Path) -> None:
    for name in ("Foo", "foo"):
        (bench / name).mkdir()
        (bench / name / f"{name}.tif").write_bytes((bench / "a.tif").read_bytes())
    rule = {
        "kind": "image_collection", "id": "c", "for_each": {"files": "*/*.tif"},
        "image": {"id": "{stem}"},
    }  # fmt: skip
    Path("c.yaml").write_text(yaml.safe_dump(rule))
    refused(geobatch("validate", "c.yaml"), "c/Foo", "c/foo", "only by case")


@pytest.mark.parametrize("names", [("B1", "b1"), ("x_", "X_"), ("a", "b", "A")])
def test_bands_of_a_spec(bench: Path, names: tuple[str, ...]) -> None:
    spec("one", **bands(*names))
    refused(geobatch("validate", "spec.yaml"), "duplicate-band", "only by case", "spec.yaml:")


@pytest.mark.parametrize("name", ["X", "Y", "x", "Spatial_Ref", "SPATIAL_REF"])
def test_bands_beside_coordinates(bench: Path, name: str) -> None:
    spec("one", **bands(name))
    refused(geobatch("validate", "spec.yaml"), name, "coordinate")


def test_bands_against_what_is_published(bench: Path) -> None:
    spec("one", **bands("b1"))
    assert geobatch("apply", "spec.yaml").code == 0
    spec("one", **bands("B1"))
    refused(geobatch("plan", "spec.yaml"), "`B1`", "`b1`", "only by case")
    refused(geobatch("apply", "spec.yaml", "--replace", "one"), "`B1`", "`b1`")
    spec("two", **bands("B1"), moved_from="one")
    refused(geobatch("apply", "spec.yaml"), "`B1`", "`b1`")
    for names in (("c1",), ("B1",)):
        spec("one", **bands(*names))
        assert geobatch("apply", "spec.yaml").code == 0, "what the hint says works"


def test_a_store_that_holds_both_can_be_mended(bench: Path) -> None:
    spec("foo", "bar")
    assert geobatch("apply", "spec.yaml").code == 0
    with closing(TileStore.open(bench / "store")) as store:  # as an older geobatch published it
        head = store.head()
        entry = head.tree.entry("foo")
        assert entry is not None
        origins = {"Foo": store.origins(head)["foo"]}
        changes = {"Foo": replace(entry, id="Foo")}
        store.publish(base=head, changes=changes, message="m", tools={}, origins=origins)
    assert {"Foo", "foo"} <= set(geobatch("ls").out.split())
    assert geobatch("plan", "spec.yaml").code == 0
    assert geobatch("info", "Foo").code == 0
    done = geobatch("apply", "spec.yaml", "--prune", "--max-delete", "1")
    assert done.code == 0, done.err
    assert "Foo" not in geobatch("ls").out.split()


def test_two_who_publish_at_once(bench: Path) -> None:
    spec("foo")
    assert geobatch("apply", "spec.yaml").code == 0
    with closing(TileStore.open(bench / "store")) as store:
        base = store.head()
        entry = base.tree.entry("foo")
        assert entry is not None

        def put(name: str) -> None:
            assert entry is not None
            changes = {name: replace(entry, id=name)}
            store.publish(base=base, changes=changes, message="m", tools={})

        put("New/a")
        with pytest.raises(ConflictError, match="New/a"):
            put("new/b")
        put("other")


IDS = st.lists(st.text("aAbB/", min_size=1, max_size=4), unique=True, max_size=5)


@given(new=IDS, known=IDS)
def test_no_two_folders_would_be_one(new: list[str], known: list[str]) -> None:
    spelled: dict[str, set[str]] = {}
    for name in known:
        for folder in folders(name):
            spelled.setdefault(folder.lower(), set()).add(folder)
    expected = any(
        spelled.get(folder.lower()) and folder not in spelled[folder.lower()]
        for name in new
        if name not in known
        for folder in folders(name)
    )
    assert (first_alike(new, known) is not None) is expected
