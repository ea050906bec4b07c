"""Parts of a TFRecord source, read by a process that knows how many records each shard has."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.window import Window
from geobatch.sources.reader import Sources
from geobatch.store.caches.cache import SourceCache
from geobatch.workflow.plan import plan

SPECS = Path(__file__).parents[3] / "specs"


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "specs" / "data").mkdir(parents=True)
    shutil.copy(SPECS / "predictions.yaml", tmp_path / "specs")
    for path in (SPECS / "data").glob("predictions*"):
        shutil.copy(path, tmp_path / "specs" / "data")
    (change,) = plan([tmp_path / "specs"], store=tmp_path / "store").changes
    ((found,),) = (one.sources for one in change.image.tilesets)
    return found


def test_only_the_shards_that_a_window_needs_are_read(source: Source, tmp_path: Path) -> None:
    """The pixels are those of a whole read, and finishing elsewhere reads nothing again."""
    assert source.records is not None
    shards = source.records.shards
    rows, cols = source.records.mixer.patch
    window = Window(row=0, col=0, height=rows, width=cols)
    first = SourceCache.memory()
    with Sources(folder=tmp_path, cache=first) as whole:
        records = whole.records(source)
        assert list(records) == [one.digest for one in shards]
        whole.finish(source)
        assert whole.bytes_read == 0, "what was digested is known"
        expected = whole.read(source, window, [0, 1, 2]).bands
    cache = SourceCache.memory()
    for digest, found in records.items():
        cache.put_records(digest, found)
    with Sources(folder=tmp_path, cache=cache) as part:
        found_bands = part.read(source, window, [0, 1, 2]).bands
        part.confirm(source)
        assert part.bytes_read == shards[0].stat.size
    for one, other in zip(found_bands, expected, strict=True):
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def test_a_part_is_confirmed_only_if_its_shard_is_what_was_digested(
    source: Source, tmp_path: Path
) -> None:
    """Its records may be valid, and those of another file of that name."""
    assert source.records is not None
    with Sources(folder=tmp_path, cache=SourceCache.memory()) as whole:
        records = whole.records(source)
    one, *others = source.records.shards
    wrong = replace(one, digest=others[0].digest)
    there = replace(source, records=replace(source.records, shards=(wrong, *others)))
    cache = SourceCache.memory()
    for digest, found in records.items():
        cache.put_records(digest, found)
    cache.put_records(wrong.digest, records[one.digest])
    window = Window(row=0, col=0, height=1, width=1)

    def read() -> None:
        with Sources(folder=tmp_path, cache=cache) as part:
            part.read(there, window, [0])
            part.confirm(there)

    with pytest.raises(SourceError):
        read()


def test_a_source_that_cannot_be_read_has_no_records(source: Source, tmp_path: Path) -> None:
    """Reading its pixels says why."""
    assert source.records is not None
    Path(source.records.shards[1].path).unlink()
    with Sources(folder=tmp_path, cache=SourceCache.memory()) as reader:
        assert reader.records(source) == {}
        last = Window(row=source.height - 1, col=source.width - 1, height=1, width=1)
        with pytest.raises(SourceError, match="predictions-00001"):
            reader.read(source, last, [0])
