"""What "Adding a policy" of docs/design.md says: a toy policy, added to a copy of the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import zarr
from affine import Affine

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.reducers import REDUCERS, mask_reducer

ROOT = Path(__file__).parents[2]
NODATA = 255
EDITS = {
    "model/assets/policy.py": (
        '    MEDIAN = "MEDIAN"\n',
        '    MEDIAN = "MEDIAN"\n    RANGE = "RANGE"\n',
    ),
    "pyramid/reducers.py": ("MODE, MEDIAN)", "MODE, MEDIAN, RANGE)"),
}
"""File -> (text, what it becomes). The import of the toy is added to the second file."""


def test_every_policy_has_one_reducer() -> None:
    assert list(REDUCERS) == list(Policy)
    assert all(reducer.policy is policy for policy, reducer in REDUCERS.items())
    assert len({reducer.resampling for reducer in REDUCERS.values()}) == len(Policy)
    # Masks of masks would have no end: what reduces masks reduces them without weights.
    assert {policy for policy in Policy if mask_reducer(policy) is REDUCERS[policy]} == {
        Policy.MEAN, Policy.SAMPLE,
    }  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that has the policy RANGE."""
    folder = tmp_path_factory.mktemp("copy")
    package = folder / "geobatch"
    shutil.copytree(ROOT / "geobatch", package)
    shutil.copy(Path(__file__).with_name("toy_range.py"), package / "pyramid" / "range.py")
    for name, (old, new) in EDITS.items():
        text = (package / name).read_text()
        assert text.count(old) == 1, f"`{name}` has changed: change this test with it"
        (package / name).write_text(text.replace(old, new))
    reducers = package / "pyramid/reducers.py"
    text = reducers.read_text()
    last = "from geobatch.pyramid.sample import SAMPLE\n"
    reducers.write_text(text.replace(last, f"from geobatch.pyramid.range import RANGE\n{last}"))
    return folder


def run(folder: Path, *arguments: str) -> str:
    """Run the copy of geobatch in a folder that contains it."""
    done = subprocess.run(
        [sys.executable, "-m", "geobatch", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def level_above(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the next level of an even plane, NODATA where all four pixels are masked."""
    height, width = values.shape
    groups = values.reshape(height // 2, 2, width // 2, 2)
    masked = np.ma.masked_equal(groups, NODATA)
    spread = masked.max(axis=(1, 3)) - masked.min(axis=(1, 3))
    return np.ma.filled(spread, NODATA)


def test_a_policy_is_added_by_one_file_and_two_names(copy: Path) -> None:
    """Specs, levels, plans and views all have the new policy, and no other file was touched."""
    random = np.random.default_rng(5)
    pixels = random.integers(0, 200, (600, 520)).astype(np.uint8)
    pixels[random.random(pixels.shape) < 0.3] = NODATA
    pixels[:64, :64] = NODATA
    with rasterio.open(
        copy / "a.tif", "w", driver="GTiff", height=600, width=520, count=1, dtype="uint8",
        crs="EPSG:32633", transform=Affine(10, 0, 500000, 0, -10, 5200000), nodata=NODATA,
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    (copy / "a.yaml").write_text(
        "id: a\ntilesets: [{id: t, sources: [{uris: [a.tif]}]}]\n"
        "bands: [{id: classes, tileset_id: t, pyramiding_policy: range}]\n"
    )
    said = run(copy, "apply", "a.yaml", "--init", "--store", "store")
    assert "holds classes and is averaged" in said
    found: Any = zarr.open_group(copy / "store/zarr/a", mode="r")
    expected = pixels
    for level in range(3):
        array = found[f"{level}/classes"]
        assert np.array_equal(array[:], expected), f"level {level}"
        if level:
            assert array.attrs["resampling_method"] == "range"
            assert found[f"masks/{level}/classes"].attrs["resampling_method"] == "average"
            assert ((found[f"masks/{level}/classes"][:] == 0) == (expected == NODATA)).all()
        expected = level_above(expected)
    assert found.attrs["multiscales"]["resampling_method"] == "range"
    assert "1 unchanged." in run(copy, "plan", "a.yaml", "--store", "store")
    assert '"range"' in run(copy, "schema")
