"""Streams: data on stdout and the rest on stderr, whatever becomes of either."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from shell import command, environment, geobatch, process
from workbench import Workbench, image, write_tiff

ESCAPES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    folder = tmp_path_factory.mktemp("streams")
    write_tiff(folder / "a.tif", [np.arange(90, dtype=np.uint8).reshape(9, 10)])
    bench = Workbench(folder=folder)
    names = [f"scene/{number:04}" for number in range(300)]
    bench.apply(*(image(name, "a.tif", properties={"title": "Größe ☃"}) for name in names))
    return bench


def shell(bench: Workbench, text: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of shell, in which `geobatch` is the command line with the bench's store."""
    words = " ".join(f"'{word}'" for word in command("--store", bench.store))
    return subprocess.run(
        ["bash", "-c", f'geobatch() {{ {words} "$@"; }}\n{text}'],
        capture_output=True, check=False, timeout=60, cwd=bench.folder, env=environment(**env),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "geobatch ls | head -n 1",
        "geobatch --json ls | head -n 1",
        "geobatch ls --json | true",
        "geobatch info nothing --json | true",
        "geobatch --json --bogus | true",
        "geobatch --help | true",
        "geobatch schema | head -c 1",
    ],
)
def test_a_reader_that_has_seen_enough_is_no_error(bench: Workbench, text: str) -> None:
    assert shell(bench, text).stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("more", ["", "--json"])
def test_a_full_disk_is_an_error_in_a_line(bench: Workbench, more: str) -> None:
    done = shell(bench, f"geobatch ls {more} > /dev/full")
    assert done.returncode == 1
    assert re.fullmatch(rb"error: [^\n]*No space left on device\n", done.stderr)


@pytest.mark.parametrize("more", ["", "--json"])
def test_streams_may_be_closed(bench: Workbench, more: str) -> None:
    assert shell(bench, f"geobatch ls {more} >&-").returncode == 0
    done = shell(bench, f"geobatch info nothing {more} 2>&-")
    assert done.returncode == 1
    assert done.stdout.count(b"\n") == (2 if more else 0)
    assert shell(bench, f"geobatch info nothing {more} >&- 2>&- <&-").returncode == 1


def test_no_locale_is_too_poor(bench: Workbench) -> None:
    for text in ("geobatch info scene/0001", "geobatch --json info scene/0001"):
        done = shell(bench, text, PYTHONIOENCODING="ascii", LC_ALL="C")
        assert (done.returncode, done.stderr) == (0, b"")
        assert b"Gr\\" in done.stdout


def test_data_goes_to_stdout_and_errors_to_stderr(bench: Workbench) -> None:
    done = geobatch("--store", bench.store, "ls")
    assert done.out.count("\n") == 301  # one is of names
    assert not done.err
    done = geobatch("--store", bench.store, "info", "nothing")
    assert not done.out
    assert done.err.startswith("error: ")


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_quiet_leaves_out_notes_and_keeps_data_and_errors(bench: Workbench, quiet: str) -> None:
    store = ["--store", str(bench.store)]
    noted, silent = geobatch(*store, "ls", "x"), geobatch(*store, quiet, "ls", "x")
    assert noted.err == "no asset id starts with `x`\n"
    assert (silent.out, silent.err, silent.code) == ("", "", 0)
    header, *lines = geobatch(*store, "ls").out.splitlines()
    assert header.startswith("ID ")
    assert geobatch(*store, "ls", quiet).out.splitlines() == lines != []
    assert geobatch(*store, quiet, "info", "nothing").err == geobatch(*store, "info", "nothing").err


@pytest.mark.parametrize("env", [{}, {"NO_COLOR": "1"}, {"TERM": "xterm-256color"}])
def test_no_escape_codes_where_there_is_no_terminal(tmp_path: Path, env: dict[str, str]) -> None:
    write_tiff(tmp_path / "a.tif", [np.arange(90, dtype=np.uint8).reshape(9, 10)])
    (tmp_path / "spec.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    for argv in (["apply", "spec.yaml"], ["apply"]):
        done = process(*argv, cwd=tmp_path, **env)
        assert not ESCAPES.search(done.out + done.err)


def test_names_do_not_steer_the_terminal(tmp_path: Path) -> None:
    write_tiff(tmp_path / "\x1b]0;a\x07.tif", [np.zeros((9, 10), dtype=np.uint8)])
    (tmp_path / "spec.yaml").write_text("id: a\ntilesets: [{sources: [{uris: ['*.tif']}]}]\n")
    done = geobatch("--store", tmp_path / "store", "apply", tmp_path / "spec.yaml")
    assert done.code == 0
    done = geobatch("--store", tmp_path / "store", "info", "a")
    assert "\\x1b]0;a\\x07.tif" in done.out
    assert not ESCAPES.search(done.out)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no pseudo-terminals here")
@pytest.mark.parametrize("more", [[], ["-q"], ["--json"]])
def test_bars_are_drawn_on_a_terminal_only_where_wanted(tmp_path: Path, more: list[str]) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (1500, 1500)).astype(np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels])
    (tmp_path / "spec.yaml").write_text(
        "id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\ntiling: {tile: 128}\n"
    )
    leader, follower = os.openpty()
    running = subprocess.Popen(
        command("apply", "spec.yaml", *more), cwd=tmp_path, stderr=follower,
        stdout=subprocess.PIPE, env=environment(TERM="xterm", COLUMNS="100"),
    )  # fmt: skip
    os.close(follower)
    drawn = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            drawn += os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
    out = running.communicate(timeout=60)[0]
    os.close(leader)
    assert running.returncode == 0
    assert not ESCAPES.search(out.decode())
    assert bool(drawn) == (not more)
    assert more or b"tiles" in drawn
