"""Commits copied between stores: every commit reads the same, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from gc_workbench import ASSETS, apply, objects, options, read
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.errors import (
    ConflictError,
    CorruptObjectError,
    NoStoreError,
    NotFoundError,
    StoreError,
)
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.commits.refs import Refs
from geobatch.store.copying.copy import Copied, CopyOptions, copy_commits
from geobatch.store.identity import COPYING, IDENTITY
from geobatch.store.maintenance.fsck.store_check import check_store
from geobatch.store.maintenance.gc import collect
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, Fate, KilledError


def copy(source: Backend, target: Backend, **changes: Any) -> Copied:
    """Copy as a process does, with several threads."""
    how = CopyOptions(**{"workers": 4, **changes})
    return copy_commits(TileStore(source), target, how, progress=lambda *_: None)


def kept(backend: Backend) -> dict[int, Head]:
    """Return the commits of a store that are whole, by number."""
    return {head.number: head for head in TileStore(backend).log()}


def assert_same(source: Backend, target: Backend, numbers: Iterable[int]) -> None:
    """Assert that some commits are the same in both, to the last byte of each tile."""
    ours, theirs = kept(source), kept(target)
    for number in numbers:
        assert ours[number].digest == theirs[number].digest
        found = read(TileStore(target), theirs[number])
        assert found == read(TileStore(source), ours[number])
        assert len(found) == len(ours[number].tree.entries)


def assert_whole(backend: Backend) -> None:
    found = check_store(backend)
    assert found.findings == ()
    assert found.totals.unused == 0


def history(versions: int) -> MemoryBackend:
    backend = MemoryBackend()
    for version in range(1, versions + 1):
        apply(backend, version, ASSETS if version % 2 else ASSETS[:1])
    return backend


@pytest.mark.parametrize("is_local", [False, True])
@pytest.mark.parametrize("was_local", [False, True])
def test_a_new_store_has_every_commit(tmp_path: Path, was_local: bool, is_local: bool) -> None:
    source: Backend = LocalBackend(tmp_path / "a") if was_local else MemoryBackend()
    target: Backend = LocalBackend(tmp_path / "b") if is_local else MemoryBackend()
    for version in (1, 2, 3):
        apply(source, version)
    TileStore(source).pin("first", "1")
    with closing(source), closing(target):
        before = sorted(source.list(""))
        done = copy(source, target)
        assert sorted(source.list("")) == before
        assert done.is_new
        assert done.histories.missing == (1, 2, 3)
        assert_same(source, target, (1, 2, 3))
        assert_whole(target)
        assert TileStore(target).id != TileStore(source).id
        assert objects(target) == objects(source)
        assert done.sent == len(objects(source))
        assert done.sent_bytes == sum(len(source.get(Objects.path(o))) for o in objects(source))
        assert TileStore(target).pins.all() == TileStore(source).pins.all()
        assert target.size(COPYING) is None


def test_only_what_is_missing_is_sent() -> None:
    source, target = history(2), MemoryBackend()
    copy(source, target)
    before = objects(target)
    for version in (3, 4):
        apply(source, version)
    planned = copy(source, target, is_dry_run=True)
    assert objects(target) == before
    done = copy(source, target)
    assert done.histories.missing == (3, 4)
    assert done.sent == planned.sent == len(objects(target) - before)
    assert done.sent_bytes == planned.sent_bytes
    assert not done.present
    assert_same(source, target, (1, 2, 3, 4))
    again = copy(source, target)
    assert (again.sent, again.present, again.histories.missing) == (0, 0, ())
    assert_whole(target)


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    source = history(2)
    target = LocalBackend(tmp_path / "new")
    done = copy(source, target, is_dry_run=True)
    assert done.sent == len(objects(source))
    assert not (tmp_path / "new").exists()


def test_an_earlier_commit_is_copied_with_those_before_it() -> None:
    source, target = history(5), MemoryBackend()
    done = copy(source, target, at="3")
    assert done.histories.top == 3
    assert_same(source, target, (1, 2, 3))
    assert sorted(kept(target)) == [1, 2, 3]
    assert_whole(target)
    copy(source, target)
    assert_same(source, target, range(1, 6))
    # An earlier commit is there already.
    assert copy(source, target, at="2").histories.missing == ()
    assert TileStore(target).head().number == 5


def test_earlier_commits_may_be_copied_without_their_assets() -> None:
    source, target = history(5), MemoryBackend()
    TileStore(source).pin("release", "2")
    done = copy(source, target, keep_last=1)
    assert done.histories.missing == (1, 2, 3, 4, 5)
    assert done.histories.kept == {2, 5}
    assert sorted(kept(target)) == [2, 5]
    assert_same(source, target, (2, 5))
    assert len(objects(target)) < len(objects(source))
    assert_whole(target)
    with pytest.raises(NotFoundError, match="dropped"):
        TileStore(target).at("3")
    # What was dropped does not come back; what follows does.
    apply(source, 6)
    copy(source, target)
    assert sorted(kept(target)) == [2, 5, 6]
    assert_same(source, target, (2, 5, 6))
    assert_whole(target)


def test_commits_that_gc_dropped_are_copied_as_such() -> None:
    source, target = history(5), MemoryBackend()
    copy(source, target, at="2")
    collect(source, options(keep_last=2, is_now=True))
    apply(source, 6)
    copy(source, target)
    assert sorted(kept(target)) == [1, 2, 4, 5, 6]
    assert_same(source, target, (4, 5, 6))
    assert_whole(target)


def test_a_store_with_other_commits_is_refused() -> None:
    source, target = history(3), MemoryBackend()
    copy(source, target, at="2")
    apply(target, 99)
    before = {name: target.get(name) for name in target.list("")}
    with pytest.raises(ConflictError, match="commit 3 of `memory` is not a commit of the store"):
        copy(source, target)
    assert {name: target.get(name) for name in target.list("")} == before
    with pytest.raises(ConflictError, match="commit 1 of"):
        copy(history(1), _published(7))
    with pytest.raises(ConflictError, match="commit 1 of"):
        copy(_empty(), _published(7))


def _published(version: int) -> MemoryBackend:
    backend = MemoryBackend()
    apply(backend, version)
    return backend


def _empty() -> MemoryBackend:
    backend = MemoryBackend()
    TileStore.create(backend)
    return backend


def test_a_store_without_commits_is_copied() -> None:
    target = MemoryBackend()
    done = copy(_empty(), target)
    assert done.commit is None
    assert TileStore(target).head() == Head()
    source = history(2)
    copy(source, target)  # an empty store is a part of every history
    assert_same(source, target, (1, 2))


def test_a_receiver_that_is_ahead_has_everything() -> None:
    source, target = history(2), MemoryBackend()
    copy(source, target)
    apply(target, 3)
    assert copy(source, target).histories.missing == ()
    assert copy(target, source).histories.missing == (3,)
    assert_same(target, source, (1, 2, 3))


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with (
        closing(LocalBackend(tmp_path)) as target,
        pytest.raises(StoreError, match=r"is not empty.*`notes.txt`"),
    ):
        copy(history(1), target)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_damage_is_named_and_nothing_is_published() -> None:
    source, target = history(3), MemoryBackend()
    copy(source, target, at="1")
    head = TileStore(source).head()
    new = sorted(objects(source) - objects(target) - {head.digest})
    tiles = [one for one in new if source.get(Objects.path(one)).startswith(b"a 3")]
    source.replace(Objects.path(tiles[0]), b"x" * len(source.get(Objects.path(tiles[0]))))
    source.delete(Objects.path(tiles[1]))
    with pytest.raises(CorruptObjectError) as caught:
        copy(source, target)
    for tile in tiles:
        assert f"`{Objects.path(tile)}`" in caught.value.message
        assert tile not in objects(target)
    assert sorted(kept(target)) == [1]
    assert set(new) - set(tiles) <= objects(target)
    # Mended, only the rest is sent.
    texts = {digest_bytes(text): text for text in (b"a 3 1", b"a 3 2")}
    for tile in tiles:
        source.replace(Objects.path(tile), texts[tile])
    done = copy(source, target)
    assert done.sent == len(tiles)
    assert_same(source, target, (1, 2, 3))


@pytest.mark.parametrize("what", ["tree", "document", "page"])
def test_damaged_documents_are_named(what: str) -> None:
    source, target = history(2), MemoryBackend()
    store = TileStore(source)
    head = store.at("1")
    assert head.commit is not None
    entry = head.tree.entries[0]
    root = dict(store.record(entry).arrays).popitem()[1]
    assert root is not None
    digest = {"tree": head.commit.tree, "document": entry.stored, "page": root.stored}[what]
    source.replace(Objects.path(digest), b"{}")
    with pytest.raises(CorruptObjectError, match=Objects.path(digest)):
        copy(source, target)
    with pytest.raises(NoStoreError, match="has not ended"):
        TileStore(target)


@pytest.mark.parametrize(
    "fate",
    [Fate.TORN, *(pytest.param(n, marks=pytest.mark.attack) for n in (Fate.KEPT, Fate.LOST))],
)
@pytest.mark.parametrize("has_earlier", [False, True])
@pytest.mark.parametrize("keep_last", [None, 1])
def test_a_kill_at_every_write(fate: Fate, has_earlier: bool, keep_last: int | None) -> None:
    source, first, ended = history(5), MemoryBackend(), False
    copy(source, first, at="1")
    collect(source, options(keep_last=2, is_now=True))  # drops 1, 2 and 3
    for at in range(400):
        disk = MemoryBackend()
        if has_earlier:
            copy(first, disk)
        mortal = CrashBackend(disk=disk, crash_at=at, is_done=bool(at % 2))
        try:
            copy(source, mortal, keep_last=keep_last)
            ended = True
        except KilledError:
            pass
        disk = mortal.reboot(lambda _: fate)
        _assert_any_state(source, disk, has_earlier=has_earlier)
        done = copy(source, disk, keep_last=keep_last)
        assert done.histories.top == 5
        wanted = {5} if keep_last else {4, 5}
        assert wanted <= set(kept(disk)) <= wanted | {1, 4}
        assert_same(source, disk, wanted)
        assert check_store(disk).findings == ()
        if ended:
            break
    assert ended


def _assert_any_state(source: Backend, disk: Backend, *, has_earlier: bool) -> None:
    """Assert what readers see after a kill: a whole head, or no store yet."""
    if disk.size(IDENTITY) is None:
        assert not has_earlier
        return
    store = TileStore(disk)
    head = store.head()
    assert head.number >= has_earlier
    assert head.digest == (Refs(source).digest(head.number) if head.number else None)
    assert len(read(store, head)) == len(head.tree.entries)


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_any_history_reads_the_same_at_every_commit(data: st.DataObject) -> None:
    source, target, version = MemoryBackend(), MemoryBackend(), 0
    apply(source, version)
    for _ in range(data.draw(st.integers(1, 8))):
        match data.draw(st.sampled_from(["apply", "apply", "gc", "pin", "copy"])):
            case "apply":
                version += data.draw(st.integers(-1, 1))
                ids = data.draw(st.sampled_from([ASSETS, ASSETS[:1], ASSETS[1:]]))
                apply(source, version, ids)
            case "gc":
                keep = data.draw(st.integers(1, 3))
                collect(source, options(keep_last=keep, is_now=data.draw(st.booleans())))
            case "pin":
                numbers = sorted(kept(source))
                number = data.draw(st.sampled_from(numbers))
                TileStore(source).pin(f"p{number}", str(number))
            case "copy":
                copy(source, target, keep_last=data.draw(st.sampled_from([None, 1, 2])))
    had = set(kept(target)) if target.size(IDENTITY) is not None else set[int]()
    done = copy(source, target)
    assert done.commit == TileStore(source).head().digest
    theirs, ours = kept(target), kept(source)
    assert had <= theirs.keys()
    assert set(done.histories.missing) & ours.keys() <= theirs.keys()
    assert_same(source, target, theirs.keys() & ours.keys())
    assert check_store(target).findings == ()


class _Meddling(MemoryBackend):
    """Calls something once, before the n-th object is put or read."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._left = at
        self.meddle: Any = None

    def _count(self, name: str) -> None:
        if self.meddle is not None and name.startswith(("objects/", "refs/")):
            self._left -= 1
            if self._left < 0:
                meddle, self.meddle = self.meddle, None
                meddle()

    def put(self, name: str, data: Any) -> bool:
        self._count(name)
        return super().put(name, data)

    def create(self, name: str, data: Any) -> bool:
        self._count(name)
        return super().create(name, data)

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        self._count(name)
        return super().get(name, start=start, length=length)


