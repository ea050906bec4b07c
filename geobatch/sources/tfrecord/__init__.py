"""TFRecord files with their mixers, read and written. Owns tensorflow, imported when needed."""
