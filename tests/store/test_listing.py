"""Rows of listings: the same with and without what is remembered of them."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from cogs import external, values, write_cog
from shell import geobatch as run
from workbench import Workbench

from geobatch.errors import CorruptObjectError
from geobatch.sources.projections.bounds import transform_bounds
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.tilestore import TileStore

LISTS: tuple[list[str], ...] = (
    [], ["--property", "cloud<2"], ["--since", "2025-01-02"], ["--bounds", "14,44,16,46"],
    ["--bounds", "0,0,1,1"], ["--bounds", "0,0,9000000,9000000", "--bounds-crs", "EPSG:32633"],
    ["c/x1"],
)  # fmt: skip


@pytest.fixture(name="bench")
def bench_fixture(tmp_path: Path) -> Workbench:
    bench = Workbench(folder=tmp_path)
    write_cog(tmp_path / "cog.tif", [values((300, 300))])
    bench.apply(
        *(
            external(
                f"c/x{day}", "cog.tif",
                properties={"cloud": day, "size": 1e300}, start_time=f"2025-01-0{day}",
            )
            for day in (1, 2, 3)
        )
    )  # fmt: skip
    return bench


def shown(bench: Workbench) -> list[tuple[str, str]]:
    """Return what each listing says."""
    found = []
    for command in ("ls", "info"):
        for options in LISTS if command == "ls" else LISTS[1:-1]:
            done = run("--store", bench.store, command, *options)
            assert done.code == 0
            found.append((done.out, done.err))
    return found


def test_listings_are_the_same_without_what_is_remembered(bench: Workbench) -> None:
    expected = shown(bench)
    assert [out.count("c/x") for out, _ in expected[:7]] == [3, 1, 2, 3, 0, 3, 1]
    kept = bench.store / "cache/listing"
    data = kept.read_bytes()
    for damaged in (data[:-1], data.replace(b"2025", b"2026"), b"", b"[]"):
        kept.write_bytes(damaged)
        assert shown(bench) == expected
    shutil.rmtree(bench.store / "cache")
    assert shown(bench) == expected


def test_a_listing_opens_neither_documents_nor_files(bench: Workbench) -> None:
    (bench.folder / "cog.tif").unlink()
    with closing(TileStore.open(bench.store)) as store:
        head = store.head()
        for entry in head.tree.entries:
            path = bench.store / "objects" / entry.stored[:2] / entry.stored[2:]
            path.chmod(0o644)
            path.write_bytes(b"")
        rows = list(rows_of(store, head, locate=transform_bounds))
        assert [entry.id for entry, _ in rows] == ["c/x1", "c/x2", "c/x3"]
        (bench.store / "cache/listing").unlink()
        with pytest.raises(CorruptObjectError):
            list(rows_of(store, head, locate=transform_bounds))


def test_rows_follow_each_apply(bench: Workbench) -> None:
    bench.apply(external("c/x2", "cog.tif", properties={"cloud": 50}))
    out = run("--store", bench.store, "-q", "ls", "--property", "cloud=50").out
    assert out.startswith("c/x2 ")
    earlier = run("--store", bench.store, "-q", "ls", "--at", "1", "--property", "cloud=2").out
    assert earlier.startswith("c/x2 ")
