"""Dask over a bucket: the examples and histories are the same as on threads and a disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from bucket_world import BucketWorld
from buckets import Before, Enter
from dask_cluster import ROOT, SPECS, cluster, state
from history import in_memory
from mortal import Mortal
from servers import Bucket
from test_dask_histories import run_history

from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.format.documents import decode_commit
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples on a disk, by threads."""
    store = tmp_path_factory.mktemp("expected") / "store"
    apply([SPECS], store=store, executor=ThreadExecutor(2))
    return store


def state_of(bucket: Bucket) -> tuple[str, set[str]]:
    """Return what is published, and the names of all objects but commits; see `state`."""
    opened = TileStore.open(bucket.url)
    commits = {commit.digest for commit in opened.log()}
    found = repr(opened.head().tree)
    names = (one["path"] for page in bucket.store(retries=3).list("objects") for one in page)
    return found, {name.removeprefix("objects/").replace("/", "") for name in names} - commits


def origins_of(store: Path | str) -> set[str | None]:
    """Return the document that says which specs declare the assets."""
    with closing(TileStore.open(store)) as opened:
        return {decode_commit(opened.objects.get(str(opened.head().digest))).origins}


def compare(bucket: Bucket, on_disk: Path, folder: Path, *, workers: int) -> None:
    with cluster(folder, workers=workers) as client:
        done = apply([SPECS], store=bucket.url, executor=client)
        assert plan([SPECS], store=bucket.url).is_empty
    assert done.content_root == ROOT
    (found, names), (expected, others) = state_of(bucket), state(on_disk)
    assert found == expected
    # Where the specs are is said as seen from the store.
    assert names - others == origins_of(bucket.url)
    assert others - names == origins_of(on_disk)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_examples_are_the_same(
    s3: Bucket, enter: Enter, on_disk: Path, tmp_path: Path, workers: int
) -> None:
    """Object by object."""
    compare(enter(s3), on_disk, tmp_path, workers=workers)


@pytest.mark.usefixtures("servers")
@pytest.mark.parametrize("kind", ["gs", "az"])
def test_the_examples_are_the_same_in_other_buckets(
    request: pytest.FixtureRequest, enter: Enter, on_disk: Path, tmp_path: Path, kind: str
) -> None:
    bucket: Bucket = request.getfixturevalue(kind)
    compare(enter(bucket), on_disk, tmp_path, workers=2)


@pytest.fixture
def world(s3: Bucket, enter: Enter, before: Before) -> Iterator[BucketWorld]:
    proxy, _ = before(s3)
    with in_memory() as folder, Mortal() as mortal:
        yield BucketWorld(folder=folder, mortal=mortal, clean={}, bucket=enter(s3), proxy=proxy)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_history_ends_as_a_clean_rebuild(
    world: BucketWorld, tmp_path: Path, workers: int, is_long: bool
) -> None:
    with cluster(tmp_path, workers=workers) as client:
        world.executor = client
        assert run_history(world, Random(workers), steps=30 if is_long else 4)
