"""Errors and hints quote nothing of a file that is something else than it should be."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import write_tiff

WORD = "s3cretword"
OTHERS: dict[str, str | bytes] = {
    "passwd": f"root:{WORD}:0:0:{WORD}:/root:/bin/sh\nbin:{WORD}:1:1\n",
    "key": f"-----BEGIN PRIVATE KEY-----\n{WORD}==\n-----END PRIVATE KEY-----\n",
    "variables": f"export KEY={WORD}\nB={WORD}\n",
    "cells": f"{WORD},{WORD}2\n{WORD}a,{WORD}b\n",
    "twice": f"{WORD},{WORD}\n",
    "object": json.dumps({WORD: WORD, f"{WORD}2": [WORD]}),
    "objects": f'{{"a": "{WORD}"}}\n{{"b": "{WORD}"}}\n',
    "cut": f'{{"a": "{WORD}", {WORD}',
    "repeated": f'{{"{WORD}": 1, "{WORD}": 2}}',
    "list": json.dumps([WORD, WORD]),
    "manifest of something": f"apiVersion: v1\nkind: {WORD}\nmetadata: {{name: {WORD}}}\n",
    "password hash": f"userPassword: {{SSHA}}{WORD}\n",
    "tag": f"!{WORD} x\n",
    "typed": f"!!int {WORD}\n",
    "alias": f"a: *{WORD}\n",
    "anchor": f"a: &{WORD} [*{WORD}]\n",
    "keys": f"{WORD}: 1\n{WORD}: 2\n",
    "directive": f"%{WORD} 1\n--- a\n",
    "tabs": f"{WORD}:\n\t{WORD}\n",
    "escape": f'a: "\\{WORD}"\n',
    "word": WORD,
    "numbers": f"1 2 3\n{WORD}\n",
    "wkt": f'PROJCS["{WORD}"',
    "xml": f"<a>{WORD}</a><NoDataValue>{WORD}</NoDataValue>",
    "latin": b"caf\xe9 " + WORD.encode(),
    "binary": b"\0\xff" + WORD.encode(),
    "plan": json.dumps({"format_version": WORD, "plan_id": WORD}),
}
RULE = "kind: image_collection\nid: a\nfor_each: {files: t.tif, csv: {path: FILE}}\n"
USES = {
    "t.csv": f"{RULE}image: {{id: '{{stem}}'}}\n",
    "t2.csv": f"{RULE.replace('FILE', f'FILE, key: {WORD[:-2]}')}image: {{id: '{{stem}}'}}\n",
    "x.tif": "id: a\ntilesets: [{sources: [{uris: [FILE]}]}]\n",
    "n.prj": "id: a\ntilesets: [{sources: [{uris: [n.tif, FILE]}]}]\n",
    "n.tfw": "id: a\ntilesets: [{crs: 'EPSG:4326', sources: [{uris: [n.tif, FILE]}]}]\n",
    "x.json": "id: a\ntilesets: [{sources: [{uris: [r.tfrecord, FILE]}]}]\n",
    "x.tfrecord": "kind: table\nid: a\nsources: [{uris: [FILE]}]\n",
    "y.tif": "kind: external_image\nid: a\ntilesets: [{sources: [{uris: [FILE]}]}]\n",
    "t.tif.aux.xml": "id: a\ntilesets: [{sources: [{uris: [t.tif]}]}]\n",
}


@pytest.fixture(scope="module")
def rasters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rasters")
    write_tiff(folder / "t.tif", [np.zeros((9, 10), dtype=np.uint8)])
    write_tiff(folder / "n.tif", [np.zeros((9, 10), dtype=np.uint8)], crs=None)
    (folder / "r.tfrecord").write_bytes(b"x" * 40)
    return folder


def lay(folder: Path, name: str, data: str | bytes) -> None:
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


@pytest.mark.parametrize("use", USES)
def test_what_a_spec_names(tmp_path: Path, rasters: Path, use: str) -> None:
    for number, (kind, data) in enumerate(OTHERS.items()):
        folder = tmp_path / str(number)
        shutil.copytree(rasters, folder)
        lay(folder, use, data)
        (folder / "s.yaml").write_text(USES[use].replace("FILE", use))
        command = "apply" if use == "x.tfrecord" else "plan"
        done = geobatch(command, folder / "s.yaml", "--init", "--store", tmp_path / "store")
        text = (done.out + done.err).replace(f"`{WORD[:-2]}`", "")  # the key that the spec names
        assert WORD[:-2] not in text, (kind, text)
        assert done.code in ((0,) if use == "t.tif.aux.xml" else (1, 7, 0)), (kind, done.err)
        if use not in ("t.tif.aux.xml", "n.tfw"):  # whose raster needs no such file
            assert done.code != 0, (kind, done.out)


@pytest.mark.parametrize("name", ["s.yaml", "s.json", "geobatch.yaml"])
def test_what_should_be_a_spec_or_a_project_file(tmp_path: Path, rasters: Path, name: str) -> None:
    for kind, data in OTHERS.items():
        folder = tmp_path / kind
        shutil.copytree(rasters, folder)
        lay(folder, name, data)
        spec = folder / name
        if name == "geobatch.yaml":
            spec = folder / "s.yaml"
            spec.write_text("id: a\ntilesets: [{sources: [{uris: [t.tif]}]}]\n")
        store = ("--store", tmp_path / "none")
        for argv in (
            ("validate", spec), ("validate", spec, "--confine"), ("fmt", "--check", spec),
            ("import", spec, "--into", folder / "o"), ("apply", spec, "--init", *store),
            ("validate", spec, "--allow-from", folder / name),
        ):  # fmt: skip
            done = geobatch(*argv)
            assert WORD not in done.out + done.err, (kind, argv, done.err)


def test_a_spec_with_a_misspelt_key_is_still_told_which(tmp_path: Path) -> None:
    """The control: what may be a spec is quoted, and hinted."""
    lay(tmp_path, "a.yaml", "id: a\ntilesetss: []\nproprties: {}\nmore: 1\n")
    done = geobatch("validate", tmp_path / "a.yaml")
    assert "unknown key `tilesetss`" in done.err
    assert "unknown key `more`" in done.err
