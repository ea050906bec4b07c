"""Rows gathered into columns, and kept as GeoParquet. Owns pyarrow, imported when needed."""
