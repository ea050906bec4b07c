"""A glob's files are sorted by the numbers in their names; a warning says so where it matters."""

from __future__ import annotations

import random
import re
from functools import cmp_to_key
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from shell import geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.declare import expand, validate
from geobatch.declare.files.find import matches
from geobatch.declare.files.order import file_key, in_order, shown_order
from geobatch.declare.projects.project import Location

DIGITS = "0123456789"


@pytest.mark.parametrize(
    "names",
    [
        [f"pred-{n}.tfrecord" for n in range(121)],
        [f"pred-{n:05}-of-00012.tfrecord.gz" for n in range(12)],
        [f"pred-{n}-of-12.tfrecord.gz" for n in range(12)],
        [f"t_{row}_{col}.tif" for row in range(8, 12) for col in range(8, 12)],
        [f"{row}/{col}.tif" for row in (1, 2, 10) for col in (1, 2, 10)],
        ["a-9.tif", "a-10.tif", "a.tif", "a9.tif", "a09b.tif", "a10.tif", "aa.tif"],
        ["0", "00", "000", "1", "01", "2", "010", "10"],
        ["x007", "x07", "x7", "x8", "x008b"],
        ["n" + "9" * 5000, f"n1{'0' * 5000}", f"n1{'0' * 4999}1"],
        ["n9", "n10", "n\u00b2", "n\u0663", "n\uff11"],  # other digits are text
    ],
)  # fmt: skip
def test_digits_are_numbers(names: list[str]) -> None:
    shuffled = random.Random(7).sample(names, len(names))
    expected = names
    if "00" in names:
        expected = ["0", "00", "000", "01", "1", "2", "010", "10"]
    assert in_order(shuffled) == expected


def compared(one: str, two: str) -> int:
    """Compare two names character by character, a run of digits as one: an oracle of loops."""
    at = [0, 0]
    names = (one, two)
    while at[0] < len(one) and at[1] < len(two):
        if one[at[0]] in DIGITS and two[at[1]] in DIGITS:
            runs = ["", ""]
            for side in (0, 1):
                while at[side] < len(names[side]) and names[side][at[side]] in DIGITS:
                    runs[side] += names[side][at[side]]
                    at[side] += 1
            if int(runs[0]) != int(runs[1]):
                return int(runs[0]) - int(runs[1])
        elif one[at[0]] != two[at[1]]:
            return ord(one[at[0]]) - ord(two[at[1]])
        else:
            at = [at[0] + 1, at[1] + 1]
    rest = (len(one) - at[0]) - (len(two) - at[1])
    return rest or (one > two) - (one < two)


NAMES = st.text(alphabet="019-._/aZ\u0663\u00b2\udce4", max_size=12)


@given(names=st.lists(NAMES, max_size=20))
@example(names=["a", "a0", "a00", "a-", "a.", "a/", "a:", "aa"])
def test_the_order_is_that_of_the_definition_and_total(names: list[str]) -> None:
    assert in_order(names) == sorted(names, key=cmp_to_key(compared))
    assert in_order(names) == in_order(reversed(names))


@given(names=st.lists(st.text(alphabet="-._/aZ:\u00e9", max_size=9)))
def test_without_digits_it_is_the_order_of_text(names: list[str]) -> None:
    assert in_order(names) == sorted(names)


@given(numbers=st.sets(st.integers(0, 10**6), max_size=30), width=st.just(7))
def test_zero_padded_numbers_are_in_both_orders(numbers: set[int], width: int) -> None:
    names = [f"p-{n:0{width}}.tif" for n in numbers]
    assert in_order(names) == sorted(names)


def test_a_glob_follows_it_wherever_it_is_read(tmp_path: Path) -> None:
    for number in (0, 1, 2, 9, 10, 11, 100):
        (tmp_path / f"s_{number}.tif").touch()
    names = matches(Location("s_*.tif", tmp_path, "s_*.tif")).files
    assert names == [f"s_{n}.tif" for n in (0, 1, 2, 9, 10, 11, 100)]
    for number in range(12):
        (tmp_path / f"p-{number}.tfrecord").touch()
    (tmp_path / "p-mixer.json").touch()
    spec = tmp_path / "x.yaml"
    spec.write_text(
        "{id: a, tilesets: [{sources: [{uris: [p-mixer.json, 'p-*.tfrecord']}]}]}\n"
        "---\n{id: b, kind: table, sources: [{uris: ['p-*.tfrecord']}]}\n"
    )
    image_, table = (expand(one) for one in validate([spec]).specs)
    expected = [f"p-{number}.tfrecord" for number in range(12)]
    assert [shard.uri for shard in image_.tilesets[0][0].shards] == expected
    assert [file.uri for file in table.table] == expected


