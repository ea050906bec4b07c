"""TFRecord files and their mixers, written."""
