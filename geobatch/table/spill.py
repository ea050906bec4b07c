"""Parts that wait on disk until every column is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from geobatch.errors import StoreError
from geobatch.table.part import Part

_ARRAYS = 4


class Spill:
    """Parts of columns, written once and read in the same order; of a file without a name.

    So nothing is left of it when the process ends, however it ends.
    """

    def __init__(self, folder: Path) -> None:
        """Open it in a folder.

        Raises:
            StoreError: The disk refused.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `__exit__`
        except OSError as error:
            raise StoreError(f"cannot write to `{folder}`: {error.strerror or error}") from error
        self._groups: list[tuple[int, tuple[str, ...]]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, rows: int, parts: Mapping[str, Part]) -> None:
        """Append the parts of the next rows.

        Raises:
            StoreError: The disk refused.
        """
        try:
            for name in sorted(parts):
                for values in parts[name].arrays():
                    np.save(self._file, values, allow_pickle=False)
        except OSError as error:
            raise StoreError(
                f"cannot write temporary rows: {error.strerror or error}",
                hint="free some space on the store's disk",
            ) from error
        self._groups.append((rows, tuple(sorted(parts))))

    def read(self) -> Iterator[tuple[int, dict[str, Part]]]:
        """Yield how many rows follow, and the parts of those columns that have any."""
        self._file.seek(0)
        for rows, names in self._groups:
            parts = {}
            for name in names:
                places, counts, values, sizes = (
                    np.load(self._file, allow_pickle=False) for _ in range(_ARRAYS)
                )
                parts[name] = Part(rows=places, counts=counts, values=values, sizes=sizes)
            yield rows, parts
