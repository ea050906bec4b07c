"""Where the coordinates of a NetCDF file place its pixels, and GDAL does not say so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geobatch.sources.gdal.environment import FAILURES
from geobatch.sources.whole.dataset import open_raster
from geobatch.sources.whole.format import RasterFormat

if TYPE_CHECKING:
    from geobatch.model.sources.header import Header

_NORTH = re.compile("degrees?_?(?:north|N)")
_EAST = re.compile("degrees?_?(?:east|E)")


def last_latitude(driver: RasterFormat, header: Header, dataset: Any) -> str | None:
    """Return the name of the latitudes if they place columns; None if they place rows.

    GDAL takes the last dimension for columns, whatever its coordinates are.

    Args:
        driver: The driver of the file.
        header: What is known of the variable.
        dataset: The variable, open.
    """
    if header.transform is None:
        return None
    step, left = header.transform[0], header.transform[2]
    columns = _centres(left, step, header.width)

    def places_columns(name: str) -> bool:
        try:
            with open_raster(driver, dataset.files[0], name) as found:
                if found.shape != (1, header.width):
                    return False
                values = np.asarray(found.read(1)[0], dtype=np.float64)
        except FAILURES:  # a variable that is no raster: a single value, texts
            return False
        return bool(np.abs(values - columns).max() < abs(step) / 2)

    units = {
        key.rpartition("#")[0]: value
        for key, value in dataset.tags().items()
        if key.rpartition("#")[2] == "units"
    }
    north = [name for name, unit in units.items() if _NORTH.fullmatch(unit)]
    east = [name for name, unit in units.items() if _EAST.fullmatch(unit)]
    found = next(filter(places_columns, north), None)
    return None if found is None or any(map(places_columns, east)) else found


def greatest_move(header: Header, values: str) -> float:
    """Return how far rows are from their coordinates, at most.

    Args:
        header: What is known of the variable.
        values: The coordinates, as GDAL writes them: `{1,2}`.
    """
    if header.transform is None:
        return 0.0
    found = np.array(values.strip("{}").split(","), dtype=np.float64)
    rows = _centres(header.transform[5], header.transform[4], header.height)
    return float(np.abs(np.sort(found) - np.sort(rows)).max())


def _centres(start: float, step: float, count: int) -> npt.NDArray[np.float64]:
    centres: npt.NDArray[np.float64] = start + step * (np.arange(count, dtype=np.float64) + 0.5)
    return centres
