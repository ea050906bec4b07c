"""A source that somebody writes through a mapping while it is ingested: what is published is in it.

Such a writer leaves no trace in the file's stat. Of every published block it must be one of the
states that the plan has digested, or nothing is published at all.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr
from blake3 import blake3
from msgspec.structs import replace
from record_workbench import Export, numbered
from workbench import Workbench, image, write_tiff

from geobatch.cli.exits import Exit, exit_code
from geobatch.errors import SourceError
from geobatch.sources.geotiff import identify
from geobatch.workflow.apply import apply

SIDE, BLOCK = 512, 64
LAYOUT = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
WRITER = """
import mmap, random, sys, time
path, start, size, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
with open(path, "r+b") as file:
    pages = mmap.mmap(file.fileno(), 0)
for at in range(0, len(pages), mmap.PAGESIZE):
    pages[at] = pages[at]
print("mapped", flush=True)
blocks = (len(pages) - start) // size
while True:
    time.sleep(pause)
    block = start + random.randrange(blocks) * size
    pages[block : block + size] = bytes(255 - b for b in pages[block : block + size])
"""


@contextmanager
def writer(path: Path, *, start: int, size: int, pause: float) -> Iterator[None]:
    """Have a process invert stretches of a file, one by one, at random."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(start), str(size), str(pause)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"mapped\n"
        try:
            yield
        finally:
            process.kill()


@pytest.mark.parametrize("pause", [0, 0.001, 0.05])
def test_every_published_block_is_one_that_was_digested(tmp_path: Path, pause: float) -> None:
    bench = Workbench(folder=tmp_path)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8)
    path = write_tiff(tmp_path / "a.tif", [pixels], layout=LAYOUT)
    size = BLOCK * BLOCK
    start = path.read_bytes().index(pixels[:BLOCK, :BLOCK].tobytes())
    spec = bench.write_spec([image("a", "a.tif", tile=BLOCK)])
    table = identify(path).table
    assert table is not None
    published = 0
    with writer(path, start=start, size=size, pause=pause):
        for number in range(5):
            store = tmp_path / f"store-{number}"
            try:
                summary = apply([spec], store=store, rehash=True)
            except SourceError as error:
                caught = error
            else:
                published += 1
                asset = summary.plan.changes[0].image
                place = store / "zarr" / "a" / "0" / asset.bands[0].id
                found = np.array(zarr.open_array(place, mode="r"))
                blocks = found.reshape(SIDE // BLOCK, BLOCK, SIDE // BLOCK, BLOCK).swapaxes(1, 2)
                digests = b"".join(
                    blake3(block.tobytes()).digest() for row in blocks for block in row
                )
                made = replace(table, digests=digests)
                assert made.identity == asset.tilesets[0].sources[0].digest
                continue
            assert exit_code(caught) is Exit.SOURCE
            assert "changed while" in caught.message
            assert not (store / "zarr" / "a").exists()
    if pause == 0:
        assert published < 5, "the writer was too slow to attack anything"


def test_once_nothing_is_written_it_is_published_though_it_is_still_mapped(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    pixels = np.arange(SIDE * SIDE, dtype=np.uint32).reshape(SIDE, SIDE)
    path = write_tiff(tmp_path / "a.tif", [pixels], layout=LAYOUT)
    with writer(path, start=path.stat().st_size - 4, size=4, pause=1000):
        spec = bench.write_spec([image("a", "a.tif", tile=BLOCK)])
        summary = apply([spec], store=tmp_path / "store")
    clean = apply([spec], store=tmp_path / "clean", rehash=True)
    assert summary.content_root == clean.content_root


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_records_are_those_that_were_digested(tmp_path: Path, compression: str) -> None:
    """Patches that are read from another state of a shard than was digested, or a whole one."""
    export = Export(bands={"a": numbered(256, 256)}, patch=(32, 32))
    (shard,) = export.write(tmp_path, compression=compression)
    spec = Workbench(folder=tmp_path).write_spec(
        [image("a", "pred-mixer.json", tile=64)
         | {"tilesets": [{"id": "t", "sources": [
             {"uris": [shard.name, "pred-mixer.json"]}]}]}]
    )  # fmt: skip
    clean = apply([spec], store=tmp_path / "clean")
    with writer(shard, start=0, size=shard.stat().st_size // 7, pause=0.003):
        for number in range(3):
            store = tmp_path / f"store-{number}"
            try:
                summary = apply([spec], store=store, rehash=True)
            except SourceError as error:
                caught = error
            else:
                assert summary.content_root == clean.content_root
                continue
            assert exit_code(caught) is Exit.SOURCE
            assert not (store / "zarr" / "a").exists()
