"""CSV files of tables: a line of column names, and a row per line."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.csv.reader import CsvReader
else:
    # What reads rows is needed when a table is made.
    __getattr__ = late(
        __name__,
        {
            "CsvReader": "reader",
        },
    )

__all__ = ["CsvReader"]
