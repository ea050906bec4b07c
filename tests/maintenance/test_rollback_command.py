"""The command `rollback`: what it prints and asks, and its exit codes."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
from shell import Done, command, environment, geobatch
from workbench import Workbench, image, write_tiff


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("command"))
    write_tiff(bench.folder / "a.tif", [np.full((40, 40), 3, dtype=np.uint8)])
    bench.apply(image("x/a", "a.tif"))
    bench.apply(image("x/a", "a.tif", pyramiding_policy="MODE"), image("b", "a.tif"))
    bench.apply(image("c", "a.tif", lifecycle={"protect": True}))
    return bench


def roll_back(bench: Workbench, *argv: str | Path) -> Done:
    return geobatch("--store", bench.store, "rollback", *argv)


def commits(bench: Workbench) -> int:
    return len(geobatch("--store", bench.store, "log").out.splitlines())


def test_a_dry_run_shows_all_and_changes_nothing(bench: Workbench) -> None:
    before = commits(bench)
    done = roll_back(bench, "1", "x", "b", "--dry-run")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[2:4] == [
        "  - b    deleted: it did not exist at commit 1",
        "  ~ x/a  as it was, 1 tile",
    ]
    assert "Rollback: 1 update, 1 delete.  0 unchanged." in lines
    assert commits(bench) == before


def test_exit_codes(bench: Workbench) -> None:
    before = commits(bench)
    done = roll_back(bench, "1")
    assert done.code == 5
    assert "blocked: protected since" in done.out
    assert "`c` did not exist at commit 1, and is protected since" in done.err
    assert roll_back(bench, "99").code == 1
    assert roll_back(bench, "1", "none").code == 1
    assert geobatch("--store", bench.folder / "no", "rollback", "1").code == 10
    assert roll_back(bench).code == 64
    nothing = roll_back(bench, "HEAD")
    assert (nothing.code, commits(bench)) == (0, before)
    assert "nothing to do" in nothing.out


def test_json_says_what_it_does_and_did(bench: Workbench) -> None:
    done = geobatch("--store", bench.store, "--json", "rollback", "1", "x/a")
    assert done.code == 0
    (change,) = done.record("rollback")["changes"]
    assert (change["id"], change["action"]) == ("x/a", "update")
    assert len(done.record("summary")["commit"]) == 64
    done = geobatch("--store", bench.store, "--json", "rollback", "HEAD~1")
    assert done.record("rollback")["summary"]["update"] == 1


@pytest.mark.parametrize(
    ("argv", "answer", "is_done"),
    [([], "n\n", False), ([], "\n", False), ([], "y\n", True), (["--yes"], "", True)],
)
def test_it_asks_on_a_terminal(
    bench: Workbench, argv: list[str], answer: str, is_done: bool
) -> None:
    target = "1" if "update" in roll_back(bench, "1", "x/a", "-n").out else "2"
    before = commits(bench)
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command("--store", bench.store, "rollback", target, "x/a", *argv),
        stdin=follower, stdout=follower, stderr=follower, env=environment(),
    )  # fmt: skip
    os.close(follower)
    os.write(leader, answer.encode())
    text = ""
    while True:
        try:
            part = os.read(leader, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part.decode()
    os.close(leader)
    assert process.wait(timeout=60) == (0 if is_done else 1), text
    assert ("Publish this rollback?" in text) == (not argv)
    assert commits(bench) - before == is_done
