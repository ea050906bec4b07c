"""Every block of the README does what it says, in a copy of the clone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from blocks import blocks, steady

from geobatch.declare import validate

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PYTHON = ROOT / "docs" / "python.md"
SHIM = """#!/bin/sh
# Stands for `uv run`: the environment that the tests run in is installed already.
shift
[ "$1" = pytest ] && exec pytest --version  # these are the tests: once is enough
exec "$@"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "specs", tmp_path / "clone" / "specs")
    shutil.copytree(ROOT / "schema", tmp_path / "clone" / "schema")
    (tmp_path / "bin").mkdir()
    uv = tmp_path / "bin" / "uv"
    uv.write_text(SHIM)
    uv.chmod(0o755)
    return tmp_path / "clone"


def run(command: list[str], *, clone: Path, what: str) -> str:
    path = [clone.parent / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    environment = {
        **{key: value for key, value in os.environ.items() if key != "GEOBATCH_STORE"},
        "PATH": os.pathsep.join(map(str, path)),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        command, cwd=clone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{what} exits {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout


def test_the_readme_shows_each_kind_of_block() -> None:
    languages = [block.language for block in blocks(README)]
    assert {"sh", "python", "yaml", "text"} <= set(languages)


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) < 260


def test_spec_blocks_say_what_the_examples_say(clone: Path) -> None:
    shown = clone / "specs" / "shown.yaml"
    for block in blocks(README):
        if block.language == "yaml":
            shown.write_text(block.text)
            (spec,) = validate([shown]).images
            (example,) = [one for one in validate([ROOT / "specs"]).images if one.id == spec.id]
            for field in ("kind", "bands", "start_time"):
                assert getattr(spec, field) == getattr(example, field), f"README.md:{block.line}"
            tilesets = [
                [Path(uri).name for uri in source.uris] for source in spec.tilesets[0].sources
            ]
            assert tilesets == [
                [Path(uri).name for uri in source.uris] for source in example.tilesets[0].sources
            ]


@pytest.mark.attack
def test_blocks_run_one_after_the_other(clone: Path) -> None:
    printed = ""
    for block in blocks(README):
        what = f"README.md:{block.line}"
        if block.language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", block.text]
            printed = run(command, clone=clone, what=what)
        elif block.language == "python":
            assert run([sys.executable, "-c", block.text], clone=clone, what=what)
        elif block.language == "text":
            assert steady(block.text) == steady(printed), f"{what}: not what the block above prints"


TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))


@pytest.mark.attack
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_and_prints_what_it_shows(page: Path, clone: Path) -> None:
    printed = ""
    for block in blocks(page):
        what = f"{page.name}:{block.line}"
        if block.language == "sh":
            command = ["bash", "-euo", "pipefail", "-c", block.text]
            printed = run(command, clone=clone, what=what)
        elif block.language == "python":
            printed = run([sys.executable, "-c", block.text], clone=clone, what=what)
        else:
            shown = steady(block.text)
            # The last command of a block is the one whose output is shown.
            assert shown == steady(printed)[-len(shown) :], f"{what}: not what is printed"


END = "--- end of a block ---"


def test_the_page_on_python_runs_from_beginning_to_end(clone: Path) -> None:
    every = blocks(PYTHON)
    code = [block for block in every if block.language == "python"]
    assert len(code) >= 7
    program = "".join(f"{block.text}\nprint({END!r})\n" for block in code)
    printed = run([sys.executable, "-c", program], clone=clone, what="docs/python.md").split(END)
    shown = dict(zip((block.line for block in code), printed, strict=False))
    line = 0
    for block in every:
        if block.language == "text":
            assert steady(block.text) == steady(shown.pop(line)), f"docs/python.md:{block.line}"
        line = block.line
    assert not "".join(shown.values()).strip(), "it prints more than the page shows"


def test_links_lead_somewhere() -> None:
    for page in [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to `{target}`"
