"""Rules in which an earlier run found no mistake: what is recalled is what reading would give."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geobatch.declare import AssetSpec, load
from geobatch.declare.collections import images
from geobatch.declare.collections.images import RuleImages
from geobatch.declare.collections.maker import Maker
from geobatch.declare.spec_list import Unmade, samples, unmade
from geobatch.errors import SpecError
from geobatch.store.caches.cache import SourceCache

COLUMNS = ("cloud", "label", "site")
CELLS = ("", "7", "7.0", "007", "x", "+7")
DAYS = ("20240229", "20230229", "20240301")
PATTERNS = (
    "(?P<place>[a-z]+)(?P<number>[0-9]+)_(?P<date>[0-9]+)[.]tif",
    "(?P<place>[a-z]+?)(?P<number>.*)_(?P<date>[0-9]+)[.]tif",
    "(?P<number>[a-z]+)(?P<place>[0-9]+)_(?P<date>[0-9]+)[.]tif",
)
TEMPLATES = {
    "id": ("{stem}", "{place}{number}", "{number}", "x{stem}", "{label}"),
    "start_time": (None, "{date:%Y%m%d}", "{date:%Y%d%m}", "2024-01-01"),
    "end_time": (None, "2024-03-01", "{date:%Y%m%d}"),
    "memo": (None, "{name}", "{site}", "{file}"),
    "properties": (
        {},
        {"cloud": "{cloud}"},
        {"cloud": "{cloud:text}"},
        {"cloud": "{cloud:number}"},
        {"label": "{label}", "next": "{number+1}"},
        {"fixed": 1},
        {"fixed": 1.0},
    ),
    "pyramiding_policy": (None, "MODE", "MEAN"),
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make images when they are asked for, from a few on."""
    monkeypatch.setattr(images, "MANY", 3)


class Rule:
    """A rule over empty files and a table, which is edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = [f"a{number}_20240229.tif" for number in range(5)]
        self.cells = {name: ["7", "x", "y"] for name in self.names}
        self.chosen: dict[str, Any] = {key: values[0] for key, values in TEMPLATES.items()}
        self.pattern = PATTERNS[0]
        self.id = "many"
        self.header = ""

    def write(self) -> None:
        scenes = self.folder / "scenes"
        scenes.mkdir(exist_ok=True)
        for path in scenes.iterdir():
            path.unlink()
        for name in self.names:
            (scenes / name).touch()
        rows = [",".join(["name", *COLUMNS])]
        rows += [",".join([name, *cells]) for name, cells in self.cells.items()]
        (self.folder / "rows.csv").write_text("\n".join(rows))
        image = {key: value for key, value in self.chosen.items() if value is not None}
        for_each = {
            "files": "scenes/*.tif",
            "pattern": self.pattern,
            "csv": {"path": "rows.csv", "key": "name"},
        }
        said = {"kind": "image_collection", "id": self.id, "for_each": for_each, "image": image}
        text = yaml.safe_dump(said, sort_keys=False)
        (self.folder / "rule.yaml").write_text(self.header + text)

    def edit(self, draw: Any) -> None:
        kind = draw(st.sampled_from(["cell", "add", "remove", "rename", "image", "rule"]))
        name = draw(st.sampled_from(self.names))
        if kind == "cell":
            column = draw(st.integers(0, len(COLUMNS) - 1))
            self.cells[name][column] = draw(st.sampled_from(CELLS))
        elif kind in ("add", "rename"):
            place, day = draw(st.sampled_from("ab")), draw(st.sampled_from(DAYS))
            new = f"{place}{draw(st.sampled_from([9, 10, 99, 100]))}_{day}.tif"
            if new not in self.names:
                self.cells[new] = list(self.cells[name])
                self.names.append(new)
                if kind == "rename":
                    self.names.remove(name)
        elif kind == "remove" and len(self.names) > 1:
            self.names.remove(name)
        elif kind == "image":
            key = draw(st.sampled_from(sorted(TEMPLATES)))
            self.chosen[key] = draw(st.sampled_from(TEMPLATES[key]))
        elif kind == "rule":
            self.pattern = draw(st.sampled_from(PATTERNS))
            self.id = draw(st.sampled_from(["many", "few"]))
            self.header = draw(st.sampled_from(["", "# comment\n"]))


def outcome(folder: Path, cache: SourceCache | None) -> Any:
    """Return all that a load gives: `repr` tells 1 from 1.0, `==` leaves positions out."""
    try:
        specs = load([folder / "rule.yaml"], cache=cache).specs
    except SpecError as error:
        return error.problems
    return [[(repr(one), one.positions.by_loc) for one in some] for some in (specs, samples(specs))]


def of_rule(folder: Path) -> Iterator[tuple[Unmade, AssetSpec]]:
    """Yield what each image is made from, and the image."""
    try:
        specs = load([folder / "rule.yaml"]).specs
    except SpecError:
        return
    for made_from, spec in zip(unmade(specs), specs, strict=True):
        if isinstance(made_from, Unmade):
            yield made_from, spec


@settings(
    max_examples=examples(60, 1500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_any_history_is_recalled_as_it_is_read(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Equal inputs also make equal images: else one that changed would be taken for a known one."""
    rule = Rule(tmp_path_factory.mktemp("rule"))
    cache = SourceCache.memory()
    images_by_inputs: dict[Any, str] = {}
    for _ in range(data.draw(st.integers(1, 6))):
        rule.write()
        expected = outcome(rule.folder, None)
        for _ in range(2):
            assert outcome(rule.folder, cache) == expected
        for made_from, spec in of_rule(rule.folder):
            inputs = (made_from.uri, made_from.made_from)
            assert made_from.id == spec.id
            assert images_by_inputs.setdefault(inputs, repr(spec)) == repr(spec)
        rule.edit(data.draw)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the images that are made."""
    counts: Counter[str] = Counter()
    make = Maker.image

    def counted(self: Maker[Any], folder: str, fields: Any) -> Any:
        counts["images"] += 1
        return make(self, folder, fields)

    monkeypatch.setattr(Maker, "image", counted)
    return counts


def test_a_rule_without_mistakes_is_not_checked_again(tmp_path: Path, made: Counter[str]) -> None:
    rule = Rule(tmp_path)
    rule.write()
    cache = SourceCache.memory()
    first = load([tmp_path / "rule.yaml"], cache=cache)
    assert made["images"] == len(rule.names)
    again = load([tmp_path / "rule.yaml"], cache=cache)
    assert made["images"] == len(rule.names)
    assert list(again.ids) == list(first.ids)


def test_mistakes_are_found_again(tmp_path: Path) -> None:
    rule = Rule(tmp_path)
    rule.chosen["id"] = "{label}"  # all the same
    rule.write()
    cache = SourceCache.memory()
    for _ in range(3):
        with pytest.raises(SpecError) as caught:
            load([tmp_path / "rule.yaml"], cache=cache)
        assert {one.rule for one in caught.value.problems} == {"duplicate-asset"}


def test_two_rules_of_a_file_are_recalled_each(tmp_path: Path, made: Counter[str]) -> None:
    rule = Rule(tmp_path)
    rule.write()
    text = (tmp_path / "rule.yaml").read_text()
    both = f"{text}---\n{text.replace('id: many', 'id: few', 1)}"
    (tmp_path / "rule.yaml").write_text(both)
    cache = SourceCache.memory()
    first = outcome(tmp_path, cache)
    counted = made["images"]
    specs = load([tmp_path / "rule.yaml"], cache=cache)
    assert len(specs.ids) == 2 * len(rule.names)
    assert made["images"] == counted
    assert outcome(tmp_path, cache) == first


def test_another_zone_reads_the_times_again(
    tmp_path: Path, made: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of zones that `%Z` accepts are those of the system."""
    rule = Rule(tmp_path)
    rule.chosen["start_time"] = "{date:%Y%m%d}"
    rule.write()
    cache = SourceCache.memory()
    load([tmp_path / "rule.yaml"], cache=cache)
    counted = made["images"]
    try:
        monkeypatch.setenv("TZ", "CET-1CEST")
        time.tzset()
        load([tmp_path / "rule.yaml"], cache=cache)
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    assert counted < made["images"]


