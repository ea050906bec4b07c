"""The documentation builds as a site without a warning; every page of `docs/` is on it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
ENVIRONMENT = "NO_MKDOCS_2_WARNING=1"


def settings() -> str:
    return (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_the_site_names_every_page() -> None:
    named = set(re.findall(r"[\w/-]+\.md", settings()))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    decisions = {page for page in pages if page.startswith("decisions/0")}
    assert named == pages - decisions


def test_the_site_loads_nothing_from_elsewhere() -> None:
    theme = yaml.safe_load(settings())["theme"]
    assert theme["font"] is False


@pytest.mark.attack
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv runs mkdocs: `pip install uv`")
    clone = tmp_path / "clone"
    for name in ("docs", "examples", "geobatch", "scripts", "benchmarks"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("work"))
    for path in (*ROOT.glob("*.md"), *ROOT.glob("*.yml"), ROOT / "pyproject.toml"):
        shutil.copy(path, clone)
    shutil.copytree(ROOT / "schema", clone / "schema")
    options = ["-q", "--project", str(ROOT), "--group", "docs"]
    command = [uv, "run", *options, "mkdocs", "build", "--strict"]
    done = subprocess.run(
        ["env", ENVIRONMENT, *command], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    identifier = json.loads((clone / "schema" / "geobatch.v1.json").read_text())["$id"]
    name = identifier.removeprefix(yaml.safe_load(settings())["site_url"])
    assert (clone / "site" / name).exists()
    reference = (clone / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    for name in ("plan", "apply", "open_store", "SourceError"):
        assert f">{name}<" in reference.replace("</span>", "<"), name
