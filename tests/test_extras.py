"""The command that installs an optional library."""

from __future__ import annotations

import importlib.util
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from geobatch.extras import LIBRARIES, install_hint

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_the_libraries_are_those_of_the_project_file() -> None:
    extras = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert {extra: list(found) for extra, found in LIBRARIES.items()} == extras


@pytest.mark.parametrize("has_pip", [True, False])
def test_the_command_names_this_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_pip: bool
) -> None:
    """A uv environment has no pip; the path may hold spaces, and `>` must not reach the shell."""
    if has_pip:
        (tmp_path / "pip").mkdir()
        (tmp_path / "pip" / "__init__.py").touch()
    has = has_pip or importlib.util.find_spec("pip") is not None
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "executable", "/a b/python")
    words = shlex.split(install_hint("table").split("`")[1])
    installer = ["-m", "pip", "install"]
    assert words == (
        ["/a b/python", *installer, "pyarrow>=18"]
        if has
        else ["uv", "pip", "install", "--python", "/a b/python", "pyarrow>=18"]
    )


def test_the_command_is_accepted_when_pasted() -> None:
    """As a dry run without an index: pyarrow is here, so that nothing is to be downloaded."""
    command = install_hint("table").split("`")[1]
    flags = "--no-index --dry-run" if " -m pip " in command else "--offline --dry-run"
    done = subprocess.run(
        f"{command} {flags}", shell=True, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
