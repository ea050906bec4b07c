"""Regions of tiles, computed and put."""
