"""Memory does not grow with the number of bands, and how bands are grouped decides no pixel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from workbench import CRS, Workbench, image, write_tiff

from geobatch.errors import SettingError, SourceError
from geobatch.execute import passes
from geobatch.workflow.apply import apply

PROGRAM = """
import resource, sys
from pathlib import Path
from geobatch.workflow.apply import apply
apply([Path(sys.argv[1])], store=Path(sys.argv[2]), workers=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
      // (1024 * 1024 if sys.platform == "darwin" else 1024))
"""


def sparse(path: Path, side: int, **options: object) -> Path:
    """Write a file of a few bytes and many pixels."""
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, dtype="uint8", sparse_ok=True, crs=CRS,
        transform=rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), tiled=True, **options,
    ):  # fmt: skip
        pass
    return path


def test_bands_are_no_matter_of_memory(tmp_path: Path) -> None:
    """Twenty-four bands of 2048 x 2048 pixels in one tile: 200 MB with their masks."""
    bench = Workbench(folder=tmp_path)
    peaks = {}
    for count in (2, 24):
        sparse(tmp_path / f"{count}.tif", 2048, count=count, interleave="band")
        spec = bench.write_spec([image("a", f"{count}.tif", tile=2048)], f"{count}.yaml")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(spec), str(tmp_path / f"store-{count}")],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        peaks[count] = int(done.stdout)
    assert peaks[24] < peaks[2] + 160, peaks


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("room", [1, 3 * 2 * 64 * 64])
def test_groups_of_bands_decide_no_pixel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str, room: int
) -> None:
    bench = Workbench(folder=tmp_path)
    rng = np.random.default_rng(2)
    bands = [rng.integers(0, 9, (300, 200)).astype(np.uint8) for _ in range(7)]
    write_tiff(tmp_path / "a.tif", bands, nodata=3, layout={"interleave": interleave})
    spec = bench.write_spec([image("a", "a.tif", tile=64)])
    whole = apply([spec], store=tmp_path / "whole").content_root
    monkeypatch.setattr(passes, "REGION_BYTES", room)
    monkeypatch.setattr(passes, "SHARED_BYTES", room)
    assert apply([spec], store=tmp_path / "split").content_root == whole


def test_a_huge_block_is_refused_with_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse(tmp_path / "a.tif", 32768, count=2, blockxsize=32768, blockysize=32768)
    spec = Workbench(folder=tmp_path).write_spec([image("a", "a.tif", tile=4096)])
    with pytest.raises(SourceError, match=r"`a\.tif`: a block of 32768 x 32768 pixels of 2") as one:
        apply([spec], store=tmp_path / "store")
    assert "2147483648 bytes" in one.value.message
    assert "`GEOBATCH_MAX_BLOCK_BYTES=2147483648`" in str(one.value.hint)
    monkeypatch.setenv("GEOBATCH_MAX_BLOCK_BYTES", "1.5G")
    with pytest.raises(SettingError, match=r"is `1\.5G`, expected a whole number"):
        apply([spec], store=tmp_path / "store")
