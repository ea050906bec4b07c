"""Every command works on a store in a bucket, each in a process of its own, with few requests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import obstore
import pytest
from buckets import Before, Enter
from gc_workbench import apply as publish_version
from gc_workbench import options, put_asset, read
from proxy import Fault
from servers import Bucket

import geobatch
from geobatch.buckets.url import parse_bucket_url
from geobatch.errors import ConflictError, StoreError
from geobatch.store.backends.object_store import ObjectStoreBackend
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.maintenance import gc, guard
from geobatch.store.maintenance.gc import collect
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster

MOST_REQUESTS = 10


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with specs of two images, one of several tiles."""
    folder = tmp_path / "project"
    (folder / "specs").mkdir(parents=True)
    (folder / "geobatch.yaml").write_text("{}\n")
    rng = np.random.default_rng(3)
    for name, size in (("a", 300), ("b", 40)):
        add_image(folder, name, rng.integers(1, 255, (size, size), dtype=np.uint8))
    return folder


def add_image(folder: Path, name: str, pixels: Any, *, policy: str = "MEAN") -> None:
    write_raster(folder / f"{name}.tif", pixels)
    (folder / "specs" / f"{name}.yaml").write_text(
        f"id: some/{name}\n"
        f"tilesets: [{{id: t, sources: [{{uris: [../{name}.tif]}}]}}]\n"
        f"bands: [{{id: v, tileset_id: t, pyramiding_policy: {policy}}}]\n"
    )


