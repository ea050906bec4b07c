"""Values of columns over some successive rows, while they wait and are compared."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from msgspec import Struct

from geobatch.model.assets.table import ColumnType
from geobatch.model.digest import Digest, digest_bytes

Integers: TypeAlias = npt.NDArray[np.int64]
"""Places, counts or sizes."""

DTYPES = {ColumnType.FLOAT32: "<f4", ColumnType.FLOAT64: "<f8", ColumnType.INT64: "<i8"}
"""How numbers are stored; the bytes of texts are `u1`."""
_COLUMN = b"geobatch column 1\0"


class Part(Struct, frozen=True, kw_only=True):
    """The values of one column in some successive rows."""

    rows: Integers
    """Which of the rows have any, ascending."""
    counts: Integers
    """How many each of those has."""
    values: npt.NDArray[Any]
    """All of them, one after another; of texts, their bytes in UTF-8."""
    sizes: Integers
    """Bytes of each text; empty for numbers."""

    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Return all that it consists of, in a fixed order."""
        return (self.rows, self.counts, self.values, self.sizes)

    def scalars(self) -> Part:
        """Return it as that of a column with one value a row: a row without any has none."""
        has = self.counts > 0
        return Part(
            rows=self.rows[has], counts=self.counts[has], values=self.values, sizes=self.sizes
        )


class ColumnDigest:
    """The digest of a column's values; how they are divided into parts does not matter."""

    def __init__(self, *, is_array: bool) -> None:
        self._is_array = is_array
        self._streams = [blake3() for _ in range(4)]

    def add(self, part: Part, *, rows: int) -> None:
        """Add the values of the next rows, of which there are so many."""
        present = np.zeros(rows, dtype=np.uint8)
        present[part.rows] = 1
        counts = part.counts if self._is_array else part.counts[:0]
        data = (present, counts.astype("<u8"), part.sizes.astype("<u8"), part.values)
        for stream, values in zip(self._streams, data, strict=True):
            stream.update(values.tobytes())

    def digest(self) -> Digest:
        """Return the digest of all that was added."""
        return digest_bytes(_COLUMN + b"".join(stream.digest() for stream in self._streams))
