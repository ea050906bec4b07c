"""docs/gitops.md from beginning to end: a bare remote, two clones and a shared store."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
from blocks import Block, blocks, steady
from checkouts import clean_environment
from forge import TOKEN, Forge, hosting

from geobatch import open_store

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gitops.md"
END = "--- end of a block ---"


def variables_of(forge: Forge, folder: Path) -> dict[str, str]:
    """Return what GitHub sets in a pipeline of a pull request."""
    event = folder / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 12}, "number": 12}))
    return {
        "GITHUB_API_URL": forge.url, "GITHUB_REPOSITORY": forge.repository,
        "GITHUB_REF": "refs/pull/12/merge", "GITHUB_SERVER_URL": "https://git.example",
        "GITHUB_EVENT_PATH": str(event), "GITHUB_TOKEN": TOKEN,
    }  # fmt: skip


def in_pipeline(block: Block, site: dict[str, str]) -> str:
    """Return the text of a block; what asks the hosting site has the variables of a pipeline."""
    if "geobatch review post" not in block.text:
        return block.text
    given = " ".join(f"{key}={shlex.quote(value)}" for key, value in site.items())
    return f"export {given}\n{block.text}unset {' '.join(site)}"


def test_the_page_runs_from_beginning_to_end(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "specs", tmp_path / "clone" / "specs")
    every = blocks(PAGE)
    code = [block for block in every if block.language == "sh"]
    assert len(code) >= 12
    with hosting(tmp_path / "artifacts") as forge:
        site = variables_of(forge, tmp_path)
        program = "".join(f"{in_pipeline(block, site)}\necho {END!r}\n" for block in code)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", program], cwd=tmp_path / "clone",
            env=clean_environment(), capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = dict(zip((block.line for block in code), done.stdout.split(END), strict=False))
    line = 0
    for block in every:
        if block.language == "text":
            end = steady(block.text)
            assert steady(shown[line])[-len(end) :] == end, f"docs/gitops.md:{block.line}"
        if block.language == "sh":
            line = block.line
    check_what_is_left(tmp_path / "clone" / "gitops")
    assert len(forge.comments) == 1


def check_what_is_left(folder: Path) -> None:
    """Check what the commits record, and that the last one is as the first but for the drift."""

    def head(name: str, what: str) -> str:
        command = ["git", "-C", str(folder / name), "rev-parse", what]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    with open_store(folder / "store") as store:
        back, corrected, merged, first = store.log()
        old, other, new = (
            np.asarray(store.open("island/landcover", at=at)["1/class"]) for at in (1, 2, 4)
        )
    assert np.array_equal(old, new)
    assert not np.array_equal(old, other)
    assert (first.provenance and first.provenance.git_commit) == head("ana", "HEAD~2")
    assert merged.provenance
    assert merged.provenance.git_commit == head("ana", "HEAD~1")
    assert merged.provenance.author == "Ana <ana@example.org>"
    assert merged.provenance.pull_request == "https://git.example/isle/maps/pull/12"
    assert corrected.provenance
    assert corrected.provenance.message == "Corrected heights"
    assert back.provenance is None or not back.provenance.message