def run(
    project: Path, bucket: Bucket, *argv: str, code: int = 0, timeout: float = 120
) -> list[dict[str, Any]]:
    """Run a command line in a process, and return what it says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "geobatch", "--json", *argv, "--store", bucket.url],
        env=bucket.process_environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code, (argv, done.stdout, done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def root_of(lines: Sequence[dict[str, Any]]) -> str:
    found = [line["content_root"] for line in lines if line.get("content_root")]
    return str(found[-1])


def test_the_commands_work_one_after_the_other(
    bucket: Bucket, project: Path, tmp_path: Path
) -> None:
    run(project, bucket, "plan", "specs", code=10)
    run(project, bucket, "apply", "specs", code=10)
    made = run(project, bucket, "apply", "specs", "--init")
    local = geobatch.apply([project / "specs"], store=tmp_path / "local")
    assert root_of(made) == local.content_root
    run(project, bucket, "plan", "specs")
    for argv in (
        ["status", "specs"], ["status"], ["ls"], ["info"], ["info", "some/a"], ["log"],
        ["log", "some/a"], ["show", "some/a"], ["why", "some/a"], ["pin", "first", "HEAD"],
        ["gc"], ["gc", "--apply"], ["fsck"], ["fsck", "--read-data"], ["verify"],
        ["doctor"],
        ["export", "some/a", str(tmp_path / "a"), "--format", "cog"],
        ["checkout", "some/a", str(tmp_path / "out")],
    ):  # fmt: skip
        run(project, bucket, *argv)
    spec = project / "specs" / "a.yaml"
    spec.write_text(spec.read_text().replace("MEAN", "SAMPLE"))
    plan = tmp_path / "a.plan"
    run(project, bucket, "plan", "specs", "--rehearse", "-o", str(plan))
    run(project, bucket, "review", str(plan))
    second = run(project, bucket, "apply", str(plan))
    run(project, bucket, "diff", "HEAD~1", "HEAD", "--stats")
    third = run(project, bucket, "rollback", "HEAD~1", "-y")
    assert root_of(third) == root_of(made) != root_of(second)
    run(project, bucket, "fsck", "--repair")
    run(project, bucket, "gc", "--apply", "--now", code=5)
    run(project, bucket, "gc", "--apply", "--grace", "0d", code=5)
    run(project, bucket, "unpin", "first")
    shutil.move(project / "specs" / "b.yaml", tmp_path)
    run(project, bucket, "apply", "specs", "--prune", "--max-delete", "1", "-y")
    assert [one["id"] for one in run(project, bucket, "ls") if "id" in one] == ["some/a"]
    names = obstore.list(bucket.store(), chunk_size=1000).collect()
    folders = {one["path"].partition("/")[0] for one in names}
    assert "cache" not in folders
    assert not (project / f"{bucket.kind}:").exists()


def test_a_bucket_opens_in_python(bucket: Bucket, project: Path, enter: Enter) -> None:
    enter(bucket)
    specs = [project / "specs"]
    assert not geobatch.plan(specs, store=bucket.url).is_empty
    done = geobatch.apply(specs, store=bucket.url)
    assert geobatch.plan(specs, store=bucket.url).is_empty
    with geobatch.open_store(bucket.url) as store:
        assert store.assets() == ("some/a", "some/b")
        band = store.open("some/a")["0/v"]
        assert np.asarray(band).shape == (300, 300)
        assert repr(bucket.url)[1:-1] in repr(store)
    assert done.commit


def test_a_plan_without_changes_makes_few_requests(
    s3: Bucket, project: Path, before: Before
) -> None:
    """As many for many assets as for few."""
    rng = np.random.default_rng(5)
    proxy, there = before(s3)
    run(project, there, "apply", "specs", "--init")
    add_image(project, "c", rng.integers(1, 255, (9, 9), dtype=np.uint8))
    run(project, there, "apply", "specs")  # from the second commit on, a commit has a parent
    counts = []
    for _ in range(2):
        run(project, there, "plan", "specs")
        proxy.forget()
        run(project, there, "plan", "specs")
        counts.append(proxy.counts())
        for number in range(40):
            add_image(project, f"n{number}", rng.integers(1, 255, (9, 9), dtype=np.uint8))
        proxy.forget()
        run(project, there, "apply", "specs")
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) <= MOST_REQUESTS, counts[0]
    assert counts[0]["LIST"] == 0


def test_caches_are_not_needed(s3: Bucket, project: Path, before: Before) -> None:
    proxy, there = before(s3)
    made = run(project, there, "apply", "specs", "--init")
    assert list(s3.caches.glob("geobatch/stores/*/cache/sources.sqlite"))
    shutil.rmtree(s3.caches)
    run(project, there, "plan", "specs")
    spec = project / "specs" / "a.yaml"
    spec.write_text(spec.read_text().replace("MEAN", "SAMPLE"))
    shutil.rmtree(s3.caches)
    run(project, there, "apply", "specs")
    # A note of the head that another computer has passed since, or that never was, harms nothing.
    for number in (1, 77):
        (folder,) = s3.caches.glob("geobatch/stores/*")
        (folder / "cache" / "head").write_bytes(number.to_bytes(8, "little"))
        assert run(project, there, "log")[0]["number"] == 2
    s3.caches.joinpath("geobatch").rename(s3.caches / "elsewhere")
    (s3.caches / "geobatch").write_text("no folder")
    again = run(project, there, "rollback", "HEAD~1", "-y")
    assert root_of(again) == root_of(made)
    assert proxy.requests


def test_pages_documents_and_tiles_are_put_at_once(
    s3: Bucket, project: Path, before: Before, monkeypatch: pytest.MonkeyPatch, enter: Enter
) -> None:
    rng = np.random.default_rng(6)
    for number in range(30):
        add_image(project, f"n{number}", rng.integers(1, 255, (9, 9), dtype=np.uint8))
    proxy, there = before(s3, latency=0.05)
    enter(there)
    monkeypatch.setenv("XDG_CACHE_HOME", str(s3.caches))
    began = time.monotonic()
    done = geobatch.apply([project / "specs"], store=there.url, workers=1)
    took = time.monotonic() - began
    puts = proxy.counts()["PUT"]
    assert 8 <= proxy.most_in_flight <= 64
    assert puts >= 100
    assert took < puts * 0.1, (took, puts)  # what they would take one after the other
    assert done.tiles.written


def test_a_service_that_ignores_conditions_is_refused(
    heedless: Bucket, project: Path, enter: Enter
) -> None:
    found = run(project, heedless, "init", code=1)
    assert f"127.0.0.1:{heedless.port}" in found[0]["message"]
    assert "ignores conditions" in found[0]["message"]
    run(project, heedless, "ls", code=10)
    with pytest.raises(StoreError, match="ignores conditions"):
        geobatch.apply([project / "specs"], store=enter(heedless).url)


def test_a_copy_at_a_heedless_service_is_refused(
    s3: Bucket, heedless: Bucket, project: Path, enter: Enter
) -> None:
    """What was proved of one service says nothing of another."""
    if heedless.kind != "s3":
        pytest.skip("one kind is enough")
    run(project, s3, "apply", "specs", "--init")
    there, here = s3.store(), heedless.store()
    for one in there.list().collect():
        here.put(one["path"], bytes(there.get(one["path"]).bytes()))
    assert run(project, heedless, "ls")
    spec = project / "specs" / "a.yaml"
    spec.write_text(spec.read_text().replace("MEAN", "SAMPLE"))
    found = run(project, heedless, "apply", "specs", code=1)
    assert any("ignores conditions" in str(line) for line in found)


def test_conditions_are_proved_once(s3: Bucket, enter: Enter, before: Before) -> None:
    proxy, there = before(s3)
    backend = ObjectStoreBackend(parse_bucket_url(enter(there).url))
    TileStore.create(backend)
    names = list(backend.list("proofs/"))
    assert len(names) == 1
    proxy.forget()
    TileStore.create(ObjectStoreBackend(backend.root))
    assert not [one for one in proxy.requests if one.is_create]


def test_a_put_that_fails_later_is_not_lost(s3: Bucket, enter: Enter, before: Before) -> None:
    """`sync` raises it, and nothing is published upon it; who reads the name waits for it."""
    proxy, there = before(s3)
    backend = ObjectStoreBackend(parse_bucket_url(enter(there).url))
    objects = Objects(backend)
    digest, is_new = objects.put_soon(b"one")
    assert objects.get(digest) == b"one"
    assert is_new.result()
    assert not objects.put_soon(b"one")[1].result()
    backend.sync()
    proxy.add(Fault(how=403, only=lambda one: one.method == "PUT", is_done=False))
    lost, is_new = objects.put_soon(b"two")
    with pytest.raises(StoreError, match="objects/"):
        backend.sync()
    with pytest.raises(StoreError):
        is_new.result()
    backend.sync()
    assert objects.size(lost) is None
    assert objects.put_soon(b"two")[1].result()
    assert objects.get(lost) == b"two"


def test_a_killed_apply_is_finished_by_the_next(
    s3: Bucket, project: Path, tmp_path: Path, is_long: bool
) -> None:
    """Whenever it is killed, and with or without what it has cached."""
    rng = Random(11)
    wanted = geobatch.apply([project / "specs"], store=tmp_path / "local").content_root
    for turn in range(25 if is_long else 3):
        bucket = Bucket(
            kind=s3.kind, name=s3.name, port=s3.port, caches=s3.caches, prefix=f"killed/{turn}"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "geobatch", "apply", "specs", "--init", "-q", "--store",
             bucket.url],
            env=bucket.process_environment, cwd=project,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(rng.uniform(0.5, 2.5))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        if turn % 2:
            shutil.rmtree(bucket.caches, ignore_errors=True)
        assert root_of(run(project, bucket, "apply", "specs", "--init")) == wanted
        run(project, bucket, "fsck", "--read-data")


def test_what_gc_deleted_during_a_long_run_is_not_published(
    bucket: Bucket, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `gc` of a bucket knows of no runs: whoever publishes compares what is there."""
    for module in (gc, guard):
        monkeypatch.setattr(module, "LEAST_GRACE", timedelta(0))
    backend = ObjectStoreBackend(parse_bucket_url(enter(bucket).url))
    publish_version(backend, 1)
    writer = TileStore.create(backend)
    base, changes = writer.head(), {"a": put_asset(writer, "a", 2)}
    backend.sync()
    time.sleep(1.1)  # states have whole seconds
    for _ in range(2):  # moved by the first, deleted by the second
        collect(ObjectStoreBackend(backend.root), options())
        time.sleep(1.1)
    assert not list(backend.list("quarantine/"))
    with pytest.raises(ConflictError, match="removed"):
        writer.publish(base=base, changes=changes, message="", tools={})
    other = TileStore.open(ObjectStoreBackend(backend.root))
    assert read(other, other.head()) == {"a": "1", "b": "1"}
    again = TileStore.create(ObjectStoreBackend(backend.root))
    done = again.publish(base=base, changes={"a": put_asset(again, "a", 2)}, message="", tools={})
    assert read(again, done) == {"a": "2", "b": "1"}


