"""TFRecord files with their mixers, read and written. Owns tensorflow, imported when needed."""

from geobatch.tfrecord.reader import Reader
from geobatch.tfrecord.stream import RecordCache

__all__ = ["Reader", "RecordCache"]
