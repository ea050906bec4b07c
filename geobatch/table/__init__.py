"""Rows gathered into columns, and kept as GeoParquet by pyarrow, which is imported when needed."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.table.read import read_table
else:
    # This loads numpy.
    __getattr__ = late(
        __name__,
        {
            "read_table": "read",
        },
    )

__all__ = ["read_table"]
