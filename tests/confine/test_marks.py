"""Names and texts of strangers reach a terminal without what steers it or reorders a line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from shell import geobatch
from workbench import write_tiff

MARKS = "\u202e\u2066\u200b\u2028\u061c\ufeff\x1b]0;x\x07\x9b2J\r"
STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (f"a{MARKS.replace('/', '')}.tif", "b\n  + fake  create.tif"):
        write_tiff(tmp_path / name, [np.zeros((9, 10), dtype=np.uint8)])
    spec = {
        "id": "a",
        "tilesets": [{"sources": [{"uris": ["*.tif"]}]}],
        "properties": {"k": f"v{MARKS}\n  - zap"},
        "memo": f"m{MARKS}\n  - zap",
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(spec, allow_unicode=False))
    return tmp_path


def test_no_command_prints_them_raw(folder: Path) -> None:
    store = ("--store", folder / "store")
    for argv in (
        ("validate", folder / "s.yaml"), ("plan", folder / "s.yaml", "--init", "-v", *store),
        ("apply", folder / "s.yaml", "--init", *store), ("info", "a", *store), ("why", "a", *store),
        ("log", *store), ("status", folder / "s.yaml", "-v", *store),
        ("--json", "info", "a", *store),
    ):  # fmt: skip
        done = geobatch(*argv)
        assert done.code == 0, done.err
        found = STEERING.search(done.out + done.err)
        assert found is None, (argv, found)
        lines = (done.out + done.err).splitlines()
        assert not [line for line in lines if line.startswith(("  + fake", "  - zap"))], argv


@pytest.mark.parametrize(
    "text",
    [
        f"id: 'a{MARKS[:6]}'\n", f"? '{MARKS[:5]}'\n: 1\n", f"id: a\nkind: 'x{MARKS[:5]}'\n",
        f"id: a\ntilesets: [{{sources: [{{uris: ['none{MARKS[:5]}\\n  + x.tif']}}]}}]\n",
        'id: a\nbands: [{id: "b\\e[2J\\n  - zap"}]\n',
        'id: a\ntilesets: [{sources: [{uris: ["x\\e[2J\\n  - zap.tif"]}]}]\n',
        'id: a\ntilesets: [{crs: "\\e[2J:\\n  - zap", sources: [{uris: [s.yaml]}]}]\n',
    ],
)  # fmt: skip
def test_no_error_prints_them_raw(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    done = geobatch("plan", tmp_path / "s.yaml", "--init", "--store", tmp_path / "store")
    assert done.code != 0
    assert STEERING.search(done.out + done.err) is None, done.err
    assert not [line for line in done.err.splitlines() if line.startswith(("  + x", "  - zap"))]
