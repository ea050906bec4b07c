"""The driver of tables in CSV files."""

from __future__ import annotations

from typing import ClassVar

from geobatch.model.assets.table import Table, is_csv
from geobatch.sources import csv
from geobatch.sources.rows import RowDriver, RowReader


class CsvRows(RowDriver):
    """CSV files."""

    name: ClassVar[str] = "csv"
    maker: ClassVar[str] = "csv 1"

    def matches(self, uri: str) -> bool:
        """Return whether a file is CSV, by its name."""
        return is_csv(uri)

    def open_reader(self, table: Table) -> RowReader:
        """Read the files of a table for the types of their columns, and return a reader."""
        return csv.CsvReader(table)
