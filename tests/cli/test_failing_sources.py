"""Sources that fail while they are read: each is named, with spec file, line and asset."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
import zarr
from listener import Listener
from record_workbench import Export, example, feature, numbered, write_shard
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import SourceError
from geobatch.workflow.apply import apply

DAMAGED = ["a.tif", "b.tif", "tiles/e.tif", "preds/pred-00000.tfrecord",
           "rows-0.tfrecord", "rows-1.tfrecord"]  # fmt: skip


def damage_block(path: Path) -> None:
    """Make a deflated block one that cannot be decoded; a plan, which decodes none, stays well."""
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 8] = bytes(8)
    path.write_bytes(data)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    (tmp_path / "tiles").mkdir()
    for number, name in enumerate(["a", "b", "c", "tiles/d", "tiles/e", "good"]):
        pixels = np.full((64, 64), number + 1, np.uint8)
        col = 64 * (number % 3)
        write_tiff(tmp_path / f"{name}.tif", [pixels], col=col, layout={"compress": "deflate"})
    bands = {"p": numbered(8, 8)}
    [shard] = Export(bands=bands, patch=(4, 4)).write(tmp_path / "preds", compression="")
    shard.write_bytes(shard.read_bytes()[:-7])
    for number in range(2):
        record = example({"v": feature(np.arange(3, dtype=np.int64), "int64_list")})
        path = write_shard(tmp_path / f"rows-{number}.tfrecord", [record, record], compression="")
        path.write_bytes(path.read_bytes()[:-5])
    for name in DAMAGED[:3]:
        damage_block(tmp_path / name)
    shards = ["preds/pred-00000.tfrecord", "preds/pred-mixer.json"]
    documents = [
        image("good", "good.tif"),
        {"id": "mosaic", "tilesets": [{"sources": [{"uris": [f"{n}.tif"]} for n in "abc"]}]},
        {"id": "glob", "tilesets": [{"sources": [{"uris": ["tiles/*.tif"]}]}]},
        {"id": "pred", "tilesets": [{"sources": [{"uris": shards}]}]},
        {"id": "rows", "kind": "table",
         "sources": [{"uris": ["rows-0.tfrecord"]}, {"uris": ["rows-1.tfrecord"]}]},
    ]  # fmt: skip
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump_all(documents))
    monkeypatch.chdir(tmp_path)
    return Workbench(folder=tmp_path)


def expected(bench: Workbench) -> set[tuple[int, str]]:
    """Return (line, name) of what is damaged: the line of the spec that names it."""
    lines = (bench.folder / "spec.yaml").read_text().splitlines()
    found = set()
    for name in DAMAGED:
        written = "tiles/*.tif" if name.startswith("tiles") else name
        found.add((next(n for n, line in enumerate(lines, 1) if written in line), name))
    return found


def test_all_are_named_and_nothing_is_published(bench: Workbench) -> None:
    assert geobatch("plan", "spec.yaml").code == 0, "they are found by reading alone"
    done = geobatch("apply", "spec.yaml", "--json")
    assert done.code == 7
    problems = done.record("error")["problems"]
    assert len(problems) == len(DAMAGED)
    for line, name in expected(bench):
        [problem] = [one for one in problems if f"`{name}`" in one["message"]]
        assert (problem["path"], problem["line"]) == ("spec.yaml", line)
    owners = {problem["message"].split("`")[1] for problem in problems}
    assert owners == {"mosaic", "glob", "pred", "rows"}
    text = geobatch("apply", "spec.yaml")
    assert text.code == 7
    assert "6 problems" in text.err
    assert "published" not in text.out
    assert geobatch("log").out == ""


def test_all_are_named_where_the_others_are_published(bench: Workbench) -> None:
    done = geobatch("apply", "spec.yaml", "--json", "--keep-going")
    assert done.code == 3
    failures = [line for line in done.lines if line["type"] == "failure"]
    assert len(failures) == len(DAMAGED)
    for line, name in expected(bench):
        [failure] = [one for one in failures if f"`{name}`" in one["message"]]
        assert (failure["path"], failure["line"]) == ("spec.yaml", line)
    text = geobatch("apply", "spec.yaml", "--keep-going")
    for line, name in expected(bench):
        [shown] = [one for one in text.err.splitlines() if f"`{name}`" in one]
        assert shown.startswith(f"failed: spec.yaml:{line}: `")
    store = open_store("store")
    assert [one["id"] for one in geobatch("ls", "--json").lines if one["type"] == "asset"] == [
        "good"
    ]
    band = store.open("good")["0/b1"]
    assert isinstance(band, zarr.Array)
    assert np.asarray(band[...]).max() == 6


def test_one_is_named_like_many(bench: Workbench) -> None:
    bench.write_spec([image("x", "a.tif")])
    done = geobatch("apply", "spec.yaml", "--json")
    [problem] = done.record("error")["problems"]
    assert done.code == 7
    plain = geobatch("apply", "spec.yaml").err
    assert f"error: spec.yaml:{problem['line']}: `x`: `a.tif`: band index 0" in plain


@pytest.mark.parametrize("keep_going", [False, True])
def test_files_that_changed_since_the_plan(bench: Workbench, keep_going: bool) -> None:
    uris = [{"uris": [name]} for name in ("c.tif", "tiles/d.tif")]
    spec = bench.write_spec([{"id": "m", "tilesets": [{"sources": uris}]}, image("g", "good.tif")])

    def touch() -> None:
        for name in ("c.tif", "tiles/d.tif"):
            os.utime(name)

    listener = Listener(1, touch)
    if keep_going:
        done = apply([spec], store=bench.store, observer=listener, keep_going=True)
        found = [(one.id, one.path, one.message) for one in done.failures]
    else:
        with pytest.raises(SourceError) as caught:
            apply([spec], store=bench.store, observer=listener)
        found = [("m", one.path, one.message) for one in caught.value.problems]
    assert [(name, path) for name, path, _ in found] == [("m", str(spec))] * 2
    assert "`c.tif`: changed" in found[0][2]
    assert "`tiles/d.tif`: changed" in found[1][2]


def test_long_names_are_cut_where_they_are_printed_and_whole_in_json(bench: Workbench) -> None:
    names = [f"{'a' * 90}_{day}_{'b' * 90}.tif" for day in ("monday", "sunday")]
    bench.write_spec([image(f"x{n}", name) for n, name in enumerate(names)])
    error = geobatch("plan", "spec.yaml", "--json").record("error")
    assert all(name in error["message"] for name in names)
    assert all(any(name in one["message"] for one in error["problems"]) for name in names)
    text = geobatch("plan", "spec.yaml").err
    assert not any(name in text for name in names)
    assert "mon" in text
    assert "sun" in text
    assert text.count("bbb.tif`") == 2
