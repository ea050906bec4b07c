"""Reading a store from Python: images as read-only zarr groups, tables as Arrow tables."""
