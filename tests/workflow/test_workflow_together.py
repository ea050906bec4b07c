"""Several runs on one store at a time: all of them hold, or one is told, and nothing breaks."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from listener import Listener
from shell import command, environment
from workbench import Document, Workbench, image, write_tiff

from geobatch import open_store
from geobatch.cli.exits import Exit, exit_code
from geobatch.errors import ConflictError
from geobatch.model.plans.summary import ApplySummary
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply

SIDE = 700
NAMES = ("a", "b", "c", "d")


def pixels(name: str) -> np.ndarray[tuple[int, int], np.dtype[np.uint16]]:
    rng = np.random.default_rng(ord(name))
    return rng.integers(0, 4000, (SIDE, SIDE)).astype(np.uint16)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    for name in NAMES:
        write_tiff(folder / f"{name}.tif", [pixels(name)], layout={"compress": "deflate"})
    return folder


@pytest.fixture
def bench(tmp_path: Path, sources: Path) -> Workbench:
    shutil.copytree(sources, tmp_path, dirs_exist_ok=True)
    return Workbench(folder=tmp_path)


def together(bench: Workbench, *specs: list[Document]) -> list[tuple[int, str]]:
    """Apply each spec by a process of its own, all at once; return exit codes and stderr."""
    paths = [bench.write_spec(spec, f"{number}.yaml") for number, spec in enumerate(specs)]
    running = [
        subprocess.Popen(
            command("--store", bench.store, "-j", "1", "apply", path), text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment(),
        )
        for path in paths
    ]  # fmt: skip
    texts = [one.communicate(timeout=60)[1] for one in running]
    return [(one.returncode, text) for one, text in zip(running, texts, strict=True)]


def assert_holds(bench: Workbench, asset_id: str, *, pixels_of: str) -> None:
    """Assert that both doors show the pixels of a source, whole."""
    expected = pixels(pixels_of)
    found = open_store(bench.store).open(asset_id)["0/b1"]
    assert np.array_equal(np.asarray(found), expected)
    assert np.array_equal(bench.array(f"{asset_id}/0/b1"), expected)


def commits(bench: Workbench) -> list[list[str]]:
    """Return the asset ids of each commit, the oldest first; every commit is whole."""
    store = TileStore.open(bench.store)
    found = [[entry.id for entry in head.tree.entries] for head in store.log()]
    store.close()
    return found[::-1]


@pytest.mark.attack
def test_processes_that_apply_other_assets_all_succeed(bench: Workbench) -> None:
    done = together(bench, *([image(f"x/{name}", f"{name}.tif")] for name in NAMES))
    assert done == [(0, "")] * len(NAMES)
    history = commits(bench)
    assert len(history) == len(NAMES)
    assert history[-1] == [f"x/{name}" for name in NAMES]
    for before, after in itertools.pairwise(history):
        assert set(before) < set(after)
    for name in NAMES:
        assert_holds(bench, f"x/{name}", pixels_of=name)


def test_processes_that_apply_one_asset_agree_or_one_is_told(bench: Workbench) -> None:
    done = together(bench, [image("x", "a.tif")], [image("x", "b.tif")], [image("x", "a.tif")])
    assert {code for code, _ in done} <= {0, 4}
    assert 0 in {code for code, _ in done}
    for code, text in done:
        assert "Traceback" not in text
        assert (code == 0) == (text == "")
        assert code == 0 or "asset `x` was changed by commit" in text
    shown = np.asarray(open_store(bench.store).open("x")["0/b1"])
    name = "a" if np.array_equal(shown, pixels("a")) else "b"
    assert_holds(bench, "x", pixels_of=name)


def in_the_midst(bench: Workbench, mine: Document, theirs: Document) -> ApplySummary:
    """Apply `mine`; while it runs, `theirs` is applied and published."""
    path = bench.write_spec([theirs], "theirs.yaml")
    listener = Listener(1, lambda: apply([path], store=bench.store, workers=1))
    return apply(
        [bench.write_spec([mine], "mine.yaml")], store=bench.store, workers=1, observer=listener
    )


def test_a_run_is_put_on_top_of_what_was_published_meanwhile(bench: Workbench) -> None:
    bench.apply(image("x", "a.tif"))
    summary = in_the_midst(bench, image("y", "b.tif"), image("z", "c.tif"))
    assert commits(bench) == [["x"], ["x", "z"], ["x", "y", "z"]]
    for asset_id, name in (("x", "a"), ("y", "b"), ("z", "c")):
        assert_holds(bench, asset_id, pixels_of=name)
    clean = Workbench(folder=bench.folder / "clean")
    shutil.copytree(bench.folder, clean.folder, ignore=shutil.ignore_patterns("store", "*.yaml"))
    fresh = clean.apply(image("x", "a.tif"), image("y", "b.tif"), image("z", "c.tif"))
    assert fresh.content_root == summary.content_root


def test_a_change_of_the_same_asset_meanwhile_is_a_conflict(bench: Workbench) -> None:
    bench.apply(image("x", "a.tif"))
    with pytest.raises(ConflictError, match="asset `x` was changed by commit 2") as caught:
        in_the_midst(bench, image("x", "b.tif"), image("x", "c.tif"))
    assert exit_code(caught.value) is Exit.STALE
    assert caught.value.hint
    assert commits(bench) == [["x"], ["x"]]
    assert_holds(bench, "x", pixels_of="c")
    again = apply([bench.folder / "mine.yaml"], store=bench.store)
    assert again.commit
    assert again.tiles.written == 0, "the lost run's tiles were kept"
    assert_holds(bench, "x", pixels_of="b")


def test_the_same_change_meanwhile_is_no_conflict(bench: Workbench) -> None:
    summary = in_the_midst(bench, image("x", "a.tif"), image("x", "a.tif"))
    assert commits(bench) == [["x"]]
    assert summary.content_root
    assert_holds(bench, "x", pixels_of="a")


def test_a_reader_keeps_the_state_that_it_opened(bench: Workbench) -> None:
    bench.apply(image("x", "a.tif"))
    group = open_store(bench.store).open("x")
    bench.apply(image("x", "b.tif", tile=256))
    assert np.array_equal(np.asarray(group["0/b1"]), pixels("a"))
    assert_holds(bench, "x", pixels_of="b")