def test_an_order_is_shown_by_its_ends() -> None:
    names = [f"p{n}" for n in range(1200)]
    assert shown_order(names) == "`p0`, `p1`, ..., `p1198`, `p1199` (1,200 files)"
    assert shown_order(names[:4]) == "`p0`, `p1`, `p2`, `p3` (4 files)"


# --- warnings, and the pixels of a mosaic -------------------------------------------------------


def mosaic(folder: Path, numbers: range) -> Document:
    """Write tiles of one place, each with its number in all pixels."""
    for number in numbers:
        pixels = np.full((8, 8), number, dtype=np.uint8)
        write_tiff(folder / f"day_{number}.tif", [pixels])
    return image("x", "day_*.tif")


def warned(done: str) -> list[str]:
    return [line for line in done.splitlines() if "file-order" in line]


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_an_order_that_is_not_that_of_text_is_told_once_per_asset(
    tmp_path: Path, command: str
) -> None:
    document = mosaic(tmp_path, range(12))
    document["tilesets"].append({"id": "u", "sources": [{"uris": ["day_*.tif"]}]})
    spec = Workbench(folder=tmp_path).write_spec([document])
    store = () if command == "validate" else ("--store", tmp_path / "store")
    for _ in range(2):  # every time
        done = geobatch(*store, command, spec)
        assert done.code == 0, done
        (line,) = warned(done.err)
        assert f"{spec}:7:7:" in line
        assert "`day_0.tif`, `day_1.tif`, ..., `day_10.tif`, `day_11.tif` (12 files)" in line
        assert "likewise in 1 more" in line
    (tmp_path / "geobatch.yaml").write_text("silence: [file-order]\n")
    assert not warned(geobatch(*store, command, spec).err)


def test_orders_that_are_those_of_text_are_not_told(tmp_path: Path) -> None:
    spec = Workbench(folder=tmp_path).write_spec([mosaic(tmp_path, range(10))])
    assert not warned(geobatch("validate", spec).err)
    listed = [f"day_{number}.tif" for number in (10, 9, 11, 1)]
    mosaic(tmp_path, range(12))
    Workbench(folder=tmp_path).write_spec([image("x", *listed)])
    assert not warned(geobatch("validate", spec).err)


def test_the_last_number_wins_and_the_plan_tells_what_is_reordered(tmp_path: Path) -> None:
    document = mosaic(tmp_path, range(12))
    bench = Workbench(folder=tmp_path)
    # What an order by text gave before.
    bench.apply(image("x", *sorted(f"day_{number}.tif" for number in range(12))))
    assert bench.array("x/0/b1").max() == 9
    spec = bench.write_spec([document])
    planned = geobatch("--store", bench.store, "plan", spec)
    assert "1 update" in planned.out, planned
    assert "order of sources" in planned.out, planned
    bench.apply(document)
    assert (bench.array("x/0/b1") == 11).all()
    assert geobatch("--store", bench.store, "plan", "--detailed-exitcode", spec).code == 0


def test_listed_shards_keep_their_order_and_a_shells_is_told(tmp_path: Path) -> None:
    names = [f"p-{number}.tfrecord" for number in range(12)]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "p-mixer.json").touch()
    spec = tmp_path / "x.yaml"

    def told(listed: list[str]) -> list[str]:
        sources = [{"uris": [*listed, "p-mixer.json"]}]
        rows = {"id": "t", "kind": "table", "sources": [{"uris": listed}]}
        documents = [{"id": "x", "tilesets": [{"sources": sources}]}, rows]
        spec.write_text(yaml.safe_dump_all(documents))
        table, found = (expand(one) for one in validate([spec]).specs)
        assert [file.uri for file in table.table] == listed
        assert [shard.uri for shard in found.tilesets[0][0].shards] == listed
        return warned(geobatch("validate", spec).err)

    assert not told(names)
    assert not told(names[::-1])  # nobody's mistake: it was meant
    lines = told(sorted(names))
    assert len(lines) == 2
    assert all("read as listed" in line for line in lines)


@given(names=st.lists(st.from_regex(r"[ab_]{1,2}[0-9]{1,3}[a_]?", fullmatch=True), max_size=8))
def test_the_short_way_gives_the_same_order(names: list[str]) -> None:
    """Names of one outline are sorted as text, others by their keys."""
    assert in_order(names) == sorted(names, key=file_key)
    outlines: dict[str, list[str]] = {}
    for name in names:
        outlines.setdefault(re.sub("[0-9]", "0", name), []).append(name)
    for alike in outlines.values():
        assert in_order(alike) == sorted(alike, key=file_key)
