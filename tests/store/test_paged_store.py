"""A store of so many assets that its tree is in pages: published, damaged, kept, copied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest

from geobatch.errors import ConflictError, CorruptObjectError, NotFoundError
from geobatch.format.documents import content_root, decode_origins, encode_commit, encode_tree
from geobatch.format.trees.page import SHAPE, decode_origins_page, decode_tree_page
from geobatch.format.trees.paged import PagedTree
from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest
from geobatch.model.published import AssetRecord, Commit, Head, Tree, TreeEntry
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend, Data
from geobatch.store.commits.renames import renames
from geobatch.store.copying.copy import CopyOptions, copy_commits
from geobatch.store.maintenance.fsck.contents import EVERYTHING, no_progress
from geobatch.store.maintenance.fsck.findings import Kind
from geobatch.store.maintenance.fsck.restore import Restorer, write
from geobatch.store.maintenance.fsck.store_check import Checked, check_store
from geobatch.store.maintenance.gc import GcResult, collect
from geobatch.store.maintenance.gc_plan import GcOptions
from geobatch.store.maintenance.reachable import reachable
from geobatch.store.maintenance.rollback import plan_rollback, publish_rollback
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, Fate, KilledError

COUNT = SHAPE.most + 400
FILE = "specs/all.yaml"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Counting(MemoryBackend):
    """Counts what a client sends and asks for."""

    def __init__(self, disk: Mapping[str, bytes] | None = None) -> None:
        super().__init__()
        self.calls: list[tuple[str, str, int]] = []
        for name, data in (disk or {}).items():
            self.replace(name, data)
        self.calls.clear()

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        self.calls.append(("get", name, 0))
        return super().get(name, start=start, length=length)

    def put(self, name: str, data: Data) -> bool:
        self.calls.append(("put", name, len(bytes(data))))
        return super().put(name, data)

    def create(self, name: str, data: Data) -> bool:
        self.calls.append(("create", name, len(bytes(data))))
        return super().create(name, data)

    @property
    def sent(self) -> int:
        return sum(size for _, _, size in self.calls)


def contents(backend: Backend) -> dict[str, bytes]:
    return {name: backend.get(name) for name in backend.list("")}


def put(store: TileStore, asset_id: str, memo: str = "") -> TreeEntry:
    asset = Image(id=asset_id, grids=(), bands=(), tilesets=(), memo=memo)
    return store.put_record(AssetRecord(asset=asset, arrays=(), fingerprints=()))


def ids() -> list[str]:
    return [f"year/{number % 5}/{number:05}" for number in range(COUNT)]


def publish(
    store: TileStore, changes: Mapping[str, str | None], *, base: Head | None = None, file: str = ""
) -> Head:
    """Publish assets with memos by id; None deletes one."""
    made = {
        name: None if memo is None else put(store, name, memo) for name, memo in changes.items()
    }
    files = {name: file for name, memo in changes.items() if memo is not None and file}
    return store.publish(
        base=base or store.head(), changes=made, message="put", tools={}, time=NOON, origins=files
    )


@cache
def first() -> Mapping[str, bytes]:
    """Return the files of a store with one commit."""
    backend = MemoryBackend()
    publish(TileStore.create(backend), dict.fromkeys(ids(), ""), file=FILE)
    return contents(backend)


@cache
def three() -> Mapping[str, bytes]:
    """Return the files of a store with three commits: a change, then a new asset and a deletion."""
    backend = Counting(first())
    store = TileStore.create(backend)
    publish(store, {ids()[7]: "two"}, file="specs/two.yaml")
    publish(store, {"year/9": "three", ids()[70]: None})
    return contents(backend)


def store_of(files: Mapping[str, bytes]) -> tuple[Counting, TileStore]:
    backend = Counting(files)
    store = TileStore.create(backend)
    backend.calls.clear()
    return backend, store


def test_a_lookup_reads_one_page_of_each_height() -> None:
    backend, store = store_of(first())
    head = store.head()
    assert isinstance(head.tree, PagedTree)
    assert head.tree.count == COUNT
    opened = [call for call in backend.calls if call[0] == "get" and "objects/" in call[1]]
    assert len(opened) == 2, "the commit, and the topmost page"
    backend.calls.clear()
    found = head.tree.entry(ids()[99])
    assert found is not None
    assert len(backend.calls) == head.tree.pages.root.height - 1
    assert store.record(found).asset.id == ids()[99]
    assert head.tree.entry("else") is None
    assert [one.id for one in head.tree.below("year/3/")] == [
        name for name in sorted(ids()) if name.startswith("year/3/")
    ]
    assert [one.id for one in head.tree.entries] == sorted(ids())
    assert content_root(Tree(entries=head.tree.entries)) == head.commit.content_root  # type: ignore[union-attr]


def test_one_changed_asset_is_a_small_commit() -> None:
    backend, store = store_of(first())
    base = store.head()
    backend.calls.clear()
    head = publish(store, {ids()[500]: "new"}, base=base, file=FILE)
    puts = [call for call in backend.calls if call[0] in ("put", "create")]
    assert isinstance(head.tree, PagedTree)
    # Its document, its pages, the commit, the ref; which spec declares it did not change.
    assert len(puts) == 3 + head.tree.pages.root.height
    assert backend.sent < 500_000
    assert len(backend.calls) < 20
    assert store.head() == head
    assert store.origins(head) == dict.fromkeys(ids(), FILE)
    assert set(base.tree.differences(head.tree)) == {ids()[500]}


@pytest.mark.attack
def test_origins_follow_changes() -> None:
    _, store = store_of(three())
    expected = dict.fromkeys(ids(), FILE)
    assert store.origins(store.at("1")) == expected
    expected[ids()[7]] = "specs/two.yaml"
    assert store.origins(store.at("2")) == expected
    del expected[ids()[70]]
    assert store.origins(store.at("3")) == expected
    few = dict.fromkeys(ids()[200:])
    head = publish(store, few)
    assert not isinstance(head.tree, PagedTree)
    assert store.origins(head) == {
        name: file for name, file in expected.items() if name in ids()[:200]
    }
    assert check_store(store.backend, subset=EVERYTHING).findings == ()


def test_equal_histories_and_one_step_give_the_same_tree() -> None:
    _, store = store_of(three())
    head = store.head()
    memos = dict.fromkeys(ids(), "") | {ids()[7]: "two", "year/9": "three"}
    del memos[ids()[70]]
    at_once = publish(TileStore.create(MemoryBackend()), memos)
    assert head.commit is not None
    assert at_once.commit is not None
    assert (head.commit.tree, head.commit.content_root) == (
        at_once.commit.tree,
        at_once.commit.content_root,
    )


def test_publishers_of_different_assets_both_win() -> None:
    backend, store = store_of(first())
    base = store.head()
    publish(store, {ids()[3]: "theirs", "new/theirs": ""}, base=base)
    backend.calls.clear()
    mine = publish(store, {ids()[2000]: "mine", "new/mine": "", ids()[4]: None}, base=base)
    assert len(backend.calls) < 50, "two attempts at three assets"
    memos = dict.fromkeys(ids(), "") | {ids()[3]: "theirs", ids()[2000]: "mine"}
    memos |= {"new/theirs": "", "new/mine": ""}
    del memos[ids()[4]]
    assert mine.tree == publish(TileStore.create(MemoryBackend()), memos).tree


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ({"year/0/00000": "x"}, {"year/0/00000": "y"}),
        ({"year/0/00000": None}, {"year/0/00000": "y"}),
        ({"year/0/00000": "x"}, {"year/0/00000": None}),
        ({"new": "x"}, {"new": "y"}),
        ({"New": "x"}, {"new": "y"}),
        ({"New/a": "x"}, {"new/b": "y"}),
    ],
)
def test_a_contradiction_is_a_conflict(
    theirs: dict[str, str | None], mine: dict[str, str | None]
) -> None:
    _, store = store_of(first())
    base = store.head()
    publish(store, theirs, base=base)
    with pytest.raises(ConflictError):
        publish(store, mine, base=base)
    assert store.head().number == 2


# Damage


DECLARED = dict.fromkeys(ids(), FILE) | {ids()[7]: "specs/two.yaml"}


def pages_of_tree(backend: Backend, root: Digest) -> Iterator[Digest]:
    yield root
    page = decode_tree_page(backend.get(Objects.path(root)))
    for branch in page.branches:
        yield from pages_of_tree(backend, branch.stored)


def pages_of_origins(backend: Backend, document: Digest) -> Iterator[Digest]:
    yield document
    root = decode_origins(backend.get(Objects.path(document)))
    waiting = [root] if isinstance(root, str) else []
    while waiting:
        digest = waiting.pop()
        yield digest
        page = decode_origins_page(backend.get(Objects.path(digest)), "a page")
        waiting += [branch.stored for branch in page.branches]


def head_of(files: Mapping[str, bytes]) -> Commit:
    commit = TileStore.open(Counting(files)).head().commit
    assert commit is not None
    return commit


def hurt(backend: Backend, digest: Digest, how: str) -> str:
    name = Objects.path(digest)
    data = backend.get(name)
    if how == "missing":
        backend.delete(name)
    else:
        backend.replace(name, data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    return name


def checked(backend: Backend) -> Checked:
    return check_store(backend, subset=EVERYTHING)


@pytest.mark.attack
@pytest.mark.parametrize("how", ["missing", "flipped"])
@pytest.mark.parametrize("kind", ["tree", "origins"])
def test_damage_to_any_page_is_named_and_restored(kind: str, how: str) -> None:
    whole = three()
    commit = head_of(whole)
    assert commit.origins is not None
    backend = Counting(whole)
    find = pages_of_tree(backend, commit.tree)
    if kind == "origins":
        find = pages_of_origins(backend, commit.origins)
    pages = list(find)
    assert len(pages) > 4
    for digest in (*pages[:3], *pages[3::4]):
        backend = Counting(whole)
        name = hurt(backend, digest, how)
        with pytest.raises(CorruptObjectError, match=name[-20:]):
            read_all(TileStore.open(backend), kind)
        found = checked(backend)
        assert name in [one.name for one in found.findings]
        (one,) = (one for one in found.findings if one.name == name)
        assert one.kind is (Kind.MISSING if how == "missing" else Kind.DAMAGED)
        if digest != commit.origins:
            assert {number for hurt in one.hurts for number in hurt.commits} >= {3}
        restored = Restorer(Objects(backend), found, lambda: DECLARED).find()
        assert digest in restored.documents, digest
        backend.delete(name)
        write(Objects(backend), restored)
        after = checked(backend)
        assert after.findings == ()
        assert after.totals.unused == 0, "what no commit needs is not written"
        assert backend.get(name) == whole[name]


def read_all(store: TileStore, kind: str) -> None:
    head = store.head()
    if kind == "tree":
        assert len(head.tree.entries) == COUNT
    else:
        store.origins(head)


def test_a_damaged_page_hinders_nobody_else() -> None:
    whole = three()
    backend = Counting(whole)
    *_, page = pages_of_tree(backend, head_of(whole).tree)
    hurt(backend, page, "missing")
    store = TileStore.open(backend)
    head = store.head()
    assert head.tree.entry(ids()[0]) is not None
    assert head.tree.entry(ids()[5]) is not None
    with pytest.raises(CorruptObjectError, match="a page of the tree of commit 3: object"):
        _ = head.tree.entries
    assert [one.number for one in store.log()] == [3, 2, 1]


def test_a_page_in_the_wrong_position_is_refused() -> None:
    """Each has the digest that names it; the page above lists another."""
    whole = dict(first())
    backend = Counting(whole)
    store = TileStore.open(backend)
    head = store.head()
    assert isinstance(head.tree, PagedTree)
    assert head.commit is not None
    root = head.tree.pages.root
    while root.height > 2:
        root = decode_tree_page(backend.get(Objects.path(root.branches[0].stored)))
    data = head.tree.pages.documents[head.commit.tree]
    one, other = (branch.stored.encode() for branch in root.branches[:2])
    assert root is head.tree.pages.root
    wrong = data.replace(one, b"@").replace(other, one).replace(b"@", other)
    digest, _ = store.objects.put(wrong)
    commit, _ = store.objects.put(
        encode_commit(
            Commit(
                parent=head.digest,
                tree=digest,
                content_root=head.commit.content_root,
                time=head.commit.time,
                message="",
                tools=(),
            )
        )
    )
    assert store.commits.refs.create(2, commit)
    with pytest.raises(CorruptObjectError, match="expected"):
        _ = TileStore.open(backend).head().tree.entries
    found = checked(backend).findings
    assert {Objects.path(one.decode()), Objects.path(other.decode())} <= {one.name for one in found}


# Kept, copied, rolled back


def options(**more: object) -> GcOptions:
    return GcOptions(keep_within=timedelta(0), grace=timedelta(0), trusts_clock=True, **more)  # type: ignore[arg-type]


def test_gc_moves_what_only_dropped_commits_need() -> None:
    backend = Counting(three())
    head = TileStore.open(backend).head()
    assert head.digest is not None
    needed = set(reachable(Objects(backend), [head.digest]))
    assert needed >= {Objects.path(one) for one in pages_of_tree(backend, head_of(three()).tree)}
    later = datetime.now(UTC) + timedelta(days=1)
    collect(backend, options(keep_last=1), now=later)
    left = set(backend.list("objects/"))
    refs = [backend.get(name).decode().strip() for name in backend.list("refs/")]
    assert left == needed | {Objects.path(one) for one in refs}
    assert checked(backend).findings == ()
    assert len(TileStore.open(backend).head().tree.entries) == COUNT
    with pytest.raises(NotFoundError, match="dropped"):
        TileStore.open(backend).at("1")


def test_a_copy_has_the_same_bytes() -> None:
    source, target = Counting(three()), MemoryBackend()
    copy_commits(TileStore.open(source), target, CopyOptions(), progress=no_progress)
    objects = {
        name: data for name, data in three().items() if name.startswith(("objects/", "refs/"))
    }
    assert {name: target.get(name) for name in objects} == objects
    assert checked(target).findings == ()
    publish(TileStore.create(source), {ids()[9]: "later"})
    source.calls.clear()
    copy_commits(TileStore.open(source), target, CopyOptions(), progress=no_progress)
    assert TileStore.open(target).head() == TileStore.open(source).head()
    assert checked(target).findings == ()


def test_a_copy_names_a_damaged_page() -> None:
    source = Counting(three())
    *_, page = pages_of_tree(source, head_of(three()).tree)
    name = hurt(source, page, "flipped")
    with pytest.raises(CorruptObjectError, match=name[-20:]):
        copy_commits(TileStore.open(source), MemoryBackend(), CopyOptions(), progress=no_progress)


def old_store(count: int) -> tuple[Counting, TileStore]:
    """Return a store whose only commit has a tree of format 1."""
    backend = Counting()
    store = TileStore.create(backend)
    entries = [put(store, name) for name in sorted(ids()[:count])]
    tree = Tree(entries=entries)
    root = content_root(Tree(entries=entries[:0]))  # as of an earlier version: another one
    document = encode_commit(
        Commit(
            parent=None,
            tree=store.objects.put(encode_tree(tree))[0],
            content_root=root,
            time="2026-01-01T00:00:00Z",
            message="",
            tools=(),
        )
    )
    data = document.replace(b'"format":2', b'"format":1')
    assert data != document
    assert store.commits.refs.create(1, store.objects.put(data)[0])
    return backend, store


@pytest.mark.parametrize("count", [3, pytest.param(COUNT, marks=pytest.mark.attack)])
def test_the_next_commit_of_an_old_store_is_in_pages(count: int) -> None:
    backend, store = old_store(count)
    old = store.head()
    assert [one.id for one in old.tree.entries] == sorted(ids()[:count])
    new = publish(store, {ids()[1]: "new"})
    assert new.commit is not None
    page = decode_tree_page(backend.get(Objects.path(new.commit.tree)))
    assert b'"format":2' in backend.get(Objects.path(new.commit.tree))
    assert (page.height > 1) == (count > SHAPE.most)
    assert list(old.tree.differences(store.head().tree)) == [ids()[1]]
    assert renames(store, old, new) == {}
    assert publish(store, {ids()[1]: "new"}) == new
    assert checked(backend).findings == ()
    plan = plan_rollback(store, "1")
    back = publish_rollback(store, plan, tools={})
    assert back.tree == old.tree
    assert [one.number for one in store.log()] == [3, 2, 1]
    target = MemoryBackend()
    copy_commits(store, target, CopyOptions(), progress=no_progress)
    assert checked(target).findings == ()
    later = datetime.now(UTC) + timedelta(days=1)
    collect(backend, options(keep_last=1), now=later)
    assert TileStore.open(backend).head().tree == old.tree
    assert checked(backend).findings == ()


def test_an_old_tree_is_restored_in_its_own_format() -> None:
    backend, store = old_store(3)
    commit = store.head().commit
    assert commit is not None
    name = hurt(backend, commit.tree, "missing")
    found = checked(backend)
    restored = Restorer(Objects(backend), found, dict).find()
    write(Objects(backend), restored)
    assert name in {Objects.path(one) for one in restored.documents}
    assert checked(backend).findings == ()


# Kills


def change(backend: Backend) -> Head:
    store = TileStore.create(backend)
    return publish(store, {ids()[8]: "killed", "year/8": "", ids()[80]: None}, file="specs/k.yaml")


def states(backend: Backend) -> Sequence[tuple[int, Digest]]:
    found = []
    for head in TileStore.open(backend).log():
        assert head.commit is not None
        assert content_root(Tree(entries=head.tree.entries)) == head.commit.content_root
        TileStore.open(backend).origins(head)
        found.append((head.number, head.commit.content_root))
    return found


@pytest.mark.attack
@pytest.mark.parametrize("fate", Fate)
def test_a_kill_while_pages_are_put(fate: Fate) -> None:
    new = Counting(first())
    change(new)
    old_states, new_states = states(Counting(first())), states(new)
    counting = CrashBackend(disk=Counting(first()))
    change(counting)
    assert counting.operations > 8
    for crash_at in range(counting.operations):
        crashing = CrashBackend(disk=Counting(first()), crash_at=crash_at)
        with pytest.raises(KilledError):
            change(crashing)
        disk = crashing.reboot(lambda _: fate)
        assert states(disk) == old_states
        change(disk)
        assert states(disk) == new_states


def test_a_page_that_gc_moved_meanwhile_is_put_back() -> None:
    """Its bytes are those of a page of a dropped commit, which nothing refers to any more."""
    backend = Counting(first())
    publish(TileStore.create(backend), {ids()[8]: "other"})
    store = TileStore.create(backend)
    base = store.head()
    later = datetime.now(UTC) + timedelta(days=1)
    collected: list[GcResult] = []
    put_durably = store.objects.put_durably

    def put_and_collect(documents: Mapping[Digest, bytes]) -> None:
        put_durably(documents)
        if not collected:
            collected.append(collect(backend, options(keep_last=1), now=later))

    store.objects.put_durably = put_and_collect  # type: ignore[method-assign]
    publish(store, {ids()[8]: ""}, base=base)
    assert collected
    assert collected[0].moved
    assert checked(backend).findings == ()
    assert TileStore.open(backend).head().tree.count == COUNT
