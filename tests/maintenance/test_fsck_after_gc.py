"""fsck after `gc`: dropped commits are no damage, also if the record of them is lost."""

from __future__ import annotations

import pytest
from gc_workbench import apply, options, read_head

from geobatch.errors import CorruptObjectError
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.commits.drops import GC_RUNS, Drops
from geobatch.store.maintenance.fsck.findings import Kind
from geobatch.store.maintenance.gc import collect
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import repair


@pytest.fixture
def backend() -> MemoryBackend:
    """A store whose commits 1 and 3 are dropped; 2 is pinned."""
    backend = MemoryBackend()
    for version in (1, 2, 3, 4):
        apply(backend, version)
    TileStore.open(backend).pin("kept", "2")
    collect(backend, options(is_now=True))
    assert Drops(backend).numbers() == {1, 3}
    assert fsck(backend).is_whole
    return backend


@pytest.mark.parametrize("length", [0, 1, 20, 40])
def test_a_damaged_record_of_dropped_commits_is_made_again(
    backend: MemoryBackend, length: int
) -> None:
    (name,) = backend.list(GC_RUNS)
    backend.replace(name, backend.get(name)[:length])
    with pytest.raises(CorruptObjectError) as one:
        list(TileStore.open(backend).log())
    assert "fsck --repair" in str(one.value.hint)
    kinds = {one.name.partition("/")[0]: one.kind for one in fsck(backend).findings}
    assert kinds == {"gc": Kind.DAMAGED, "objects": Kind.MISSING}
    done = repair(backend)
    assert done.after.is_whole
    assert Drops(backend).numbers() == {1, 3}
    assert [head.number for head in TileStore.open(backend).log()] == [4, 2]
    assert read_head(backend) == {"a": "4", "b": "4"}
    assert not collect(backend, options(is_now=True)).plan.dropped


def test_a_tree_that_is_lost_is_not_called_dropped(backend: MemoryBackend) -> None:
    """The record of `gc` is whole, and does not name the commit."""
    commit = TileStore.open(backend).at("2").commit
    assert commit is not None
    backend.delete(f"objects/{commit.tree[:2]}/{commit.tree[2:]}")
    repair(backend)
    assert Drops(backend).numbers() == {1, 3}
