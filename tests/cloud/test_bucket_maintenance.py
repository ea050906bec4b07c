"""The maintenance of a store in a bucket, by the command line: what holds on a disk holds there."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from servers import Bucket
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff

from geobatch.store.commits.refs import Refs
from geobatch.store.location import StoreLocation
from geobatch.store.maintenance.gc import collect
from geobatch.store.maintenance.gc_plan import GcOptions
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore

VALUES = np.random.default_rng(0).integers(1, 250, (300, 300)).astype(np.uint8)


@pytest.fixture
def bench(bucket: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workbench:
    """Return a folder with a raster, and two commits in the bucket."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GEOBATCH_STORE", bucket.url)
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [VALUES])
    spec = bench.write_spec([image("x/a", "a.tif"), image("b", "a.tif")])
    ok("apply", spec, "--init")
    write_tiff(tmp_path / "a.tif", [VALUES[::-1]])
    ok("apply", spec)
    return bench


def said(done: Done) -> str:
    return done.out + done.err


def ok(*argv: str | Path, code: int = 0) -> Done:
    done = geobatch(*argv)
    assert done.code == code, f"{done.out}\n{done.err}"
    return done


def objects(bucket: Bucket) -> set[str]:
    return {meta["path"] for page in bucket.store().list("objects/") for meta in page}


def test_gc_moves_deletes_and_puts_back(bench: Workbench, bucket: Bucket) -> None:
    before = objects(bucket)
    refused = geobatch("gc", "--apply", "--grace", "0s")
    assert refused.code == 5  # nobody knows which runs are in progress
    ok("gc", "--keep-last", "1", "--keep-within", "0s", "--grace", "1d", "--json")
    assert objects(bucket) == before
    collect_in(bucket, days=2)
    left = objects(bucket)
    assert len(left) < len(before)
    moved = [meta["path"] for page in bucket.store().list("quarantine/") for meta in page]
    assert len([name for name in moved if "/objects/" in name]) == len(before) - len(left)
    ok("fsck", "--read-data")
    assert geobatch("show", "x/a", "--at", "1").code != 0
    # What was moved is published again, and put back or made again.
    write_tiff(bench.folder / "a.tif", [VALUES])
    ok("apply", bench.folder / "spec.yaml")
    ok("fsck", "--read-data")
    again = objects(bucket)
    collect_in(bucket, days=4)
    collect_in(bucket, days=8)
    assert not [*bucket.store().list("quarantine/").collect()]
    assert len(objects(bucket)) < len(again)
    ok("fsck", "--read-data")


def collect_in(bucket: Bucket, *, days: int) -> None:
    """Run a `gc` that keeps the head alone, after some days."""
    options = GcOptions(keep_last=1, keep_within=timedelta(0), grace=timedelta(days=1))
    collect(StoreLocation.of(bucket.url), options, now=datetime.now(UTC) + timedelta(days=days))


def test_rollback_checkout_and_pins(bench: Workbench, bucket: Bucket) -> None:
    log = ok("log", "--json").lines
    ok("pin", "first", "1")
    ok("checkout", "x/a@1", bench.folder / "out")
    assert (bench.folder / "out").exists()
    ok("rollback", "1", "--yes")
    again = ok("log", "--json").lines
    roots = [line["content_root"] for line in again if line["type"] == "commit"]
    assert roots[0] == roots[2]
    assert len(again) == len(log) + 1
    ok("fsck")
    ok("unpin", "first")


def test_a_store_is_described(bench: Workbench, bucket: Bucket) -> None:
    for command in ("status", "info", "ls", "doctor"):
        ok(command)
    ok("info", "x/a")
    ok("why", "x/a", bench.folder / "spec.yaml")
    ok("diff", "1", "2", "--stats")
    ok("export", "b", bench.folder / "cog", "--format", "cog")


def test_verify_and_damage(bench: Workbench, bucket: Bucket) -> None:
    ok("verify")
    store = TileStore.open(StoreLocation.of(bucket.url))
    record = store.record(store.head().tree.entries[0])
    (entry, *_) = store.index.entries((5, 5), record.arrays[0][1])
    victim = Objects.path(entry["stored"].tobytes().hex())
    data = bytes(bucket.store().get(victim).bytes())
    bucket.store().put(victim, bytes(len(data)))
    done = ok("fsck", "--read-data", code=6)
    assert victim in done.out
    ok("fsck", "--read-data", "--repair", bench.folder / "spec.yaml")
    ok("fsck", "--read-data")
    bucket.store().delete(victim)
    ok("fsck", code=6)
    ok("fsck", "--repair", bench.folder / "spec.yaml")
    ok("fsck", "--read-data")
    ok("doctor")


def test_a_rehearsed_plan_is_reviewed_and_applied(bench: Workbench, bucket: Bucket) -> None:
    write_tiff(bench.folder / "a.tif", [np.roll(VALUES, 3)])
    plan = bench.folder / "plan.json"
    before = ok("log", "--json").lines
    ok("plan", bench.folder / "spec.yaml", "--rehearse", "-o", plan)
    assert ok("log", "--json").lines == before
    review = bench.folder / "review"
    ok("review", plan, "--format", "html", "-o", review)
    root = re.findall("[0-9a-f]{64}", json.dumps(json.loads(plan.read_text())))
    done = ok("apply", plan)
    assert re.search("content root +([0-9a-f]{64})", done.out)[1] in root  # type: ignore[index]
    ok("fsck", "--read-data")


@pytest.mark.parametrize("view", ["copy", "none"])
def test_a_lost_commit_identity_or_ref_takes_no_view_with_it(
    bench: Workbench, bucket: Bucket, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, spec = f"{bucket.url}-{view}", bench.folder / "spec.yaml"
    monkeypatch.setenv("GEOBATCH_STORE", url)
    ok("init", "--views", f"zarr={view}")
    ok("apply", spec)
    store = replace(bucket, prefix=f"{bucket.prefix}-{view}").store()

    def names() -> set[str]:
        found = {meta["path"] for page in store.list() for meta in page}
        assert not any(name.startswith("cache/") for name in found)  # a bucket has none
        return {name for name in found if name.startswith(("zarr/", "parquet/", "references/"))}

    whole = names()
    assert {"copy": "zarr/zarr.json", "none": "references/.shown.json"}[view] in whole
    commit = bytes(store.get(Refs.path(1)).bytes()).decode().strip()
    for lost in (Objects.path(commit), "geobatch.json", Refs.path(1)):
        store.delete(lost)
        for command in (("fsck",), ("plan", spec), ("apply", spec), ("ls",)):
            assert lost in said(ok(*command, code=6)), command
        ok("fsck", "--repair")
        assert names() == whole
        ok("fsck", "--read-data")
        assert f'"zarr":"{view}"' in bytes(store.get("geobatch.json").bytes()).decode()
    assert re.search("runs +none", ok("status", spec).out)  # that of `status` itself is none
    ok("plan", spec, "--detailed-exitcode")
