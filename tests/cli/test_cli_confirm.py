"""What is asked on a terminal, and only there."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import numpy as np
import pytest
from shell import command, environment, geobatch
from workbench import Workbench, image, write_tiff

from geobatch import open_store

PIXELS = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)


def typed(*argv: str | Path, answer: str = "", stdout: int | None = None) -> tuple[int, str]:
    """Run a command on a terminal; return its exit code and what is shown there."""
    keyboard, terminal = pty.openpty()
    process = subprocess.Popen(
        command(*argv),
        stdin=terminal,
        stdout=terminal if stdout is None else stdout,
        stderr=terminal,
        env=environment(TERM="dumb", COLUMNS="100"),
    )
    os.close(terminal)
    os.write(keyboard, answer.encode())
    shown = b""
    while True:
        try:
            piece = os.read(keyboard, 4096)
        except OSError:  # the process has closed the other end
            break
        if not piece:
            break
        shown += piece
    os.close(keyboard)
    return process.wait(), shown.decode()


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [PIXELS])
    bench.write_spec([image("a", "a.tif", tile=32)])
    assert geobatch("apply", spec_of(bench), "--store", bench.store, "--init").code == 0
    bench.write_spec([image("a", "a.tif", tile=16)])
    return bench


@pytest.fixture
def head(bench: Workbench) -> str:
    return commit(bench)


def spec_of(bench: Workbench) -> Path:
    return bench.folder / "spec.yaml"


def commit(bench: Workbench) -> str:
    with open_store(bench.store) as store:
        return next(iter(store.log())).digest


@pytest.mark.parametrize("answer", ["n\n", "\n", "no\n", "yess\n", "\x04"], ids=repr)
def test_anything_but_yes_changes_nothing(bench: Workbench, head: str, answer: str) -> None:
    code, shown = typed("apply", spec_of(bench), "--store", bench.store, answer=answer)
    assert "Apply this plan? [y/N]" in shown
    assert "nothing was changed" in shown
    assert code == 1
    assert commit(bench) == head


@pytest.mark.parametrize("answer", ["y\n", "YES\n"], ids=repr)
def test_yes_applies_the_plan_that_was_shown(bench: Workbench, head: str, answer: str) -> None:
    code, shown = typed("apply", spec_of(bench), "--store", bench.store, answer=answer)
    assert shown.index("risk") < shown.index("Apply this plan?")
    assert code == 0
    assert commit(bench) != head


def test_nobody_is_asked_with_the_option(bench: Workbench, head: str) -> None:
    code, shown = typed("apply", spec_of(bench), "--store", bench.store, "-y")
    assert (code, "[y/N]" in shown) == (0, False)
    assert commit(bench) != head


def test_nobody_is_asked_about_a_saved_plan(bench: Workbench, head: str, tmp_path: Path) -> None:
    saved = tmp_path / "plan"
    assert geobatch("plan", spec_of(bench), "--store", bench.store, "-o", saved).code == 0
    code, shown = typed("apply", saved, "--store", bench.store)
    assert (code, "[y/N]" in shown) == (0, False)
    assert commit(bench) != head


def test_nobody_is_asked_where_there_is_no_terminal(bench: Workbench, head: str) -> None:
    done = geobatch("apply", spec_of(bench), "--store", bench.store)
    assert (done.code, "[y/N]" in done.out + done.err) == (0, False)
    assert commit(bench) != head


def test_nobody_is_asked_when_stdout_is_a_file_or_json(bench: Workbench, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        code, _ = typed("apply", spec_of(bench), "--store", bench.store, stdout=file.fileno())
    assert code == 0
    bench.write_spec([image("a", "a.tif", tile=32)])
    code, shown = typed("--json", "apply", spec_of(bench), "--store", bench.store)
    assert (code, "[y/N]" in shown) == (0, False)


def test_what_has_no_risk_is_not_asked(bench: Workbench, tmp_path: Path) -> None:
    write_tiff(tmp_path / "b.tif", [PIXELS])
    bench.write_spec([image("a", "a.tif", tile=32), image("b", "b.tif", tile=32)])
    code, shown = typed("apply", spec_of(bench), "--store", bench.store)
    assert (code, "[y/N]" in shown) == (0, False)
