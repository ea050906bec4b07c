"""Pages of an index that are put one by one, and where they are in it."""
