"""Rival: `tf.data` parses TFRecord patches, and nothing is done with them.

    python benchmarks/rivals/tf_parse.py SHARD...

As the guide to Earth Engine and TensorFlow has it; one thread per core parses, and the next record
is read meanwhile.
"""

from __future__ import annotations

import sys

import tensorflow as tf

PATCH = 256


def main(shards: list[str]) -> None:
    """Parse every record of some shards, and say how many there were."""
    wanted = {
        name: tf.io.FixedLenFeature([PATCH, PATCH], tf.float32) for name in ("red", "green", "blue")
    }
    records = tf.data.TFRecordDataset(shards, compression_type="GZIP").map(
        lambda record: tf.io.parse_single_example(record, wanted),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    print(sum(1 for _ in records.prefetch(tf.data.AUTOTUNE)), "records")


if __name__ == "__main__":
    main(sys.argv[1:])
