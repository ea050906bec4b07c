"""What is made in the likeness of real files has their structure, tag for tag."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import stand_ins
from rasterio.enums import ColorInterp

STRUCTURE = {
    254: "kind of page", 258: "bits", 259: "compression", 262: "photometric", 277: "samples",
    284: "planes", 317: "predictor", 338: "extra samples", 339: "sample format",
}  # fmt: skip
"""Tags whose values must agree; of the others it is enough that they are there."""
OF_OLD_GDAL = {34736, 42112}
"""Tags that newer versions leave out: a datum shift of zeros, colours that are known anyway."""


def pages(path: Path) -> list[dict[int, Any]]:
    """Return the tags of each page; of most tags only that they are there."""
    data = path.read_bytes()
    assert data[:4] == b"II*\0"
    (offset,) = struct.unpack_from("<I", data, 4)
    found: list[dict[int, Any]] = []
    while offset:
        (count,) = struct.unpack_from("<H", data, offset)
        found.append({})
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, size, value = struct.unpack_from("<HHII", data, entry)
            start = value if size * {3: 2, 4: 4}.get(kind, 9) > 4 else entry + 8
            is_told = tag in STRUCTURE
            found[-1][tag] = struct.unpack_from(f"<{size}H", data, start) if is_told else True
        (offset,) = struct.unpack_from("<I", data, offset + 2 + 12 * count)
    return found


def test_each_real_file_has_a_stand_in_of_its_structure(made: Path, rasters: Path) -> None:
    names = {path.name for path in rasters.glob("*.tif")} - {stand_ins.PALETTE}
    assert names == set(stand_ins.NAMES)
    for name in names:
        found, expected = pages(made / name), pages(rasters / name)
        assert len(found) == len(expected), name
        for one, other in zip(found, expected, strict=True):
            for tag in OF_OLD_GDAL:
                one.pop(tag, None), other.pop(tag, None)
            assert one == other, name
        with rasterio.open(made / name) as one, rasterio.open(rasters / name) as other:
            for key in ("count", "dtypes", "colorinterp", "mask_flag_enums", "nodatavals"):
                assert getattr(one, key) == getattr(other, key), f"{key} of {name}"
            assert one.crs.to_epsg() == other.crs.to_epsg(), name
            assert one.profile["tiled"] == other.profile["tiled"], name
            assert one.overviews(1) == other.overviews(1), name
            for band in one.indexes:
                assert set(one.tags(band)) == set(other.tags(band)), name
                masks = np.unique(one.read_masks(band))
                assert set(masks) >= set(np.unique(other.read_masks(band))), name


def test_quarters_share_a_row_and_a_column(rasters: Path) -> None:
    with rasterio.open(rasters / "RGB.byte.tif") as file:
        whole, transform = file.read(), file.transform
    seen = np.zeros(whole.shape[1:], int)
    for number in range(1, 5):
        with rasterio.open(rasters / f"rgb{number}.tif") as file:
            col, row = (round(value) for value in ~transform @ file.transform @ (0, 0))
            y, x = slice(row, row + file.height), slice(col, col + file.width)
            assert (file.read() == whole[:, y, x]).all()
            seen[y, x] += 1
    assert sorted(np.unique(seen)) == [1, 2, 4]
    assert (seen > 1).any(axis=1).all()
    assert ((seen > 1).all(axis=1).sum(), (seen > 1).all(axis=0).sum()) == (1, 1)


def test_what_is_made_is_made_alike(made: Path, tmp_path: Path) -> None:
    again = stand_ins.make(tmp_path)
    for path in made.rglob("*.*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(made)).read_bytes(), path.name


def test_there_is_a_palette(made: Path) -> None:
    with rasterio.open(made / stand_ins.PALETTE) as file:
        assert file.colorinterp == (ColorInterp.palette,)
        assert file.colormap(1)[3] == (75, 180, 30, 255)
        assert len(np.unique(file.read(1))) == 10


def test_a_wrong_folder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOBATCH_REAL_DATA", "/nowhere/at all")
    with pytest.raises(pytest.UsageError, match="`/nowhere/at all`: there is no such folder"):
        stand_ins.real_folder()
    monkeypatch.setenv("GEOBATCH_REAL_DATA", "")
    assert stand_ins.real_folder() is None
