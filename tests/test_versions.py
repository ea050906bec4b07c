"""Versions are what the metadata of installed libraries say, and told without loading any."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from geobatch.versions import VERSION, version_of


@pytest.mark.parametrize(
    "library", ["imagecodecs", "numpy", "pyarrow", "pyproj", "rasterio", "tensorflow", "zarr"]
)
def test_versions_are_those_of_the_metadata(library: str) -> None:
    assert version_of(library) == version(library)


def test_the_build_takes_the_version_from_the_package() -> None:
    assert version("geobatch") == VERSION


def test_a_library_whose_metadata_lie_elsewhere_is_found() -> None:
    # The folder of an editable install holds sources.
    assert version_of("geobatch") == VERSION


def test_two_versions_beside_one_library_are_left_to_the_metadata(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").touch()
    for number in ("1", "2"):
        folder = tmp_path / f"odd-{number}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: odd\nVersion: {number}\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert version_of("odd") == version("odd")


def test_what_is_not_installed_has_no_version() -> None:
    with pytest.raises(PackageNotFoundError):
        version_of("geobatch_of_tomorrow")


def test_nothing_is_loaded_for_a_version() -> None:
    code = (
        "import sys; from geobatch.versions import version_of; version_of('rasterio')\n"
        "print({'rasterio', 'importlib.metadata'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
