"""A world with a history whose store is in a bucket, and whose applies die at a request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from history import Clean, World
from proxy import Fault, Proxy, Request
from servers import Bucket

from geobatch import open_store
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.digest import digest_bytes, digest_json
from geobatch.model.published import Head
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore

_ROOT = {
    "geobatch.json", ".gitignore", "objects", "refs", "zarr", "references", "runs", "proofs", "gc",
}  # fmt: skip
"""What there may be at the root of a store in a bucket; caches are not."""


@dataclass(slots=True, kw_only=True)
class BucketWorld(World):
    """The laws of `World`, of a store in a bucket; this process goes to the server itself."""

    bucket: Bucket
    """Where the store is."""
    proxy: Proxy
    """Before the server, for processes that die."""

    @property
    def store(self) -> Any:
        """The store's url."""
        return self.bucket.url

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """Read all objects below a prefix, by a look of our own at the bucket."""
        store = self.bucket.store(retries=3)
        names = [one["path"] for page in store.list(prefix or None) for one in page]
        with ThreadPoolExecutor(16) as pool:
            found = pool.map(lambda name: bytes(store.get(name).bytes()), names)
            return dict(zip(names, found, strict=True))

    def apply_killed(self, rng: Random, *, workers: int, die_at: int) -> bool:
        """Apply in a process that dies at a request; return whether it came to that.

        The request reaches the server, or does not; it has no answer.
        """
        wanted = self._wanted()
        before = self._head()
        there = self.bucket.through(self.proxy.port)
        process = subprocess.Popen(
            [sys.executable, "-m", "geobatch", "apply", self.spec, "--store", there.url,
             "-j", str(workers), "--yes", "--init"],
            env=there.process_environment, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

        def kill(_: Request) -> bool:
            os.kill(process.pid, signal.SIGKILL)
            return True

        fault = Fault(how="drop", skip=die_at, is_done=rng.random() < 0.5)
        killing = Fault(how="drop", only=lambda one: fault.takes(one) and kill(one))
        killing.is_done = fault.is_done
        self.proxy.faults[:] = [killing]
        said, _ = process.communicate(timeout=300)
        self.proxy.faults.clear()
        is_killed = process.returncode == -signal.SIGKILL
        assert is_killed or process.returncode in ({0} if wanted is not None else {1, 2, 3}), said
        after = self._head()
        if after != before:
            assert wanted is not None
            assert after.number == before.number + 1
            self._publish(wanted)
        self._let_leases_end()
        self._assert_contents(after)
        self._assert_objects()
        for sample in self._samples[-2:]:
            assert self._read(*sample[:3]) == sample[3], "a reader lost its commit to a kill"
        return is_killed

    def _let_leases_end(self) -> None:
        """Free what a dead process held, as the 30 s do after which others take it over."""
        for name in self.objects("runs/views"):
            self.bucket.store(retries=3).put(name, b"free\n")

    def put_store_back(self, copy_of_store: Path, published: Mapping[str, Clean]) -> None:
        """Refuse: a bucket is not copied here."""
        raise NotImplementedError

    def _assert_objects(self) -> None:
        for name, data in self.objects("objects").items():
            assert digest_bytes(data) == name.removeprefix("objects/").replace("/", ""), name

    def _assert_whole(self) -> None:
        """Promise nothing between a kill and the next apply: objects are copied one by one."""

    def _assert_shown(self) -> None:
        """Assert that the views have each asset: as on a disk, or a document of references."""
        trees = {name.rpartition("/zarr.json")[0] for name in self.objects("zarr")}
        references = self.objects("references")
        for asset_id, clean in self.published.items():
            if f"zarr/{asset_id}" in trees:
                assert self._tree_of(asset_id) == clean.tree, f"tree of {asset_id}"
            else:
                assert not trees
                assert f"references/{asset_id}.json" in references

    def _assert_tidy(self) -> None:
        found = {name.partition("/")[0] for name in self.objects()}
        # Workers on several machines share what they have finished through the bucket.
        shared = {"cache"} if self.executor is not None else set()
        assert found <= _ROOT | shared, found - _ROOT

    def _assert_published(self, wanted: Mapping[str, Clean], rng: Random) -> None:
        from geobatch.workflow.plan import plan  # noqa: PLC0415 - slow to import

        self._publish(wanted)
        head = self._head()
        self._assert_contents(head)
        assert plan([self.spec], store=self.store).is_empty
        self._assert_shown()
        self._sample(head, rng)
        self.snapshots.append(self.snapshot())
        self.pending = type(self.pending).NOTHING

    def _tree_of(self, asset_id: str) -> str:
        found = self.objects(f"zarr/{asset_id}")
        pairs = sorted(
            (Path(name.removeprefix(f"zarr/{asset_id}/")), data) for name, data in found.items()
        )
        return digest_json([[str(path), digest_bytes(data)] for path, data in pairs])

    def _sample(self, head: Head, rng: Random) -> None:
        assert head.digest is not None
        entry = rng.choice(head.tree.entries)
        record = TileStore.open(self.store).record(entry)
        key = rng.choice([key for key, _ in record.arrays])
        path = array_path(record.image, key)
        verified = self._read(head.digest, entry.id, path)
        if self._samples:
            older = rng.choice(self._samples)
            assert self._read(*older[:3]) == older[3], "a retained commit reads otherwise"
        self._samples.append((head.digest, entry.id, path, verified))

    def _head(self, place: Path | None = None) -> Head:
        if place is not None:
            return World._head(self, place)
        if not StoreLocation.of(self.store).has_store():
            return Head(number=0, digest=None)
        return TileStore.open(self.store).head()

    def _visible(self) -> list[tuple[str, int]]:
        return sorted((name, len(data)) for name, data in self.objects().items())


def assets_of(world: BucketWorld) -> set[str]:
    """Return the ids that a reader sees."""
    return set(open_store(world.store).assets())
