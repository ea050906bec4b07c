"""The pixel grid of a tileset, on which its sources are."""
