"""TFRecord files of false lengths whose checksums hold; and a process that reads them."""

from __future__ import annotations

import resource
import struct
import sys
from pathlib import Path

import google_crc32c

from geobatch.errors import SourceError
from geobatch.model.sources.tfrecord import Feature, Mixer, Shard
from geobatch.sources.files import identify_file
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.features.patches import Decoder
from geobatch.sources.tfrecord.shards.examples import examples
from geobatch.sources.tfrecord.shards.records import batches, describe, digests_of
from geobatch.sources.tfrecord.tensorflow_library import tensorflow


def masked(data: bytes) -> int:
    """Return the checksum of a part of a record, as TFRecord masks it."""
    checksum: int = google_crc32c.value(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(record: bytes, *, length: int | None = None) -> bytes:
    """Return a record as it stands in a file, under a length that may be another than its own."""
    start = struct.pack("<Q", len(record) if length is None else length)
    return start + struct.pack("<I", masked(start)) + record + struct.pack("<I", masked(record))


def main() -> None:
    """Read each file that is named on standard input, in every way that geobatch does."""

    tensorflow()
    limit = 4 << 30  # a length that is believed would take more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    mixer = Mixer(patch=(2, 2), patches_per_row=1, total=1)
    kinds = ("float_list", "int64_list", "bytes_list")
    features = [
        Feature(name=name, dtype=dtype, kind=kind)
        for name, dtype, kind in zip("abc", ("float32", "int64", "uint8"), kinds, strict=True)
    ]
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        said = []

        def images(path: Path = path) -> None:
            digest, stat = identify_file(path, may_be_empty=True)
            shard = Shard(uri=path.name, path=str(path), stat=stat, digest=digest)
            for batch in batches(shard):
                for one in features:
                    with Named(path.name):
                        list(Decoder([one], mixer).decode(batch, first=0))

        def rows(path: Path = path) -> None:
            digest, stat = identify_file(path, may_be_empty=True)
            shard = Shard(uri=path.name, path=str(path), stat=stat, digest=digest)
            list(examples(shard))
            digests_of(shard)

        def first(path: Path = path) -> None:
            digest, stat = identify_file(path, may_be_empty=True)
            describe(Shard(uri=path.name, path=str(path), stat=stat, digest=digest))

        for way in (first, images, rows):
            try:
                way()
                said.append("ok")
            except SourceError as error:
                said.append(str(error).replace("\n", " "))
        sys.stdout.write(" | ".join(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
