"""The wheel and the sdist hold what users need, and nothing of the tests."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.attack


@pytest.fixture(scope="module")
def dist(made_once: Callable[..., Path]) -> Path:
    uv = shutil.which("uv")
    if uv is None:
        pytest.skip("uv builds the wheel: `pip install uv`")
    command = [uv, "build", "-q", "--out-dir"]
    return made_once("dist", lambda path: subprocess.run([*command, path, ROOT], check=True))


@pytest.fixture(scope="module")
def wheel(dist: Path) -> zipfile.ZipFile:
    (path,) = dist.glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith("/METADATA")]
    return message_from_string(wheel.read(name).decode())


def test_the_wheel_has_the_package_alone(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top.split("-")[0] for top in tops} == {"geobatch"}
    assert not [name for name in wheel.namelist() if re.search(r"(^|/)(tests?_|conftest)", name)]
    assert "geobatch/py.typed" in wheel.namelist()
    assert sum(one.file_size for one in wheel.infolist()) < 4 << 20


def test_every_module_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    package = ROOT / "geobatch"
    modules = {path.relative_to(ROOT).as_posix() for path in package.rglob("*.py")}
    assert modules <= set(wheel.namelist())


def test_links_of_the_readme_work_on_a_package_index(metadata: Message) -> None:
    text = metadata.get_payload()
    assert isinstance(text, str)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) > 20
    assert not [link for link in links if not re.match(r"https://|#", link)]
    shown = [link for link in links if "/geobatch/geobatch/" in link]
    for link in shown:
        name = re.sub(r"^https://[^/]+/geobatch/geobatch/(blob/)?main/", "", link).partition("#")[0]
        assert (ROOT / name).exists(), link


def test_the_metadata_say_where_everything_is(metadata: Message) -> None:
    urls = {one.split(",")[0] for one in metadata.get_all("Project-URL", [])}
    assert urls >= {"Homepage", "Documentation", "Issues", "Changelog"}
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])


def test_the_sdist_builds_the_same_wheel(dist: Path, wheel: zipfile.ZipFile) -> None:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"README.md", "LICENSE", "pyproject.toml", "geobatch/__init__.py"} <= names
    packaged = {name for name in wheel.namelist() if name.startswith("geobatch/")}
    assert packaged <= names


def test_an_installed_wheel_runs_without_the_clone(dist: Path, tmp_path: Path) -> None:
    # The libraries of this environment, and geobatch from the wheel before them.
    (path,) = dist.glob("*.whl")
    code = "import geobatch.cli.main as m; print(m.__file__); m.main(['--version'])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(path)!r}); {code}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith(str(path))
