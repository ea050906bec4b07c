"""The content-addressed tile store and its Zarr views."""
