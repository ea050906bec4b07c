"""TFRecord files with their mixers. Owns tensorflow, which is imported when one is touched."""
