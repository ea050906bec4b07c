"""Exit codes and messages: what went wrong, where, and what to do, for each way to go wrong."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from pathlib import Path

import numpy as np
import pytest
import rasterio
from shell import Done, geobatch, process
from workbench import Workbench, image, write_tiff

from geobatch.cli.main import run


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    pixels = np.random.default_rng(1).integers(0, 255, (300, 280)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels], layout={"tiled": True, "compress": "deflate"})
    bench = Workbench(folder=tmp_path)
    bench.write_spec([image("a", "a.tif")])
    return bench


def call(bench: Workbench, *argv: str) -> Done:
    """Run a command twice, for people and for machines; the two must say the same."""
    done = geobatch("--store", bench.store, *argv)
    machine = geobatch("--store", bench.store, "--json", *argv)
    assert machine.lines[-1] == {"type": "exit", "code": machine.code}
    assert "Traceback" not in done.err + machine.err
    if done.code in (0, 2) or argv[0] == "status":
        assert not done.err or argv[0] == "fmt"
    else:
        assert machine.code == done.code
        error = machine.record("error")
        assert not machine.err
        for line in str(error["message"]).splitlines():
            assert line.strip() in done.err
        assert str(error.get("hint", "")) in done.err
    return done


def spec(bench: Workbench) -> str:
    return str(bench.folder / "spec.yaml")


@pytest.mark.parametrize("command", ["validate", "fmt", "plan", "apply"])
def test_well_is_0(bench: Workbench, command: str) -> None:
    assert call(bench, command, spec(bench)).code == 0


def test_changes_are_2_only_if_asked_for(bench: Workbench) -> None:
    assert call(bench, "plan", spec(bench)).code == 0
    assert call(bench, "plan", "--detailed-exitcode", spec(bench)).code == 2
    call(bench, "apply", spec(bench))
    assert call(bench, "plan", "--detailed-exitcode", spec(bench)).code == 0
    bench.write_spec([image("a", "a.tif", memo="new")])
    assert call(bench, "plan", "--detailed-exitcode", spec(bench)).code == 2


def test_status_says_what_differs_only_if_asked_for(bench: Workbench) -> None:
    def codes(*paths: str) -> tuple[int, int]:
        """Return the exit codes without and with the option."""
        plain = call(bench, "status", *paths).code
        return plain, call(bench, "status", "--detailed-exitcode", *paths).code

    declared = spec(bench)
    assert codes(declared) == (0, 2)  # no store yet
    call(bench, "apply", declared)
    assert codes(declared) == codes() == (0, 0)
    bench.write_spec([image("a", "a.tif", memo="new")])
    assert codes(declared) == (0, 2)
    assert codes() == (0, 0)
    call(bench, "apply", declared)
    source = bench.folder / "a.tif"
    data = source.read_bytes()
    write_tiff(source, [np.full((4, 4), 9, np.uint8)])
    assert codes(declared) == (0, 2)
    source.write_bytes(b"II*")
    assert codes(declared) == (0, 7)
    source.unlink()
    assert codes(declared) == (0, 7)
    source.write_bytes(data)
    assert codes(declared) == (0, 0)
    # What is published and not declared is no difference: the next apply leaves it.
    other = bench.write_spec([image("b", "a.tif")], "other.yaml")
    call(bench, "apply", str(other))
    assert codes(declared) == (0, 0)
    bench.write_spec([image("c", "a.tif", moved_from="a")])
    assert codes(declared) == (0, 2)
    call(bench, "apply", declared)
    (bench.store / "zarr" / "c" / "zarr.json").unlink()
    assert codes(declared) == codes() == (0, 2)


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_wrong_specs_are_1_with_the_place_of_every_problem(bench: Workbench, command: str) -> None:
    folder = bench.folder / "specs"
    folder.mkdir()
    (folder / "one.yaml").write_text(
        "kind: image\nid: a\ntilesets:\n  - sources: [{uri: [x.tif]}]\npropertis: {}\n"
    )
    (folder / "two.yaml").write_text(
        "id: b\ntilesets: [{sources: [{uris: [none.tif]}]}]\ntile: 3\n"
    )
    (folder / "three.yaml").write_text("id: [\n")
    done = call(bench, command, str(folder))
    assert done.code == 1
    assert not done.out
    for place in ("one.yaml:4:15: ", "one.yaml:5:1: ", "two.yaml:2:31: ", "two.yaml:3:1: ",
                  "three.yaml:2:1: "):  # fmt: skip
        assert f"\n{folder / place}" in f"\n{done.err}", place
    assert "did you mean `uris`" in done.err
    assert "did you mean `properties`" in done.err
    assert not bench.store.exists()


def test_json_gives_the_parts_of_every_problem(bench: Workbench) -> None:
    path = bench.write_spec([image("a", "a.tif", propertis={}), image("b", "b.tif")])
    error = geobatch("--json", "validate", path).record("error")
    assert error["code"] == "spec"
    assert [(p["path"], p["line"], p["rule"]) for p in error["problems"]] == [
        (str(path), 10, "unknown-key"),
        (str(path), 18, "missing-file"),
    ]
    assert all(p["hint"] and p["message"] and p["column"] > 0 for p in error["problems"])


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
@pytest.mark.parametrize("uri", ["none.tif", "none/*.tif", "."])
def test_missing_sources_are_7_with_their_places(bench: Workbench, command: str, uri: str) -> None:
    bench.write_spec([image("a", uri), image("b", uri)])
    done = call(bench, command, spec(bench))
    assert done.code == 7
    assert done.err.count(f"{spec(bench)}:") == 2
    assert not bench.store.exists()


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif how == "flipped":
        with rasterio.open(path) as dataset:
            offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_0", "TIFF", bidx=1))
        data[offset : offset + 16] = bytes(16)
        path.write_bytes(data)
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "another format":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    elif how == "no place":
        write_tiff(path, [np.zeros((9, 9), np.uint8)], crs=None)
    elif how == "complex":
        write_tiff(path, [np.zeros((9, 9), np.complex64)])


@pytest.mark.parametrize(
    "how", ["cut", "flipped", "empty", "another format", "no place", "complex"]
)
def test_unreadable_sources_are_7_and_nothing_is_published(bench: Workbench, how: str) -> None:
    damage(bench.folder / "a.tif", how)
    done = call(bench, "-j", "1", "apply", spec(bench))
    assert done.code == 7
    assert "`a.tif`" in done.err
    assert "commit" not in done.out
    if how in ("cut", "flipped"):
        assert "band index 0, block (row " in done.err
        assert geobatch("--store", bench.store, "log").out == ""
    else:
        assert not bench.store.exists()


@pytest.mark.parametrize(
    "argv", [["ls"], ["info"], ["info", "a"], ["show", "a"], ["log"], ["ls", "--at", "1"]]
)
def test_no_store_is_10(bench: Workbench, argv: list[str]) -> None:
    done = call(bench, *argv)
    assert done.code == 10
    assert str(bench.store) in done.err
    assert "`geobatch init --store " in done.err
    assert not bench.store.exists()


def test_a_folder_that_holds_something_else_is_said_to(bench: Workbench) -> None:
    """There, the command that creates a store would be refused."""
    bench.store.mkdir()
    assert "`geobatch init --store " in call(bench, "ls").err
    (bench.store / "letters.txt").write_text("mine")
    for argv in (["ls"], ["plan", spec(bench), "--store", bench.store]):
        done = call(bench, *argv)
        assert done.code == 10
        assert "it holds `letters.txt`" in done.err
        assert "geobatch init" not in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ["appl", "x"], ["apply"], ["plan"], ["validate"], ["fmt"], ["show"], ["--bogus"],
        ["ls", "--bogus"], ["ls", "a", "b"], ["ls", "--at"], ["log", "-n", "0"], ["log", "-n", "x"],
        ["-j", "0", "ls"], ["-j", "x", "ls"], ["-j"], ["ls", "-j", "-1"], ["-j", "1e3", "ls"],
        ["-j", "99999", "ls"], ["--jobs=", "ls"], ["--store"], ["--store=", "ls"], ["init", "x"],
        ["", "x"], ["\0"], ["--json=yes", "ls"], ["--"], ["new"], ["new", "x"], ["--version=1"],
    ],
)  # fmt: skip
def test_wrong_usage_is_64(bench: Workbench, argv: list[str]) -> None:
    done = call(bench, *argv)
    assert done.code == 64
    assert not done.out
    assert done.err.startswith("error: ")
    assert "--help`." in done.err
    assert not bench.store.exists()


def test_a_mistyped_command_is_recognised(bench: Workbench) -> None:
    assert "'apply'" in call(bench, "aply", "x").err


def test_unknown_names_are_1_with_what_was_meant(bench: Workbench) -> None:
    bench.write_spec([image("island/north", "a.tif")])
    call(bench, "apply", spec(bench))
    for name in ("info", "show"):
        done = call(bench, name, "island/nort")
        assert done.code == 1
        assert "did you mean `island/north`?" in done.err
    for ref in ("7", "HEAD~1", "abcdef", "no", "HEAD~x", "", "٣"):
        done = call(bench, "ls", "--at", ref)
        assert done.code == 1
        assert f"`{ref}`" in done.err


def test_damaged_objects_are_6(bench: Workbench) -> None:
    call(bench, "apply", spec(bench))
    document = json.loads(geobatch("--store", bench.store, "--json", "log").out.splitlines()[0])
    tree = bench.store / "objects" / document["tree"][:2] / document["tree"][2:]
    tree.chmod(0o644)
    tree.write_bytes(tree.read_bytes().replace(b"image", b"imagE"))
    for argv in (["ls"], ["info", "a"], ["plan", spec(bench)], ["apply", spec(bench)]):
        done = call(bench, *argv)
        assert done.code == 6
        assert str(tree.relative_to(bench.store)) in done.err
        assert "restore" in done.err


@pytest.mark.parametrize("argv", [["ls"], ["init"], ["plan", "SPEC"], ["apply", "SPEC"], ["log"]])
def test_a_store_of_a_newer_format_is_12(bench: Workbench, argv: list[str]) -> None:
    call(bench, "init")
    identity = bench.store / "geobatch.json"
    identity.chmod(0o644)
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"format": 99}))
    before = sorted(bench.store.rglob("*"))
    done = call(bench, *[spec(bench) if arg == "SPEC" else arg for arg in argv])
    assert done.code == 12
    assert "99" in done.err
    assert sorted(bench.store.rglob("*")) == before


@pytest.mark.parametrize("argv", [["init"], ["apply", "SPEC"]])
def test_a_folder_that_holds_other_things_is_no_store(bench: Workbench, argv: list[str]) -> None:
    bench.store.mkdir()
    (bench.store / "thesis.txt").write_text("precious")
    done = call(bench, *[spec(bench) if arg == "SPEC" else arg for arg in argv])
    assert done.code == (1 if argv == ["init"] else 10)
    assert "thesis.txt" in done.err
    assert "--store" in done.err
    assert [path.name for path in bench.store.iterdir()] == ["thesis.txt"]


def test_a_store_that_is_a_file(bench: Workbench) -> None:
    bench.store.write_text("precious")
    for argv, code in ((["init"], 1), (["apply", spec(bench)], 1), (["ls"], 10)):
        done = call(bench, *argv)
        assert done.code == code
        assert str(bench.store) in done.err
    assert bench.store.read_text() == "precious"


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "fmt"])
def test_specs_that_are_not_there(bench: Workbench, command: str) -> None:
    done = call(bench, command, str(bench.folder / "none"))
    assert done.code == 1
    assert f"{bench.folder / 'none'}:1:1: missing-spec" in done.err


@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_a_folder_without_specs(bench: Workbench, command: str) -> None:
    (bench.folder / "empty").mkdir()
    done = call(bench, command, str(bench.folder / "empty"))
    assert done.code == 1
    assert "no asset is declared" in done.err


def test_a_raster_given_for_a_spec(bench: Workbench) -> None:
    done = call(bench, "apply", str(bench.folder / "a.tif"))
    assert done.code == 1
    assert f"{bench.folder / 'a.tif'}:1:" in done.err


class Interrupting(io.StringIO):
    """A stdout at whose first line the process is interrupted."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self.number = number

    def write(self, text: str) -> int:
        if not self.tell():
            super().write(text)
            signal.raise_signal(self.number)
        return super().write(text)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_of_any_command_is_told(number: signal.Signals, code: int) -> None:
    # A shell starts what runs in the background with SIGINT ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stdout, stderr = Interrupting(number), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            assert run(["schema"]) == code
        finally:
            signal.signal(signal.SIGINT, before)
    assert stderr.getvalue().startswith("error: interrupted\nhint: run the same command again")


def test_the_codes_are_those_of_the_process(bench: Workbench) -> None:
    for argv, code in (
        (["--store", str(bench.store), "ls"], 10),
        (["appl"], 64),
        (["validate", str(bench.folder / "none")], 1),
        (["--store", str(bench.store), "plan", "--detailed-exitcode", spec(bench)], 2),
    ):
        done = process(*argv)
        assert done.code == code
        assert "Traceback" not in done.err
