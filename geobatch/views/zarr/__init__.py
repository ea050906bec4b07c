"""Published images as Zarr v3: the plain tree on disk, and a read-only zarr store."""
