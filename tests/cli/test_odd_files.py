"""Files and names that are no specs: a clear error, never a traceback, and never without an end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import yaml
from shell import geobatch
from workbench import image, write_tiff

OK = yaml.safe_dump(image("a", "a.tif"))
FILES = {
    "binary": bytes(range(256)),
    "latin": b"id: \xe9\n",
    "utf16": OK.encode("utf-16"),
    "empty": b"",
    "mark": b"\xef\xbb\xbf",
    "comment": b"# nothing\n",
    "big": b"#" * (10 << 20) + b"\n" + OK.encode(),
    "tag": b"!!python/object:os.system {id: b}\n",
    "twice": b"id: a\nid: b\n",
    "loop": b"&a [*a]\n",
    "deep": b"[" * 100_000,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((4, 4), 7, np.uint8)])
    return tmp_path


@pytest.mark.parametrize("name", [*FILES, "/dev/null", "/dev/full", "nowhere", "a.tif"])
@pytest.mark.parametrize("command", ["validate", "plan", "apply", "fmt", "import", "status"])
def test_a_file_that_is_no_spec(folder: Path, name: str, command: str) -> None:
    path = name
    if name in FILES:
        path = f"{name}.yaml"
        (folder / path).write_bytes(FILES[name])
    done = geobatch(command, path)
    assert "bug in geobatch" not in done.err
    # The default store of this folder is not beside what lies in `/dev`.
    codes = {"fmt": (0, 1), "status": (0, 1, 10), "plan": (1, 10), "apply": (1, 10)}
    assert done.code in codes.get(command, (1,))
    assert done.code != 10 or name.startswith("/dev") or command == "status"
    if name in FILES:
        assert (folder / path).read_bytes() == FILES[name]


@pytest.mark.parametrize("text", [f"\ufeff{OK}", OK.replace("\n", "\r\n"), OK.replace("\n", "\r")])
def test_marks_and_line_ends_do_not_matter(folder: Path, text: str) -> None:
    (folder / "s.yaml").write_bytes(text.encode())
    assert geobatch("validate", "s.yaml").code == 0


@pytest.mark.parametrize(
    "argv",
    [
        ["plan", "s.yaml", "-o", "."],
        ["plan", "s.yaml", "-o", ""],
        ["plan", "s.yaml", "-o", "nowhere/p.json"],
        ["apply", "s.yaml", "--expect-plan", "abc"],
        ["apply", "s.yaml", "--expect-plan", "not-a-plan"],
        ["plan", "s.yaml", "-o", "pipe"],
        ["new", "image", "a.tif", "--asset-id", "\udcff"],
        ["new", "image", "\udcff.tif", "--asset-id", "a"],
    ],
)
def test_arguments_that_name_nothing(folder: Path, argv: list[str]) -> None:
    (folder / "s.yaml").write_text(OK)
    os.mkfifo("pipe")
    assert geobatch(*argv).code == 64
    assert Path("pipe").is_fifo()
