"""A world with a history: rasters, specs and a store, and the laws that hold after each apply."""

from __future__ import annotations

import copy
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import yaml
import zarr
from mortal import KILLED, Mortal
from rasters import Family, Raster, write
from workbench import Document

from geobatch import open_store
from geobatch.errors import PlanError, ProtectedError, SpecError
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.digest import digest_bytes, digest_json
from geobatch.model.plans.summary import ApplySummary
from geobatch.model.published import Head
from geobatch.store.identity import is_store
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

_MEMORY = Path("/dev/shm")
_EXPECTED = ("PlanError", "ProtectedError", "SpecError")


@contextmanager
def in_memory() -> Iterator[Path]:
    """Make a folder in memory, where there is such a place, and remove it."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    made = Path(tempfile.mkdtemp(prefix="geobatch-", dir=place))
    try:
        yield made
    finally:
        shutil.rmtree(made)


class Effect(IntEnum):
    """The most that the next apply may do about an edit, from nothing to anything."""

    NOTHING = 0
    """The plan is empty."""
    NO_TILE = 1
    """No tile is computed and no source pixel read."""
    SAME_TILES = 2
    """Tiles may be computed, but all of them are in the store: none is written."""
    ANY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Clean:
    """What an apply into an empty store makes of one asset."""

    content: str = ""
    """Content digest of the asset."""
    tree: str = ""
    """Digest of all files of its plain Zarr tree."""
    error: str = ""
    """Type of the error, where there is no such asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Specs and sources as they were when they were published."""

    documents: list[Document]
    rasters: Mapping[str, Raster]
    files: Mapping[str, tuple[bytes, int]]
    """Bytes and mtime in ns, by name."""


@dataclass(slots=True, kw_only=True)
class World:
    """A folder with rasters, a spec file and a store, and what must be true of them."""

    folder: Path
    mortal: Mortal
    clean: dict[str, Clean]
    """What clean rebuilds gave, by digest of spec and source bytes; may be shared."""
    documents: list[Document] = field(default_factory=list)
    """The image specs, by which `uris` are names of rasters."""
    rasters: dict[str, Raster] = field(default_factory=dict)
    """Files, by name."""
    pending: Effect = Effect.ANY
    """The most that all edits since the last apply can bring about."""
    is_cache_damaged: bool = False
    """Whether the cache was damaged since the last plan or apply."""
    published: dict[str, Clean] = field(default_factory=dict)
    """What the store must hold, by asset id."""
    protected: set[str] = field(default_factory=set)
    """What may not be deleted."""
    snapshots: list[Snapshot] = field(default_factory=list)
    count: int = 0
    """Makes names unique."""
    executor: Any = None
    """What runs the tasks of `apply`; clean rebuilds are made by threads."""
    _samples: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(commit, asset, array, digest) of what was read once and must be read again."""

    @property
    def store(self) -> Path:
        """The store's folder."""
        return self.folder / "store"

    @property
    def spec(self) -> Path:
        """The spec file, as the documents have it now."""
        return self._write(self.folder / "spec.yaml", self.documents)

    def path(self, name: str) -> Path:
        """Return the file of a raster."""
        return self.folder / name

    def fresh(self, prefix: str) -> str:
        """Return a name that was never used."""
        self.count += 1
        return f"{prefix}{self.count}"

    def add_raster(self, rng: Random, family: Family, *, sizes: tuple[int, ...]) -> str:
        """Write a raster somewhere near the origin, and return its name."""
        raster = Raster(
            family=family, row=rng.choice((0, 0, -100, 64, 201)), col=rng.choice((0, 0, 64, 300)),
            height=rng.choice(sizes), width=rng.choice(sizes),
        )  # fmt: skip
        name = self.fresh(family.name) + ".tif"
        write(self.path(name), raster, rng)
        self.rasters[name] = raster
        return name

    def put_store_back(self, copy_of_store: Path, published: Mapping[str, Clean]) -> None:
        """Replace the store with a copy of what it was."""
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(copy_of_store, self.store)
        self.published = dict(published)
        self.pending = Effect.ANY
        self._samples.clear()

    def note(self, effect: Effect) -> None:
        """Remember what an edit may bring about."""
        self.pending = max(self.pending, effect)

    def roll_back(self, snapshot: Snapshot, *, to_old_times: bool) -> None:
        """Make specs and sources what they were; nothing in it is new to the store."""
        self.documents = copy.deepcopy(snapshot.documents)
        self.rasters = dict(snapshot.rasters)
        for name, (data, time) in snapshot.files.items():
            path = self.path(name)
            if not path.exists() or path.read_bytes() != data:
                path.write_bytes(data)
                if to_old_times:
                    os.utime(path, ns=(time, time))
        self.pending = Effect.SAME_TILES

    def _settle_cache(self) -> None:
        """Plan once upon a damaged cache: what it reads of it, it may lose when it writes to it.

        Then the next plan knows less, and recomputes more; the pixels are the same.
        """
        if self.is_cache_damaged and self.store.exists():
            plan([self.spec], store=self.store)
        self.is_cache_damaged = False

    def plan(self) -> None:
        """Plan, which changes nothing that anybody sees."""
        before = self._visible()
        wanted = self._wanted()
        if wanted is None:
            return
        self._settle_cache()
        first, second = plan([self.spec], store=self.store), plan([self.spec], store=self.store)
        assert first == second
        assert first.plan_id == second.plan_id
        if self.pending is Effect.NOTHING:
            assert first.is_empty
        assert self._visible() == before

    def apply(self, rng: Random, *, workers: int, is_planned: bool) -> ApplySummary | None:
        """Apply and assert every law; None if the specs cannot be applied, nor a clean store."""
        wanted = self._wanted()
        before = self._head()
        if wanted is None:
            assert _error_of_apply(self.spec, store=self.store, workers=workers)
            assert self._head() == before
            return None
        if is_planned:
            self._settle_cache()
        planned = plan([self.spec], store=self.store) if is_planned and before.digest else None
        summary = apply([self.spec], store=self.store, workers=workers, executor=self.executor)
        if planned is not None:
            assert planned.plan_id == summary.plan.plan_id, "what was shown is not what was done"
            assert planned.changes == summary.plan.changes
        self._assert_summary(summary, before)
        self._assert_published(wanted, rng)
        self._assert_tidy()
        return summary

    def apply_killed(self, rng: Random, *, workers: int, die_at: int) -> bool:
        """Apply in a process that dies; return whether it came to that."""
        wanted = self._wanted()
        before = self._head()
        ending = self.mortal.apply(self.spec, store=self.store, workers=workers, die_at=die_at)
        if ending.status == 0:
            assert wanted is not None
            self._assert_published(wanted, rng)
            return False
        if ending.status != KILLED:
            assert wanted is None, ending.said
            assert ending.said.startswith(_EXPECTED), ending.said
        after = self._head()
        if after != before:
            assert wanted is not None
            assert after.number == before.number + 1
            self._publish(wanted)
        self._assert_contents(after)
        self._assert_objects()
        self._assert_whole()
        for sample in self._samples[-2:]:
            assert self._read(*sample[:3]) == sample[3], "a reader lost its commit to a kill"
        return ending.status == KILLED

    def _assert_summary(self, summary: ApplySummary, before: Head) -> None:
        planned = sum(change.tiles.compute for change in summary.plan.changes)
        assert summary.tiles.written + summary.tiles.empty <= planned, "more than was planned"
        assert summary.tiles.reused >= 0
        assert (summary.commit is None) == summary.plan.is_empty
        assert self._head().number == before.number + (summary.commit is not None)
        why = f"a change that should cost at most {self.pending.name}: {summary}"
        if self.pending <= Effect.NOTHING:
            assert summary.plan.is_empty, why
        if self.pending <= Effect.NO_TILE:
            assert (planned, summary.bytes.read) == (0, 0), why
        if self.pending <= Effect.SAME_TILES:
            assert (summary.tiles.written, summary.bytes.written) == (0, 0), why

    def _assert_published(self, wanted: Mapping[str, Clean], rng: Random) -> None:
        self._publish(wanted)
        head = self._head()
        self._assert_contents(head)
        again = plan([self.spec], store=self.store)
        assert again.is_empty, again
        for asset_id, clean in self.published.items():
            assert self._tree_digest(self.store, asset_id) == clean.tree, f"tree of {asset_id}"
        self._sample(head, rng)
        self.snapshots.append(self.snapshot())
        self.pending = Effect.NOTHING

    def _moved(self) -> dict[str, Document]:
        """Return the documents that take over what is published under their former ids."""
        return {
            document["moved_from"]: document
            for document in self.documents
            if document.get("moved_from") in self.published and document["id"] not in self.published
        }

    def _is_refused(self) -> bool:
        """Return whether no asset may be made, for what the documents say of former ids."""
        claims = [one["moved_from"] for one in self.documents if "moved_from" in one]
        ids = {document["id"] for document in self.documents}
        is_wrong = len(set(claims)) < len(claims) or not ids.isdisjoint(claims)
        return is_wrong or any(
            old in self.protected and not document.get("lifecycle", {}).get("protect")
            for old, document in self._moved().items()
        )

    def _publish(self, wanted: Mapping[str, Clean]) -> None:
        """Remember what the store must hold after the documents were applied."""
        gone = self._moved().keys()
        kept = {name: clean for name, clean in self.published.items() if name not in gone}
        self.published = {**kept, **wanted}
        self.protected -= gone | wanted.keys()
        for document in self.documents:
            if document.get("lifecycle", {}).get("protect"):
                self.protected.add(document["id"])

    def _assert_contents(self, head: Head) -> None:
        found = {entry.id: entry.content for entry in head.tree.entries}
        expected = {asset_id: clean.content for asset_id, clean in self.published.items()}
        assert found == expected, "not what a clean rebuild gives"
        if head.commit is not None:
            root = digest_json(["geobatch content root 1", sorted(map(list, expected.items()))])
            assert head.commit.content_root == root

    def _assert_objects(self) -> None:
        """Assert that what has a name in the store is complete, used or not."""
        for path in (self.store / "objects").glob("*/*"):
            assert digest_bytes(path.read_bytes()) == path.parent.name + path.name, path

    def _assert_whole(self) -> None:
        """Assert that the plain tree of each asset is one that it had, or shall have."""
        trees = {clean.tree for clean in self.clean.values()}
        for document in self.documents:
            if (self.store / "zarr" / document["id"]).exists():
                found = self._tree_digest(self.store, document["id"])
                assert found in trees, f"a mixture: {document['id']}"

    def _assert_tidy(self) -> None:
        """Assert that there is no lock, no dead run and no file in the making."""
        names = {path.name for path in self.store.iterdir()}
        assert names <= {".gitignore", "geobatch.json", "objects", "refs", "cache", "runs", "zarr"}
        for run in (self.store / "runs").iterdir():
            assert run.is_file(), f"the folder of a dead run: {run}"
            with run.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if anybody holds it

    def _sample(self, head: Head, rng: Random) -> None:
        """Read an array of the head in two ways, and an array of some older commit again."""
        assert head.digest is not None
        entry = rng.choice(head.tree.entries)
        store = TileStore.open(self.store)
        record = store.record(entry)
        store.close()
        key = rng.choice([key for key, _ in record.arrays])
        path = array_path(record.image, key)
        verified = self._read(head.digest, entry.id, path)
        assert verified == _digest(zarr.open_group(self.store / "zarr" / entry.id, mode="r"), path)
        if self._samples:
            older = rng.choice(self._samples)
            assert self._read(*older[:3]) == older[3], "a retained commit reads otherwise"
        self._samples.append((head.digest, entry.id, path, verified))

    def _read(self, commit: str, asset_id: str, path: str) -> str:
        return _digest(open_store(self.store).open(asset_id, at=commit), path)

    def _wanted(self) -> dict[str, Clean] | None:
        """Return what clean rebuilds make of each asset; None if one cannot be built."""
        if self._is_refused():
            return None
        found = {document["id"]: self._rebuilt(document) for document in self.documents}
        return None if any(clean.error for clean in found.values()) else found

    def _rebuilt(self, document: Document) -> Clean:
        uris = {
            uri for tileset in document["tilesets"] for source in tileset["sources"]
            for uri in source["uris"]
        }  # fmt: skip
        digests = {uri: digest_bytes(self.path(uri).read_bytes()) for uri in uris}
        key = digest_json([document, digests])
        if key not in self.clean:
            spec = self._write(self.folder / "clean.yaml", [document])
            store = self.folder / "clean"
            error = _error_of_apply(spec, store=store, workers=1)
            if error:
                self.clean[key] = Clean(error=error)
            else:
                (entry,) = self._head(store).tree.entries
                tree = self._tree_digest(store, entry.id)
                self.clean[key] = Clean(content=entry.content, tree=tree)
            shutil.rmtree(store, ignore_errors=True)
        return self.clean[key]

    def snapshot(self) -> Snapshot:
        """Return specs and sources as they are."""
        paths = {name: self.path(name) for name in self.rasters}
        return Snapshot(
            documents=copy.deepcopy(self.documents),
            rasters=dict(self.rasters),
            files={name: (path.read_bytes(), path.stat().st_mtime_ns)
                   for name, path in paths.items()},
        )  # fmt: skip

    def _head(self, place: Path | None = None) -> Head:
        if not is_store(place or self.store):
            return Head(number=0, digest=None)
        store = TileStore.open(place or self.store)
        try:
            return store.head()
        finally:
            store.close()

    def _visible(self) -> list[tuple[str, int]]:
        """Return the files of the store that a reader uses."""
        return sorted(
            (str(path), path.stat().st_mtime_ns)
            for part in ("objects", "refs", "zarr") for path in (self.store / part).rglob("*")
        )  # fmt: skip

    @staticmethod
    def _tree_digest(store: Path, asset_id: str) -> str:
        tree = store / "zarr" / asset_id
        paths = sorted(path for path in tree.rglob("*") if path.is_file())
        return digest_json(
            [[str(path.relative_to(tree)), digest_bytes(path.read_bytes())] for path in paths]
        )

    @staticmethod
    def _write(path: Path, documents: list[Document]) -> Path:
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return path


def _error_of_apply(spec: Path, *, store: Path, workers: int) -> str:
    """Apply; return the type of the error, if it is one that an edit may bring about."""
    try:
        apply([spec], store=store, workers=workers)
    except (PlanError, ProtectedError, SpecError) as error:
        return type(error).__name__
    return ""


def _digest(group: zarr.Group, path: str) -> str:
    array: Any = group[path]
    values = np.asarray(array[...])
    return digest_json([values.dtype.name, list(values.shape), digest_bytes(values.tobytes())])
