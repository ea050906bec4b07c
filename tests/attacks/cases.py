"""Commands on a small store, and what must hold after one of them was killed or met a fault."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
from jobs import Ended, Fault, Jobs, Surroundings
from msgspec import Struct
from workbench import Workbench, image, write_tiff

from geobatch.errors import GeobatchError
from geobatch.format.documents import decode_commit
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head, Tree
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves
from geobatch.store.tilestore import TileStore

APPLY, GC, ROLLBACK, CHECKOUT, REPAIR = "apply", "gc", "rollback", "checkout", "repair"
COMMANDS = (APPLY, GC, ROLLBACK, CHECKOUT, REPAIR)
_GC = ("gc", "--apply", "--keep-last", "1", "--keep-within", "0d", "--grace", "0d", "--now")
_CODES = {1, 3, 4, 5, 6, 7, 10, 11, 12}
_SIZE = 64

_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z[-0-9a-f]*")
"""The name of a batch in quarantine, which has its time."""

Contents = Mapping[str, bytes]


class Seen(Struct, frozen=True, kw_only=True):
    """What a store shows."""

    tree: Tree
    """The published assets."""
    number: int
    """The number of the newest commit."""
    shown: Contents
    """Every file of the views, less the document that names the commit."""
    names: frozenset[str]
    """All other names but objects and caches."""
    objects: frozenset[str]
    """Names of objects that are not the documents of commits."""


class Case(Struct, frozen=True, kw_only=True):
    """A command and the store that it runs on."""

    folder: Path
    """Holds the store, the sources and what a checkout makes."""
    base: Path
    """The store before."""
    argv: tuple[str, ...]
    """The command."""
    before: Seen
    """What the store shows before; of a damaged one, what it showed before the damage."""
    after: Seen
    """What it shows after a command that nobody disturbed."""
    is_damaged: bool = False
    """Whether the store is damaged before."""

    @property
    def store(self) -> Path:
        """The store that the command runs on."""
        return self.folder / "store"

    def put_back(self) -> None:
        """Undo all that the last command did."""
        for name in ("store", "out"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in self.folder.glob(".out*"):
            shutil.rmtree(path)
        shutil.copytree(self.base, self.store)

    def run(
        self, jobs: Jobs, fault: Fault | None = None, surroundings: Surroundings | None = None
    ) -> Ended:
        """Run the command, on the store as it is."""
        return jobs.run(self.argv, fault, surroundings)

    def fault(self, **options: object) -> Fault:
        """Return a fault of all files that the command may write."""
        return Fault(folder=str(self.folder), **options)  # type: ignore[arg-type]

    def assert_whole(self) -> None:
        """Assert that readers see the state before or the one after, every byte of it."""
        if self.is_damaged:
            whole = {name for name, is_whole in _objects(self.base).items() if is_whole}
            now = _objects(self.store)
            lost = {name for name in whole if not now.get(name)}
            assert not lost, f"objects were lost: {lost}"
            return
        with closing(TileStore.open(self.store)) as store:
            head = store.head()
            assert head.tree in (self.before.tree, self.after.tree)
            assert head.number in (self.before.number, self.after.number)
            _assert_reads(store, head)

    def assert_completes(self, jobs: Jobs) -> None:
        """Assert that the command, repeated, ends as if nobody had disturbed the first."""
        self.assert_whole()
        finished = _states(self.store)
        ended = self.run(jobs)
        assert ended.code == 0, (ended.code, ended.out, ended.err)
        now = self.assert_shows_after()
        again = [name for name, state in finished.items() if _states(self.store).get(name) != state]
        again = [name for name in again if name in now.objects]
        assert again == [], f"finished work was done again: {again}"
        assert sorted(path.name for path in self.folder.glob(".out*")) == []
        if CHECKOUT in self.argv:
            assert _files(self.folder / "out"), "it is there"

    def assert_shows_after(self) -> Seen:
        """Assert that all is as after a command that nobody disturbed."""
        now = seen(self.store)
        assert now.tree == self.after.tree
        assert now.number == self.after.number
        assert now.shown == self.after.shown, now.shown.keys() ^ self.after.shown.keys()
        assert now.names == self.after.names, f"litter: {now.names ^ self.after.names}"
        assert now.objects == self.after.objects, now.objects ^ self.after.objects
        return now

    def assert_told(self, ended: Ended) -> None:
        """Assert that a command that did not succeed said so, in words."""
        assert not ended.is_killed, "it was killed"
        assert "Traceback" not in ended.err, ended.err
        assert "a bug in geobatch" not in ended.err, ended.err
        assert ended.code == 0 or ended.code in _CODES, (ended.code, ended.err)
        assert ended.code == 0 or "error" in ended.err, (ended.code, ended.err)


def make_cases(folder: Path, jobs: Jobs) -> dict[str, Case]:
    """Make the sources, the stores and what each command makes of them."""
    bench = Workbench(folder=folder)
    values = np.random.default_rng(3).integers(1, 9, (100, 70)).astype(np.uint8)
    write_tiff(folder / "a.tif", [values], nodata=3)
    write_tiff(folder / "b.tif", [values[:40, :40].copy()])
    a = image("a", "a.tif", tile=_SIZE)
    bench.write_spec([a], "old.yaml")
    bench.write_spec(
        [a | {"pyramiding_policy": "MODE"}, image("x/b", "b.tif", tile=_SIZE)], "new.yaml"
    )

    def command(*argv: str | Path) -> tuple[str, ...]:
        return ("--store", str(bench.store), "-j", "1", *map(str, argv))

    def base(name: str, *commands: tuple[str, ...]) -> Path:
        for argv in commands:
            ended = jobs.run(argv)
            assert ended.code == 0, ended.err
        return shutil.copytree(bench.store, folder / name)

    apply_new = command("apply", folder / "new.yaml", "--yes")
    one = base("one", command("apply", folder / "old.yaml", "--init"))
    two = base("two", apply_new)
    damaged = shutil.copytree(two, folder / "damaged")
    _damage(damaged)
    commands = {
        APPLY: (one, apply_new),
        GC: (two, command(*_GC)),
        ROLLBACK: (two, command("rollback", "1", "--yes")),
        CHECKOUT: (two, command("checkout", "a@1", folder / "out")),
        REPAIR: (damaged, command("fsck", "--read-data", "--repair", folder / "new.yaml")),
    }
    cases = {}
    for name, (start, argv) in commands.items():
        before = seen(two if start is damaged else start)
        case = Case(folder=folder, base=start, argv=argv, before=before, after=before,
                    is_damaged=start is damaged)  # fmt: skip
        case.put_back()
        ended = case.run(jobs)
        assert ended.code == 0, ended.err
        cases[name] = Case(folder=folder, base=start, argv=argv, before=before,
                           after=seen(case.store), is_damaged=start is damaged)  # fmt: skip
    return cases


def _damage(store: Path) -> None:
    """Flip a byte of the largest object, and lose a file of the tree."""
    largest = max((store / "objects").glob("*/*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.chmod(0o644)
    largest.write_bytes(data)
    largest.chmod(0o444)
    next((store / "zarr").rglob("0/*/c/0/0")).unlink()


def seen(store: Path) -> Seen:
    """Return what a store shows."""
    with closing(TileStore.open(store)) as opened:
        head = opened.head()
    files = _files(store)
    views = ("zarr/", "parquet/")
    shown = {name: (store / name).read_bytes() for name in files if name.startswith(views)}
    shown.pop("zarr/zarr.json", None)
    # The document of a commit has its time, so a command that is repeated makes another.
    objects = {name for name in files if name.startswith("objects/")}
    commits = {name for name in objects if _is_commit((store / name).read_bytes())}
    others = files - objects - shown.keys() - {"zarr/zarr.json"}
    return Seen(
        tree=head.tree,
        number=head.number,
        shown=shown,
        names=frozenset(_STAMP.sub("", one) for one in others if not one.startswith("cache/")),
        objects=frozenset(objects - commits),
    )


def _is_commit(data: bytes) -> bool:
    try:
        decode_commit(data, name="")
    except GeobatchError:
        return False
    return True


def _files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def _objects(store: Path) -> dict[str, bool]:
    """Return the digests of all objects, also those in quarantine; whether they are whole."""
    found: dict[str, bool] = {}
    for path in (*store.glob("objects/*/*"), *store.glob("quarantine/**/objects/*/*")):
        name = path.parent.name + path.name
        found[name] = found.get(name, False) or digest_bytes(path.read_bytes()) == name
    return found


def _states(store: Path) -> dict[str, tuple[int, int]]:
    """Return what shows whether a whole object was written again."""
    return {
        str(path.relative_to(store)): ((state := path.stat()).st_ino, state.st_mtime_ns)
        for path in store.glob("objects/*/*")
        if digest_bytes(path.read_bytes()) == path.parent.name + path.name
    }


def _assert_reads(store: TileStore, head: Head) -> None:
    checker = Checker(store.objects, StateLeaves(store.objects, read_from=READ_ALL))
    assert [str(one) for entry in head.tree.entries for one in checker.asset(entry)] == []


def power_loss(ended: Ended, folder: Path, fate: str) -> int:
    """Drop, cut or zero what was not synced; return how many files that concerned."""
    lost = 0
    for path in list(_walk(folder)):
        state = path.stat()
        if (state.st_ino, state.st_mtime_ns, state.st_size) in ended.durable:
            continue
        lost += 1
        if fate == "dropped" and "quarantine/batches" in str(path):
            continue  # renamed over a durable one: a loss of power leaves one of the two
        if fate == "dropped":
            path.unlink()
            continue
        path.chmod(0o644)
        if fate == "cut":
            os.truncate(path, state.st_size // 2)
        else:
            path.write_bytes(bytes(state.st_size))
        path.chmod(state.st_mode)
    return lost


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path
