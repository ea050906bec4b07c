"""The header of a TIFF: what GDAL reports, and what it does not."""
