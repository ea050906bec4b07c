"""What one format of files with rasters is, that a driver of GDAL opens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from geobatch.model.sources.header import Header
from geobatch.sources.naming import UnnamedError


class RasterFormat:
    """A format; a file holds one raster, or several that have names."""

    gdal_name: ClassVar[str]
    """Name of GDAL's driver."""
    word: ClassVar[str]
    """What messages call a file."""
    endings: ClassVar[tuple[str, ...]]
    """Endings of the names of its files, in small letters."""
    starts: ClassVar[tuple[bytes, ...]]
    """What its files start with; others are not given to GDAL."""

    def names(self, dataset: Any) -> Mapping[str, str]:  # noqa: ARG002 - for drivers
        """Return the rasters of an open file: GDAL's name of each by its own, empty for the file.

        Args:
            dataset: The file, opened by its path.
        """
        return {"": ""}

    def complete(self, header: Header, dataset: Any) -> Header:  # noqa: ARG002 - for drivers
        """Return the header of a raster with what only this format says."""
        return header

    def check_file(self, path: Path) -> None:
        """Refuse a file that does not start like its format, before GDAL opens it.

        Raises:
            UnnamedError: It does not.
            OSError: It cannot be read.
        """
        with path.open("rb") as file:
            start = file.read(16)
        if not start.startswith(self.starts):
            message = f"expected a {self.word}, got a file that starts with `{start[:8].hex(' ')}`"
            raise UnnamedError(message)

    def raster_name(self, path: str, variable: str) -> str:  # noqa: ARG002 - for drivers
        """Return GDAL's name of a raster of a file."""
        return path
