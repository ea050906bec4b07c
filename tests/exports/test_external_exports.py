"""External images are exported as ingested ones: the same files, byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from cogs import external, mask, values, write_cog
from workbench import Workbench, image

import geobatch
from geobatch.errors import SourceError

CASES: dict[str, dict[str, Any]] = {
    "three bands": {"bands": [values(), values(), values()]},
    "nodata": {"bands": [np.where(mask() > 0, values(), 0)], "nodata": 0},
    "internal": {"bands": [values(dtype="uint8")], "internal": mask()},
    "alpha": {"bands": [values(dtype="uint8"), mask()], "has_alpha": True},
}


def both(folder: Path, **options: Any) -> Workbench:
    bench = Workbench(folder=folder)
    write_cog(folder / "cog.tif", **options)
    policy: dict[str, Any] = {"pyramiding_policy": "SAMPLE"}
    bench.apply(external("out", "cog.tif", **policy), image("in", "cog.tif", tile=256, **policy))
    return bench


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("options", [{}, {"level": 1}, {"file_dimensions": (512, 512)}])
def test_cogs_are_those_of_the_ingested_image(
    tmp_path: Path, case: str, options: dict[str, Any]
) -> None:
    bench = both(tmp_path, **CASES[case])
    made = {
        name: geobatch.export(
            name, tmp_path / name / "x", format="cog", store=bench.store, workers=2, **options
        )
        for name in ("out", "in")
    }
    files = [[file.path for file in one.files] for one in made.values()]
    assert [path.name for path in files[0]] == [path.name for path in files[1]]
    for one, other in zip(*files, strict=True):
        with rasterio.open(one) as outside, rasterio.open(other) as inside:
            assert outside.profile == inside.profile
            assert outside.overviews(1) == inside.overviews(1)
            assert np.array_equal(outside.read(), inside.read())
            assert np.array_equal(outside.dataset_mask(), inside.dataset_mask())


def test_records_are_those_of_the_ingested_image(tmp_path: Path) -> None:
    bench = both(tmp_path, **CASES["nodata"])
    data = []
    for name in ("out", "in"):
        options = {"patchDimensions": [64, 64], "compressed": False}
        geobatch.export(
            name, tmp_path / name / "x", format="tfrecord", store=bench.store, options=options
        )
        data.append([path.read_bytes() for path in sorted((tmp_path / name).glob("*.tfrecord"))])
    assert data[0] == data[1]
    assert len(data[0][0]) > 1000


def test_overviews_that_are_no_halves_are_not_copied(tmp_path: Path) -> None:
    """GDAL rounds the size of an overview up or down; a COG can only have halves."""
    bands = [values((701, 1003))]
    bench = both(tmp_path, bands=bands)
    made = geobatch.export("out", tmp_path / "e" / "x", format="cog", store=bench.store)
    with rasterio.open(made.files[0].path) as file:
        assert np.array_equal(file.read(1), bands[0])
        assert file.overviews(1) in ([], [2], [2, 4])


def test_a_cog_that_changed_is_not_exported(tmp_path: Path) -> None:
    bench = both(tmp_path, **CASES["three bands"])
    write_cog(tmp_path / "cog.tif", bands=[values()])
    with pytest.raises(SourceError, match="Failed to load the GeoTIFF"):
        geobatch.export("out", tmp_path / "e" / "x", format="cog", store=bench.store)
    assert not list((tmp_path / "e").glob("x*"))
