"""TFRecord files: their records, read and written. Owns tensorflow, imported when needed."""
