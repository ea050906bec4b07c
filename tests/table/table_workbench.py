"""Tables as plain TensorFlow writes them and plain pandas reads them: the oracle of an import."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import tensorflow as tf

from geobatch.workflow.apply import apply

Row = Mapping[str, tuple[str, Sequence[Any]]]
"""(kind such as `float_list`, values) by name of the feature."""

LISTS = {
    "float_list": tf.train.FloatList,
    "int64_list": tf.train.Int64List,
    "bytes_list": tf.train.BytesList,
}


def floats(*values: float) -> tuple[str, list[float]]:
    return ("float_list", list(values))


def longs(*values: int) -> tuple[str, list[int]]:
    return ("int64_list", list(values))


def texts(*values: str | bytes) -> tuple[str, list[bytes]]:
    return ("bytes_list", [v.encode() if isinstance(v, str) else v for v in values])


def example(row: Row) -> bytes:
    features = {
        name: tf.train.Feature(**{kind: LISTS[kind](value=values)})
        for name, (kind, values) in row.items()
    }
    made: bytes = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    return made


def write_shard(path: Path, rows: Sequence[Row], compression: str = "GZIP") -> Path:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            writer.write(example(row))
    return path


def write_split(folder: Path, rows: Sequence[Row], cuts: Sequence[int]) -> None:
    """Write rows as shards that end at some places, the last at the end."""
    ends = [*sorted(cuts), len(rows)]
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        write_shard(folder / f"rows-{number:05}.tfrecord.gz", rows[start:end])


def write_spec(folder: Path, *, more: str = "", source: str = "", asset: str = "t/rows") -> Path:
    path = folder / "table.yaml"
    path.write_text(
        f"kind: table\nid: {asset}\nsources:\n  - uris: ['rows-*.tfrecord.gz']\n"
        + "".join(f"    {line}\n" for line in source.splitlines())
        + more
    )
    return path


def published(folder: Path, **options: Any) -> str:
    """Apply the spec of a folder and return the content root."""
    return apply([folder / "table.yaml"], store=folder / "store", workers=1, **options).content_root


def view(folder: Path, asset: str = "t/rows") -> Path:
    return folder / "store" / "parquet" / f"{asset}.parquet"


def stored_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def expected_rows(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return what rows are as a table, by the plainest rules: None for what is not there."""
    names = sorted({name for row in rows for name in row})
    arrays = {name for row in rows for name, (_, values) in row.items() if len(values) > 1}
    return [{name: _value(row.get(name), name in arrays) for name in names} for row in rows]


def _value(found: tuple[str, Sequence[Any]] | None, is_array: bool) -> Any:
    if found is None:
        return None
    kind, values = found
    plain = [_plain(kind, value) for value in values]
    if is_array:
        return plain
    return plain[0] if plain else None


def _plain(kind: str, value: Any) -> Any:
    if kind == "float_list":
        return float(np.float32(value))
    return value.decode() if kind == "bytes_list" else value


def parsed(path: Path) -> Iterator[dict[str, tuple[str, list[Any]]]]:
    """Yield the features of each record of a compressed file, as TensorFlow reads them."""
    for record in tf.data.TFRecordDataset(str(path), "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        yield {
            name: (kind, list(getattr(feature, kind).value))
            for name, feature in sorted(features.items())
            if (kind := feature.WhichOneof("kind"))
        }


def same(one: Any, two: Any) -> bool:
    """Return whether values are equal, NaN equal to itself."""
    return repr(one) == repr(two)
