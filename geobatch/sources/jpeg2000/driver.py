"""The driver of JPEG 2000 files."""

from __future__ import annotations

from typing import Any, ClassVar

from msgspec.structs import replace

from geobatch.model.sources.header import Header
from geobatch.sources.whole.raster import WholeRaster


class Jpeg2000(WholeRaster):
    """JP2 files and codestreams, placed by GeoJP2 or GML within them."""

    name: ClassVar[str] = "jpeg2000"
    gdal_name: ClassVar[str] = "JP2OpenJPEG"
    word: ClassVar[str] = "JPEG 2000 file"
    endings: ClassVar[tuple[str, ...]] = (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc")
    starts: ClassVar[tuple[bytes, ...]] = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")
    has_sidecars: ClassVar[bool] = True

    def complete(self, header: Header, dataset: Any) -> Header:
        """Return the header with what is known of the compression; see `WholeRaster.complete`."""
        stated = dataset.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION_REVERSIBILITY", "")
        is_lossy = False if stated.startswith("LOSSLESS") else stated == "LOSSY" or None
        return replace(
            header,
            compression="JPEG2000",
            is_lossy=is_lossy,
            overviews=len(dataset.overviews(1)),
            is_pixel_interleaved=dataset.count > 1,
        )