@pytest.mark.parametrize("at", range(0, 60, 3))
def test_a_gc_of_the_source_meanwhile(at: int) -> None:
    source, target = _Meddling(at), MemoryBackend()
    for version in (1, 2, 3):
        apply(source, version)
    source.meddle = lambda: collect(source, options(is_now=True))
    try:
        copy(source, target, workers=1)
    except ConflictError as error:
        assert "geobatch gc" in error.message  # noqa: PT017
        copy(source, target)
    source.meddle = None
    assert_same(source, target, kept(source))
    assert check_store(target).findings == ()


@pytest.mark.parametrize("is_now", [False, True])
@pytest.mark.parametrize("at", range(0, 80, 3))
def test_a_gc_of_the_receiver_meanwhile(at: int, is_now: bool) -> None:
    source, target = history(4), _Meddling(at)
    copy(source, target, at="1")
    with pytest.raises(CorruptObjectError):  # leaves objects that no commit needs
        copy(_with_damage(source), target)
    target.meddle = lambda: collect(target, options(keep_last=9, is_now=is_now))
    try:
        copy(source, target, workers=1)
    except ConflictError as error:
        assert "geobatch gc" in error.message  # noqa: PT017
        copy(source, target)
    target.meddle = None
    assert_same(source, target, range(2, 5))
    assert check_store(target).findings == ()