def test_what_gc_moved_during_a_run_is_put_back(
    bucket: Bucket, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc, "LEAST_GRACE", timedelta(0))
    backend = ObjectStoreBackend(parse_bucket_url(enter(bucket).url))
    publish_version(backend, 1)
    writer = TileStore.create(backend)
    base, changes = writer.head(), {"a": put_asset(writer, "a", 2)}
    backend.sync()
    time.sleep(1.1)
    collect(ObjectStoreBackend(backend.root), options())
    assert list(backend.list("quarantine/"))
    done = writer.publish(base=base, changes=changes, message="", tools={})
    assert read(writer, done) == {"a": "2", "b": "1"}


def test_the_head_is_found_from_any_note(bucket: Bucket, enter: Enter, before: Before) -> None:
    """However old it is; and a computer without one lists the refs once."""
    proxy, there = before(bucket)
    root = parse_bucket_url(enter(there).url)
    for version in range(1, 8):
        publish_version(ObjectStoreBackend(root), version, ids=("a",))
    store = TileStore.open(ObjectStoreBackend(root))
    path = next(there.caches.glob("geobatch/stores/*/cache/head"))
    for number in range(1, 10):
        ValueCache(store.caches, "cache/").put("head", number.to_bytes(8, "little"))
        proxy.forget()
        assert TileStore.open(ObjectStoreBackend(root)).head().number == 7
        assert proxy.counts()["LIST"] == (number > 7)
    path.unlink()
    assert TileStore.open(ObjectStoreBackend(root)).head().number == 7
