"""JPEG 2000 files, such as those of Sentinel-2."""
