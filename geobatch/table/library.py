"""pyarrow, imported only when a table is written or read."""

from __future__ import annotations

from typing import Any

from geobatch.errors import SourceError
from geobatch.extras import install_hint


def arrow() -> Any:
    """Return the module `pyarrow`, with its parts for CSV and Parquet.

    Raises:
        SourceError: It is not installed, or cannot be imported.
    """
    try:
        import pyarrow.csv  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(
            f"tables are written and read by pyarrow, which cannot be imported: {error}",
            hint=install_hint("table"),
        ) from None
    return pyarrow
