"""pyarrow, imported when a table is written or read, and by nobody else."""

from __future__ import annotations

from typing import Any

from geobatch.errors import SourceError
from geobatch.versions import install_hint


def arrow() -> Any:
    """Return the module `pyarrow`, with its Parquet part.

    Raises:
        SourceError: It is not installed, or cannot be imported.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet  # noqa: PLC0415
    except ImportError as error:
        raise SourceError(
            f"tables are written and read by pyarrow, which cannot be imported: {error}",
            hint=install_hint("pyarrow"),
        ) from None
    return pa
