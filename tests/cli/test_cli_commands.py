"""What the commands print of specs and stores, and where they take their options from."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.cli.settings import UsageProblem, take_settings
from geobatch.cli.words import byte_text, columns, count_text
from geobatch.store.location import StoreLocation

UNTIDY = "# mine\nid: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\nkind:   image # an image\n"


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    write_tiff(tmp_path / "a.tif", [np.full((300, 280), 3, dtype=np.uint8)])
    return Workbench(folder=tmp_path)


def test_fmt_writes_and_check_does_not(bench: Workbench) -> None:
    path = bench.folder / "spec.yaml"
    path.write_text(UNTIDY)
    path.chmod(0o640)
    done = geobatch("fmt", "--check", path)
    assert (done.code, done.out) == (1, f"would format {path}\n")
    assert done.err == "1 of 1 file would change\n"
    assert path.read_text() == UNTIDY
    done = geobatch("fmt", path)
    assert (done.code, done.out) == (0, f"formatted {path}\n")
    assert path.read_text() != UNTIDY
    assert "# mine" in path.read_text()
    assert "# an image" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for argv in (["fmt", "--check"], ["fmt"]):
        done = geobatch(*argv, path)
        assert (done.code, done.out) == (0, "")
        assert done.err == "1 file checked: nothing to change\n"
    assert sorted(found.name for found in bench.folder.iterdir()) == ["a.tif", "spec.yaml"]


def test_fmt_follows_links(bench: Workbench) -> None:
    (bench.folder / "real").mkdir()
    (bench.folder / "real" / "spec.yaml").write_text(UNTIDY)
    link = bench.folder / "link.yaml"
    link.symlink_to("real/spec.yaml")
    assert geobatch("fmt", link).code == 0
    assert link.is_symlink()
    assert (bench.folder / "real" / "spec.yaml").read_text() != UNTIDY


def test_fmt_changes_no_file_if_one_is_broken_and_names_every_problem(bench: Workbench) -> None:
    texts = {"a.yaml": UNTIDY.encode(), "b.yaml": b"id: [\n", "c.yaml": b"id:   a # caf\xe9\n"}
    for name, data in texts.items():
        (bench.folder / name).write_bytes(data)
    done = geobatch("fmt", bench.folder)
    assert done.code == 1
    assert not done.out
    assert f"{bench.folder / 'b.yaml'}:2:1: yaml-syntax" in done.err
    assert f"{bench.folder / 'c.yaml'}:1:14: encoding: this byte is not UTF-8" in done.err
    for name, data in texts.items():
        assert (bench.folder / name).read_bytes() == data


def test_a_store_among_the_specs_is_passed_over(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default store is made where the command runs: `apply .` must work more than once."""
    monkeypatch.chdir(bench.folder)
    monkeypatch.delenv("GEOBATCH_STORE", raising=False)
    bench.write_spec([image("a", "a.tif")])
    before: dict[Path, bytes] = {}
    for _ in range(2):
        done = geobatch("apply", ".")
        assert (done.code, done.err) == (0, "")
        # The cache may learn: a source that has only just been written is looked at once more.
        files = {
            path: path.read_bytes()
            for path in bench.store.rglob("*")
            if path.is_file() and path.parent != bench.store / "cache"
        }
        assert before in ({}, files)
        before = files
    assert geobatch("fmt", ".").code == 0
    assert before == {path: path.read_bytes() for path in before}
    assert geobatch("validate", "store").code == 1


def test_schema_is_the_one_that_editors_are_pointed_to() -> None:
    kept = Path(__file__).parents[2] / "schema" / "geobatch.v1.json"
    assert json.loads(geobatch("schema").out) == json.loads(kept.read_text())


def test_a_listing_is_aligned_and_takes_a_prefix(bench: Workbench) -> None:
    names = ["b/long/name/of/an/asset", "b/x", "c"]
    bench.apply(*(image(name, "a.tif") for name in names))
    header, *lines = geobatch("--store", bench.store, "ls").out.splitlines()
    assert header.split() == ["ID", "KIND", "SIZE", "BANDS", "TILES", "START"]
    assert header.index("KIND") == lines[0].index("image ")
    assert geobatch("--store", bench.store, "-q", "ls").out.splitlines() == lines
    assert [line.split()[0] for line in lines] == names
    assert len({line.index(" image ") for line in lines}) == 1
    assert len({line.index("300") for line in lines} | {line.index("280") for line in lines}) == 2
    _, *chosen = geobatch("--store", bench.store, "ls", "b/").out.splitlines()
    assert [line.split()[0] for line in chosen] == names[:2]


