"""A store of format 1 goes on in format 2; every command works on a history of both."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from golden import ARCHIVES, expected, unpack
from msgspec.structs import replace
from shell import geobatch

from geobatch.format.documents import encode_tree
from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.fsck import fsck

OLD, NEW = ARCHIVES


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(OLD, tmp_path_factory.mktemp("golden"))


@pytest.fixture
def golden(unpacked: Path, tmp_path: Path) -> Path:
    """Return a copy with a spec that changes an asset without any work."""
    folder = Path(shutil.copytree(unpacked, tmp_path / "golden"))
    documents = list(yaml.safe_load_all((folder / "specs.yaml").read_text()))
    for document in documents:
        if document["id"] == "land/height":
            document["properties"] = {"by": "machine"}
    (folder / "specs.yaml").write_text(yaml.safe_dump_all(documents))
    return folder


def formats(store: Path) -> list[tuple[int, int]]:
    """Return the formats of each commit and its tree, newest first."""
    with_both = []
    opened = TileStore.open(store)
    for head in opened.log():
        assert head.digest is not None
        assert head.commit is not None
        documents = (opened.objects.get(one) for one in (head.digest, head.commit.tree))
        commit, tree = (json.loads(data)["format"] for data in documents)
        with_both.append((commit, tree))
    opened.close()
    return with_both


def test_the_format_changes_neither_content_roots_nor_pixels(tmp_path: Path) -> None:
    assert [path.name for path in ARCHIVES] == ["store-1.tar.xz", "store-2.tar.xz"]
    old, new = (unpack(path, tmp_path / path.stem) for path in ARCHIVES)
    assert expected(old) == expected(new)
    assert formats(old / "store") == [(1, 1)] * 3
    assert formats(new / "store") == [(2, 2)] * 3
    done = geobatch("--store", old / "store", "verify", "--against", new / "store")
    assert done.code == 0, done.err


def test_the_next_apply_writes_format_2_and_all_commands_go_on(golden: Path) -> None:
    store = golden / "store"

    def run(*argv: object) -> str:
        done = geobatch("--store", store, *map(str, argv))
        assert done.code == 0, (argv, done.err)
        return done.out

    identity = (store / "geobatch.json").read_bytes()
    roots = expected(golden)["content_roots"]
    run("apply", golden / "specs.yaml", "--yes")
    assert formats(store) == [(2, 2), (1, 1), (1, 1), (1, 1)]
    assert (store / "geobatch.json").read_bytes() == identity
    assert "land/height" in run("diff", "3", "4")
    assert "land/classes" not in run("diff", "3", "4")
    run("ls", "--at", "1")
    run("pin", "old", "1")
    run("log", "land/height")
    run("why", "land/classes", "--tile", "0/0/0")
    run("fsck", "--read-data")
    run("copy", store, golden / "copy")
    assert formats(golden / "copy") == formats(store)
    run("rollback", "3", "--yes")
    opened = TileStore.open(store)
    commit = opened.head().commit
    assert commit is not None
    assert commit.content_root == roots[2]
    opened.close()
    assert formats(store)[0] == (2, 2)
    run("gc", "--apply", "--keep-last", "1", "--keep-within", "0d", "--grace", "0d")
    assert formats(store) == [(2, 2), (1, 1)], "the pinned one is kept"
    report = fsck(store, subset=EVERYTHING)
    assert report.findings == ()


def test_a_rehearsal_of_an_earlier_version_is_published(golden: Path) -> None:
    """Its record names a tree of format 1."""
    store = golden / "store"
    plan = golden / "plan.json"
    spec = golden / "specs.yaml"
    done = geobatch("--store", store, "plan", spec, "--rehearse", "-o", plan)
    assert done.code in (0, 2), done.err
    opened = TileStore.create(store)
    (held,) = opened.rehearsals.all()
    tree = opened.commits.trees.read(held.tree, "the rehearsed tree")
    old, _ = opened.objects.put(encode_tree(tree))
    assert old != held.tree
    opened.rehearsals.delete(held.id)
    opened.rehearsals.keep(replace(held, tree=old))
    opened.close()
    assert fsck(store).findings == ()
    again = geobatch("--store", store, "plan", spec, "--rehearse", "-o", plan)
    assert again.code in (0, 2), again.err
    gc = geobatch("--store", store, "gc", "--apply", "--grace", "0d")
    assert gc.code == 0, gc.err
    done = geobatch("--store", store, "apply", plan)
    assert done.code == 0, done.err
    opened = TileStore.open(store)
    head = opened.head()
    opened.close()
    assert head.number == 4
    assert head.commit is not None
    assert head.commit.content_root == held.content_root
    assert formats(store)[0] == (2, 2)
    assert fsck(store).findings == ()
