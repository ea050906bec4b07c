"""`verify` and `checkout` of what comes from TFRecord: patches and tables."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from msgspec.structs import replace
from record_workbench import Export
from table_workbench import Row, floats, longs, write_shard
from workbench import Workbench

from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.views.checkout import check_out
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.report import Verification
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request


def checked(folder: Path) -> Verification:
    return verify_request(VerifyRequest(store=StoreLocation.of(folder), workers=2))


def test_a_table_and_an_export(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    rows: list[Row] = [{"x": floats(float(n)), "n": longs(n)} for n in range(20)]
    write_shard(tmp_path / "rows.tfrecord.gz", rows)
    (tmp_path / "rows.yaml").write_text(
        "kind: table\nid: t/rows\nsources: [{uris: [rows.tfrecord.gz]}]\n"
    )
    pixels = np.random.default_rng(1).integers(1, 99, (32, 48)).astype(np.float32)
    export = Export(bands={"b": pixels}, patch=(16, 16))
    export.write(tmp_path, splits=[2])
    (tmp_path / "image.yaml").write_text(
        "id: p\ntilesets: [{id: t, sources: [{uris: [pred-*.gz, pred-mixer.json]}]}]\n"
        "bands: [{id: b, tileset_id: t, feature: b}]\ntiling: {tile: 16}\n"
    )
    apply([tmp_path / "rows.yaml", tmp_path / "image.yaml"], store=bench.store, workers=1)
    found = checked(bench.store)
    image, table = found.assets
    assert (image.checked, image.lost) == (image.tiles, ())
    assert table.table is not None
    assert table.table.is_equal
    assert not found.is_different
    _tamper(bench)
    found = checked(bench.store)
    assert found.is_different
    assert found.assets[1].table is not None
    assert found.assets[1].table.columns == ("n",)
    write_shard(tmp_path / "rows.tfrecord.gz", rows[:-1])
    found = checked(bench.store)
    assert not found.is_different
    assert [source.uri for source in found.assets[1].lost] == ["rows.tfrecord.gz"]


def _tamper(bench: Workbench) -> None:
    with closing(TileStore.open(bench.store)) as store:
        head = store.head()
        entry = head.tree.entry("t/rows")
        assert entry is not None
        record: Any = store.record(entry)
        columns = tuple(
            replace(one, content="0" * 64) if one.name == "n" else one
            for one in record.table.columns
        )
        wrong = replace(record, table=replace(record.table, columns=columns))
        changes = {"t/rows": store.put_record(wrong)}
        store.publish(base=head, changes=changes, message="wrong", tools={})


def test_the_checkout_of_a_table_is_a_file(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    rows: list[Row] = [{"longitude": floats(float(n)), "latitude": floats(1.0)} for n in range(9)]
    write_shard(tmp_path / "r.tfrecord.gz", rows)
    spec = tmp_path / "t.yaml"
    spec.write_text("kind: table\nid: t/rows\nsources: [{uris: [r.tfrecord.gz]}]\n")
    apply([spec], store=bench.store, workers=1)
    with closing(TileStore.open(bench.store)) as store:
        check_out(store, store.head(), "t/rows", tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    assert file.name == "rows.parquet"
    assert list(geopandas.read_parquet(file)["longitude"]) == [float(n) for n in range(9)]