def test_names_that_are_not_utf8_are_read_each_time(tmp_path: Path, made: Counter[str]) -> None:
    rule = Rule(tmp_path)
    rule.write()
    said = yaml.safe_load((tmp_path / "rule.yaml").read_text())
    del said["for_each"]["csv"], said["for_each"]["pattern"]
    said["for_each"]["files"] = "scenes/*"
    said["image"]["id"] = "x{n}"
    said["for_each"]["pattern"] = ".*(?P<n>[0-9])_20240229[.]tif"
    (tmp_path / "rule.yaml").write_text(yaml.safe_dump(said))
    os.rename(  # noqa: PTH104 - a name of bytes
        tmp_path / "scenes" / rule.names[0],
        os.fsencode(tmp_path / "scenes") + b"/\xff0_20240229.tif",
    )
    cache = SourceCache.memory()
    for number in range(1, 3):
        specs = load([tmp_path / "rule.yaml"], cache=cache).specs
        assert len(specs) == len(rule.names)
        assert made["images"] == number * len(rule.names)


@pytest.mark.parametrize("damage", [b"", b"\xc1", b"\x91\xff", b"\x91\xcd\x7f\xff", b"\x90" * 3])
def test_a_damaged_entry_is_read_again(tmp_path: Path, damage: bytes) -> None:
    rule = Rule(tmp_path)
    rule.write()
    cache = SourceCache.memory()
    first = outcome(tmp_path, cache)
    name = f"{tmp_path / 'rule.yaml'}#many"
    entry = cache.get_spec(name)
    assert entry is not None
    cache.put_spec(name, entry[:32] + damage)
    assert outcome(tmp_path, cache) == first


def test_the_images_are_those_of_a_rule(tmp_path: Path) -> None:
    """Else the tests above compare nothing."""
    Rule(tmp_path).write()
    specs = load([tmp_path / "rule.yaml"]).specs
    assert all(isinstance(one, Unmade) for one in unmade(specs))
    assert any(isinstance(one, RuleImages) for one in getattr(specs, "large", ()))
