"""Publishing to a bucket on a bad line: no false conflict, no false success, few requests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from buckets import Before, Enter
from gc_workbench import apply, put_asset, read, read_head
from proxy import Fault, Request, spoil
from servers import Bucket
from workbench import image

from geobatch.buckets.url import parse_bucket_url
from geobatch.errors import ConflictError
from geobatch.store.backends.object_store import ObjectStoreBackend
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster

IDS = ("a", "b")


def backend_of(bucket: Bucket) -> ObjectStoreBackend:
    return ObjectStoreBackend(parse_bucket_url(bucket.url))


def refs(bucket: Bucket) -> list[str]:
    """Return the names of all commits, by a look of our own at the bucket."""
    names = (one["path"] for page in bucket.store().list("refs") for one in page)
    return sorted(name for name in names if not name.endswith("/head"))


FAULTS = {
    "dropped": {"how": "drop"},
    "503 though it was done": {"how": 503},
    "503 and not done": {"how": 503, "is_done": False},
    "409 and not done": {"how": 409, "is_done": False, "only": lambda one: one.is_create},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_lost_answer_changes_nothing_of_what_is_published(
    bucket: Bucket, enter: Enter, before: Before, fault: str, is_long: bool
) -> None:
    """At each request of a run in turn, whatever it is for."""
    proxy, there = before(bucket)
    backend = backend_of(enter(there))
    apply(backend, 1, IDS)
    proxy.forget()
    apply(backend, 2, IDS)
    version, most = 2, len(proxy.requests)
    for at in range(0, most, 1 if is_long else 5):
        version += 1
        met: Any = proxy.add(Fault(skip=at, **FAULTS[fault]))  # type: ignore[arg-type]
        head = apply(backend, version, IDS)
        assert head.number == version
        assert read_head(backend) == dict.fromkeys(IDS, str(version))
        assert len(refs(bucket)) == version
        proxy.faults.remove(met)
    assert version > 3


@pytest.mark.parametrize("fault", ["dropped", "503 though it was done", "503 and not done"])
def test_who_lost_is_told_on_a_bad_line(
    bucket: Bucket, enter: Enter, before: Before, fault: str
) -> None:
    """The answer that says so is lost; the next one says it as well."""
    proxy, there = before(bucket)
    backend = backend_of(enter(there))
    apply(backend, 1, IDS)
    store = TileStore.create(backend)
    base = store.head()
    late = {"a": put_asset(store, "a", 3)}
    apply(backend, 2, IDS)

    def is_ref(one: Request) -> bool:
        return one.is_create and "refs" in one.target

    met = proxy.add(Fault(only=is_ref, **FAULTS[fault]))  # type: ignore[arg-type]
    with pytest.raises(ConflictError, match="asset `a` was changed by commit 2"):
        store.publish(base=base, changes=late, message="late", tools={})
    assert met.met
    assert len(refs(bucket)) == 2
    assert read_head(backend) == {"a": "2", "b": "2"}


@pytest.mark.parametrize("fault", ["dropped", "503 though it was done", "503 and not done"])
def test_who_lost_by_another_asset_goes_on(
    bucket: Bucket, enter: Enter, before: Before, fault: str
) -> None:
    proxy, there = before(bucket)
    backend = backend_of(enter(there))
    apply(backend, 1, IDS)
    store = TileStore.create(backend)
    base = store.head()
    late = {"c": put_asset(store, "c", 3)}
    apply(backend, 2, IDS)
    proxy.add(Fault(only=lambda one: one.is_create and "refs" in one.target, **FAULTS[fault]))  # type: ignore[arg-type]
    head = store.publish(base=base, changes=late, message="late", tools={})
    assert head.number == 3
    assert read(store, head) == {"a": "2", "b": "2", "c": "3"}
    assert len(refs(bucket)) == 3


def test_a_new_object_is_one_request(bucket: Bucket, enter: Enter, before: Before) -> None:
    proxy, there = before(bucket)
    store = TileStore.create(backend_of(enter(there)))
    proxy.forget()
    for number in range(20):
        store.objects.put(b"tile %d" % number)
    assert proxy.counts() == {"PUT": 20}
    proxy.forget()
    for number in range(20):
        store.objects.put(b"tile %d" % number)
    # Where the tag is the MD5, as with S3 and Google, nothing is read to know that it is there.
    each = {"PUT": 20, "HEAD": 20} | ({"GET": 20} if bucket.kind == "az" else {})
    assert proxy.counts() == each


def test_requests_of_a_commit_do_not_grow_with_the_log(
    bucket: Bucket, enter: Enter, before: Before
) -> None:
    proxy, there = before(bucket)
    backend = backend_of(enter(there))
    counts = []
    for version in range(1, 13):
        proxy.forget()
        apply(backend, version, ("a",))
        counts.append(len(proxy.requests))
    assert len(set(counts[3:])) == 1, counts
    assert counts[-1] <= 40, proxy.requests


def test_an_apply_on_a_bad_line_makes_the_same_store(
    bucket: Bucket, before: Before, tmp_path: Path
) -> None:
    """By the command, twice: the second finds nothing to do."""
    for number in range(3):
        pixels = np.full((70, 70), number + 1, np.uint8)
        write_raster(tmp_path / f"{number}.tif", pixels)
    documents = [image(f"a{number}", f"{number}.tif", tile=32) for number in range(3)]
    (tmp_path / "specs.yaml").write_text(yaml.safe_dump_all(documents))
    proxy, there = before(bucket)
    faults = spoil(proxy, bucket.kind)
    environment = there.process_environment | {"GEOBATCH_BUCKET_RETRIES": "20"}

    def content_root(store: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "geobatch", "apply", "specs.yaml", "--init", "--json",
             "--store", store],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        records = map(json.loads, done.stdout.splitlines())
        return next(str(one["content_root"]) for one in records if one["type"] == "summary")

    local = content_root("local")
    assert content_root(bucket.url) == local
    assert content_root(bucket.url) == local
    assert sum(len(fault.met) for fault in faults) > 10
    assert len(refs(bucket)) == 1
