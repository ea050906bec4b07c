"""Pixels from the blocks of TIFFs, without GDAL where libraries decode them as it does."""
