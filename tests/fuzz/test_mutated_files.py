"""Bytes changed at random in specs, TIFFs, TFRecords and saved plans: an error or the same result.

Each case has a number, which is its seed: a failure names it. `just soak` runs 10^5 specs, 10^4
TIFFs and TFRecords, and 10^3 plans.
"""

from __future__ import annotations

import gzip
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
import pytest
from hostile_records import frame
from hostile_tiffs import image, write, zeros
from shell import geobatch
from test_spec_mutations import IMAGE

from geobatch.declare import validate
from geobatch.errors import GeobatchError, SourceError, SpecError
from geobatch.sources.geotiff import identify, read_header
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.shards.frames import records_of

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "")
FIRST = int(os.environ.get("GEOBATCH_FUZZ_SEED", "0"))
"""Seed of the first case."""
PATIENCE = 60
TOKENS = (
    b"\xff", b"\0", b"{", b"}", b"[", b"]", b": ", b"*a", b"&a ", b"<<: ", b"!!x ", b"- ",
    b"\n---\n",
    b"'", b'"', b"\\", b"1e999", b"-1", b"99999999999999999999", b"null", b"~", b"\xc3\xa9", b"../",
    b"**", b"/vsi", b"\xff\xff\xff\xff",
)  # fmt: skip


def count(short: int, medium: int, long: int) -> range:
    """Return the seeds of a run: few by default, more in `just attack`, all in `just soak`."""
    return range(FIRST, FIRST + {"attack": medium, "soak": long}.get(PROFILE, short))


def mutated(data: bytes, seed: int) -> bytes:
    """Return bytes with one to four changes."""
    draw = random.Random(seed)
    made = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(made) + 1)
        end = min(len(made), at + draw.choice((1, 1, 2, 4, 8, 40)))
        kind = draw.randrange(6)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del made[at:end]
        elif kind == 2:
            made[at:at] = draw.choice(TOKENS)
        elif kind == 3:
            made[at:end] = draw.choice(TOKENS)
        elif kind == 4:
            made[at:at] = made[at:end] * draw.choice((1, 2, 50))
        else:
            made[at:end] = draw.randbytes(end - at)
    return bytes(made)


@contextmanager
def not_hanging(seed: int) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        pytest.fail(f"seed {seed}: it takes more than {PATIENCE} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    try:
        yield
    except (AssertionError, GeobatchError):
        raise
    except Exception as error:  # noqa: BLE001 - with the seed
        pytest.fail(f"seed {seed}: {error!r}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


COLLECTION = """
kind: image_collection
id: c
for_each: {files: ['*.tif'], pattern: '(?P<x>[a-z]+)_(?P<d>\\d{8})\\.tif', csv: {path: t.csv}}
image:
  id: '{x}_{d}'
  start_time: '{d:%Y%m%d}'
  properties: {n: '{cloud:number}', m: '{stem}'}
"""


@pytest.mark.parametrize("spec", [IMAGE, COLLECTION], ids=["image", "collection"])
def test_specs(tmp_path: Path, spec: str) -> None:
    for name in ("a.tif", "ab_20200101.tif", "p.tfrecord", "m.json"):
        (tmp_path / name).touch()
    (tmp_path / "t.csv").write_text("file,cloud\nab_20200101.tif,3\na.tif,4\n")
    path = tmp_path / "s.yaml"
    for seed in count(150, 3000, 50_000):
        path.write_bytes(mutated(spec.encode(), seed))
        with not_hanging(seed):
            try:
                validate([path])
            except SpecError as error:
                assert error.problems, seed  # noqa: PT017 - it may raise or not, here and below


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "GZIP"])
def test_records(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Checksums tell: a record is one of the file's, whatever was changed."""
    records = [bytes([number]) * (100 + number) for number in range(5)]
    data = pack(b"".join(map(frame, records)))
    path = tmp_path / "s"
    for seed in count(300, 3000, 5000):
        path.write_bytes(mutated(data, seed))
        with not_hanging(seed):
            try:
                with Named("s"):
                    for found in records_of(path):
                        assert found in records or not found, seed
            except SourceError as error:
                assert "`s`" in str(error), seed  # noqa: PT017


def test_tiffs(tmp_path: Path) -> None:
    """Equal identities mean equal images; a header declares no more than is allowed."""
    block = zeros(64 * 64)
    path = tmp_path / "a.tif"
    write(path, image(128, 64, tile=(64, 64), block=block), block=block)
    data, known = path.read_bytes(), identify(path)
    for seed in count(150, 3000, 10_000):
        path.write_bytes(mutated(data, seed))
        with not_hanging(seed):
            try:
                with Named("a.tif"):
                    found = identify(path)
                header = read_header(path, "a.tif")
            except SourceError as error:
                assert "`a.tif`" in str(error), seed  # noqa: PT017
                continue
        assert len(header.dtypes) <= 4096, seed
        if found.digest == known.digest:
            assert (header.width, header.height) == (128, 64), seed


def test_saved_plans(tmp_path: Path) -> None:
    block = zeros(64 * 64)
    write(tmp_path / "a.tif", image(64, 64, block=block), block=block)
    (tmp_path / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    store, plan = tmp_path / "store", tmp_path / "p.plan"
    made = geobatch("plan", tmp_path / "s.yaml", "--store", store, "-o", plan)
    assert made.code == 0, made.err
    data = plan.read_bytes()
    for seed in count(40, 300, 1000):
        plan.write_bytes(mutated(data, seed))
        with not_hanging(seed):
            done = geobatch("show", plan, "--store", store)
        assert "a bug in geobatch" not in done.err, f"seed {seed}: {done.err}"
        assert done.code in {0, 1, 4, 6, 10, 12, 64}, f"seed {seed}: {done.err}"


def test_the_mutations_differ() -> None:
    data = np.arange(256, dtype=np.uint8).tobytes()
    assert len({mutated(data, seed) for seed in range(100)}) > 95
