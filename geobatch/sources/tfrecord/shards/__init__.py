"""TFRecord files: their digests, frames, records and rows."""
