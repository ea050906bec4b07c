"""Rows gathered into columns, and kept as GeoParquet by pyarrow, which is imported when needed."""