def test_info_describes_what_readers_will_find(bench: Workbench) -> None:
    bench.apply(
        image("a", "a.tif", properties={"n": 3, "t": "3"}, start_time="2025-01-01",
              lifecycle={"protect": True})
    )  # fmt: skip
    text = geobatch("--store", bench.store, "info", "a").out
    for part in (
        "a  (image, protected)", "property    n  3\n", "property    t  '3'\n",
        "2025-01-01T00:00:00Z\n", "EPSG:32633", "pixel     10 x 10\n",
        "L0 280 x 300 - L1 140 x 150\n", "b1  uint8  MEAN", "source      a.tif",
    ):  # fmt: skip
        assert part in text, part
    machine = geobatch("--store", bench.store, "--json", "info", "a").record("asset")
    assert machine["is_protected"] is True
    assert machine["properties"] == {"n": 3, "t": "3"}
    (grid,) = machine["grids"]
    assert grid["shape"] == [300, 280]
    assert grid["crs"] == "EPSG:32633"
    assert grid["levels"] == 2
    group = bench.group(grid["path"])
    assert sorted(group.group_keys()) == ["0", "1"]


def test_show_prints_the_published_document(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif", memo="mine"))
    shown = json.loads(geobatch("--store", bench.store, "show", "a").out)
    assert shown["format"] == 1
    assert "mine" in json.dumps(shown)
    assert str(bench.folder) not in json.dumps(shown), "no path of this machine"


def test_log_and_at_go_back(bench: Workbench) -> None:
    for number in range(3):
        bench.apply(image(f"a{number}", "a.tif"))
    store = ["--store", str(bench.store)]
    lines = geobatch(*store, "log").out.splitlines()
    assert [line.split()[0] for line in lines] == ["3", "2", "1"]
    assert all("create 1" in line for line in lines)
    assert geobatch(*store, "log", "-n", "1").out.splitlines() == lines[:1]
    assert geobatch(*store, "log", "-n", "9" * 30).out.splitlines() == lines
    records = [line for line in geobatch(*store, "--json", "log").lines if line["type"] == "commit"]
    assert [record["parent"] for record in records] == [
        records[1]["commit"], records[2]["commit"], None,
    ]  # fmt: skip
    for ref in ("1", "HEAD~2", records[2]["commit"], records[2]["commit"][:8]):
        assert geobatch(*store, "-q", "ls", "--at", ref).out.split()[0] == "a0"
        assert geobatch(*store, "info", "--at", ref).out.count("assets        1\n") == 1
        assert geobatch(*store, "info", "a1", "--at", ref).code == 1
        assert geobatch(*store, "show", "a0", "--at", ref).code == 0


def test_init_makes_a_store_and_keeps_one(bench: Workbench) -> None:
    first = geobatch("--store", bench.store, "--json", "init").record("store")
    again = geobatch("--store", bench.store, "--json", "init").record("store")
    assert (first["is_new"], again["is_new"]) == (True, False)
    assert first["id"] == again["id"]


def test_reading_makes_nothing(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    before = sorted(bench.folder.rglob("*"))
    spec = bench.folder / "spec.yaml"
    for argv in (["ls"], ["info"], ["info", "a"], ["show", "a"], ["log"], ["plan", str(spec)]):
        assert geobatch("--store", bench.store, *argv).code == 0
    assert geobatch("--store", bench.folder / "other", "plan", "--init", spec).code == 0
    assert sorted(bench.folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("argv", "rest", "store", "workers"),
    [
        (["--store", "x", "ls"], ("ls",), "x", None),
        (["ls", "--store=x", "-j", "3"], ("ls",), "x", 3),
        (["-j3", "ls"], ("ls",), "store", 3),
        (["ls", "--jobs=3", "a"], ("ls", "a"), "store", 3),
        (["ls", "--", "--store", "x"], ("ls", "--", "--store", "x"), "store", None),
        (["log", "-n", "5"], ("log", "-n", "5"), "store", None),
    ],
)
def test_global_options_stand_anywhere(
    argv: list[str], rest: tuple[str, ...], store: str, workers: int | None
) -> None:
    settings, found = take_settings(argv, {})
    assert (found, str(settings.store), settings.workers) == (rest, store, workers)


def test_the_environment_names_the_store_and_the_option_wins() -> None:
    env = {"GEOBATCH_STORE": "there"}
    assert take_settings(["ls"], env)[0].store == StoreLocation.of("there")
    assert take_settings(["--store", "here", "ls"], env)[0].store == StoreLocation.of("here")
    assert take_settings(["ls"], {"GEOBATCH_STORE": ""})[0].store == StoreLocation.of("store")
    with pytest.raises(UsageProblem, match="`--store`"):
        take_settings(["ls", "--store"], env)


def test_numbers_as_people_read_them() -> None:
    assert [byte_text(count) for count in (0, 999, 1000, 1_849_000, 2 * 10**15)] == [
        "0 B", "999 B", "1.0 kB", "1.8 MB", "2000.0 TB",
    ]  # fmt: skip
    assert [count_text(count, "tile") for count in (0, 1, 1204)] == [
        "0 tiles", "1 tile", "1,204 tiles",
    ]  # fmt: skip
    assert list(columns([("a", "1", ""), ("bcd", "22", "z")], right={1})) == [
        "a     1", "bcd  22  z",
    ]  # fmt: skip
    assert not list(columns([]))


def test_info_of_a_collection_tells_what_its_assets_have_in_common(bench: Workbench) -> None:
    both = [{"id": "red", "tileset_id": "t"}]
    bench.apply(
        *(
            image(name, "a.tif", bands=[{**both[0], "id": band}], start_time=start)
            for name, band, start in (
                ("s2/l2a/x", "red", "2024-03-01"),
                ("s2/l2a/y", "red", "2025-03-01"),
                ("s2/l2ab", "nir", "2020-01-01"),
            )
        )
    )
    store = ("--store", bench.store)
    for name in ("s2/l2a", "s2/l2a/"):
        told = geobatch(*store, "--json", "info", name).record("collection")
        assert (told["id"], told["assets"], told["kinds"]) == ("s2/l2a", 2, {"image": 2})
        assert told["start_time"] == "2024-03-01T00:00:00Z"
        assert told["end_time"].startswith("2025-03-0")
        assert (told["bands"], told["other_bands"]) == (["red"], [])
        left, bottom, right, top = told["bounds_4326"]
        assert -180 <= left < right <= 180
        assert -90 <= bottom < top <= 90
    shown = geobatch(*store, "info", "s2").out
    assert "3 image" in shown
    assert "none in common" in shown
    assert "red, nir" in shown
    assert geobatch(*store, "info", "s2/l2").code == 1
    assert geobatch(*store, "info", "/").code == 1


def test_the_log_of_an_asset_follows_its_names(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    bench.apply(image("a", "a.tif"), image("other", "a.tif"))
    bench.apply(image("a", "a.tif", properties={"n": 1}), image("other", "a.tif"))
    bench.apply(image("b", "a.tif", properties={"n": 1}, moved_from="a"), image("other", "a.tif"))
    store = ("--store", bench.store)

    def numbers(*argv: str) -> list[int]:
        lines = geobatch(*store, "--json", "log", *argv).lines
        return [line["number"] for line in lines if line["type"] == "commit"]

    assert numbers() == [4, 3, 2, 1]
    assert numbers("b") == [4, 3, 1]
    assert numbers("b", "-n", "2") == [4, 3]
    assert numbers("other") == [2]
    assert numbers("a") == [4, 3, 1]
    lost = geobatch(*store, "log", "othr")
    assert lost.code == 1
    assert "`other`" in lost.err


def test_the_log_shows_who_asked_for_a_commit(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [np.full((8, 8), 7, np.uint8)])
    spec = Workbench(folder=tmp_path).write_spec([image("a", "a.tif")])
    pull = "https://git.example/a/b/pull/12"
    store = ("--store", tmp_path / "store")
    done = geobatch("apply", spec, *store, "-m", "Lower\x1b[31m\nthe mask", "--pull-request", pull)
    assert done.code == 0
    first, below = geobatch("log", *store).out.splitlines()
    assert first.endswith("1 asset    create 1")
    assert below == f"        Lower\\x1b[31m the mask  {pull}"
    assert geobatch("log", *store, "--json").record("commit")["provenance"] == {
        "message": "Lower\x1b[31m the mask", "author": "", "git_commit": "", "has_changes": False,
        "pull_request": pull,
    }  # fmt: skip
