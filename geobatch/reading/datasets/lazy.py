"""What xarray reads only when it needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

Read: TypeAlias = Callable[[tuple[slice, ...]], npt.NDArray[Any]]
"""Returns the values of a window, whose slices have start, stop and a step of 1."""


class LazyArray(BackendArray):
    """An array of which windows are read."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, read: Read) -> None:
        """Read nothing yet.

        Args:
            shape: Its shape.
            dtype: Type of its values.
            read: Reads a window, from any thread.
        """
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._read = read

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        """Return what xarray asks for."""
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._window
        )

    def _window(self, key: tuple[int | slice, ...]) -> npt.NDArray[Any]:
        """Return the values of integers and slices, one per dimension."""
        parts: list[slice] = []
        steps: list[slice | int] = []
        for item, length in zip(key, self.shape, strict=True):
            if isinstance(item, slice):
                start, stop, step = item.indices(length)
                parts.append(slice(start, max(start, stop), 1))
                steps.append(slice(None, None, step))
            else:
                at = int(item) % length
                parts.append(slice(at, at + 1, 1))
                steps.append(0)
        if any(part.start == part.stop for part in parts):
            found = np.empty([part.stop - part.start for part in parts], self.dtype)
        else:
            found = self._read(tuple(parts))
        return found[tuple(steps)]


def lazy_variable(
    dims: tuple[str, ...],
    array: LazyArray,
    attributes: Mapping[str, Any],
    chunks: Mapping[str, int],
) -> xr.Variable:
    """Return a variable whose values are read when they are needed.

    Args:
        dims: Names of its dimensions.
        array: What reads it.
        attributes: Its attributes.
        chunks: What one read decodes, by dimension; dask's chunks where it chooses them.
    """
    data = indexing.LazilyIndexedArray(array)
    return xr.Variable(dims, data, dict(attributes), {"preferred_chunks": dict(chunks)})
