"""Images of a folder as one Zarr array along time, whose chunks are the tiles of the store."""
