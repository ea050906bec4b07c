"""The name of a pin is accepted wherever a commit is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.store.tilestore import TileStore


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Return a store with three commits, the first of which is pinned as `v1.0`."""
    monkeypatch.chdir(tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((8, 8), 3, np.uint8)])
    bench = Workbench(folder=tmp_path)
    for number in range(3):
        bench.apply(image("a", "a.tif", properties={"n": number}))
        if not number:
            assert geobatch("pin", "v1.0", "HEAD").code == 0
    return bench


@pytest.mark.parametrize(
    "argv",
    [
        "show a --at {}",
        "ls --at {} --json",
        "info a --at {}",
        "diff {} HEAD --json",
        "export a@{} out --format cog",
        "verify --at {}",
    ],
)
def test_a_command_takes_a_pin_for_its_commit(bench: Workbench, argv: str) -> None:
    made = []
    for ref in ("v1.0", "1"):
        done = geobatch(*argv.format(ref).split(), *(["--overwrite"] if "export" in argv else []))
        assert done.code == 0, done.err
        made.append(done.out)
    if "verify" not in argv and "export" not in argv:
        assert made[0].replace("v1.0", "1") == made[1]


def test_rollback_and_checkout_take_a_pin(bench: Workbench) -> None:
    roots = [head.commit.content_root for head in TileStore.open(bench.store).log() if head.commit]
    assert geobatch("checkout", "a@v1.0", "out").code == 0
    assert geobatch("rollback", "v1.0", "--dry-run").code == 0
    assert geobatch("rollback", "v1.0").code == 0
    head = TileStore.open(bench.store).head()
    assert head.commit is not None
    assert head.commit.content_root == roots[-1] != roots[0]
    assert geobatch("pin", "again", "v1.0").code == 0
    assert geobatch("rollback", "v1.0", "--dry-run").code == 0


def test_numbers_and_whole_digests_are_commits(bench: Workbench) -> None:
    """Of what may be both, a prefix is the pin: who named it so meant it."""
    store = TileStore.open(bench.store)
    heads = {head.number: head for head in store.log()}
    digest = heads[3].digest
    assert digest is not None
    for name in ("2", digest, digest[:6], "2024"):
        store.pin(name, "1")
    assert store.at("2").number == 2
    assert store.at("HEAD~1").number == 2
    assert store.at(digest).number == 3
    assert store.at(digest[:6]).number == 1
    assert store.at("2024").number == 1  # there is no commit of that number


def test_digits_that_start_a_digest_are_the_pin_of_that_name(bench: Workbench) -> None:
    """One digest in seven starts with four digits: publish until one does."""
    for number in range(3, 200):
        bench.apply(image("a", "a.tif", properties={"n": number}))
        digits = (TileStore.open(bench.store).head().digest or "")[:4]
        if digits.isdigit() and int(digits) > 200:
            break
    store = TileStore.open(bench.store)
    assert store.at(digits).number == store.head().number  # no pin yet: the start of a digest
    store.pin(digits, "1")
    assert store.at(digits).number == 1


@pytest.mark.parametrize("ref", ["v2", "../x", "", "a/b", "-", "HEAD~9", "99", "V1.0"])
def test_another_name_is_no_commit(bench: Workbench, ref: str) -> None:
    done = geobatch("show", "a", "--at", ref)
    assert done.code == 1
    assert f"there is no commit `{ref}`" in done.err
    assert "`geobatch pin`" in done.err


def test_a_damaged_pin_is_named(bench: Workbench) -> None:
    path = bench.store / "pins" / "v1.0.json"
    path.chmod(0o644)
    path.write_text("{")
    done = geobatch("show", "a", "--at", "v1.0")
    assert done.code == 6
    assert "v1.0" in done.err
    assert geobatch("show", "a", "--at", "1").code == 0