def _with_damage(source: Backend) -> MemoryBackend:
    made = MemoryBackend()
    for name in source.list(""):
        made.replace(name, source.get(name))
    victim = next(o for o in sorted(objects(made)) if made.get(Objects.path(o)) == b"a 4 1")
    made.delete(Objects.path(victim))
    return made


def test_an_apply_to_the_receiver_meanwhile_is_not_lost() -> None:
    source, target = history(3), _Meddling(12)
    copy(source, target, at="1")
    target.meddle = lambda: apply(target, 50)
    with pytest.raises(ConflictError, match="commit 2"):
        copy(source, target)
    assert read(TileStore(target), TileStore(target).head()) == {"a": "50", "b": "50"}


def test_an_unfinished_copy_of_another_store_is_refused() -> None:
    target = MemoryBackend()
    with pytest.raises(CorruptObjectError):
        copy(_with_damage(history(4)), target)
    with pytest.raises(ConflictError, match="unfinished copy of another store"):
        copy(history(1), target)


def test_a_torn_object_of_a_killed_copy_is_sent_again(tmp_path: Path) -> None:
    source, target = history(4), LocalBackend(tmp_path / "b")
    with closing(target):
        with pytest.raises(CorruptObjectError):
            copy(_with_damage(source), target)
        victim = sorted(objects(target))[5]
        path = target.path(Objects.path(victim))
        path.chmod(0o644)
        path.write_bytes(b"\0" * path.stat().st_size)
        # The damaged twin has the same id.
        done = copy(source, target)
        assert done.sent == 2
        assert_same(source, target, range(1, 5))
        assert_whole(target)
