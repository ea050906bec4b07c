"""TFRecord sources: their mixer, their records, and the pixels in them. Owns tensorflow."""

from geobatch.tfrecord.reader import Reader
from geobatch.tfrecord.stream import RecordCache

__all__ = ["Reader", "RecordCache"]
