"""Predictions and tables in buckets: the same assets as from a disk, in one state, few requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
from depth import examples
from fake_s3 import FakeBucket, fake_buckets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from range_server import serving
from record_workbench import Export, Pixels, numbered
from table_workbench import Row, floats, longs, texts, write_split
from workbench import Workbench, image, write_tiff

from geobatch.errors import SourceError
from geobatch.model.plans.plan import Op
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request
from geobatch.workflow.plan import plan

IN_BUCKETS = settings(
    max_examples=examples(6, 25), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    with fake_buckets(monkeypatch, "exports") as [made]:
        yield made


def upload(bucket: FakeBucket, folder: Path) -> None:
    """Put what changed of a folder, and delete what is gone."""
    files = {f"run/{one.name}": one.read_bytes() for one in folder.iterdir() if one.is_file()}
    for key in bucket.objects.keys() - files.keys():
        del bucket.objects[key]
    for key, data in files.items():
        if key not in bucket.objects or bucket.objects[key].data != data:
            bucket.put(key, data)


def records_image(start: str, **more: Any) -> dict[str, Any]:
    """Return an image spec of the export below a folder or a url."""
    source = {"uris": [f"{start}pred-*.tfrecord*", f"{start}pred-mixer.json"]}
    return image("x", tileset={"sources": [source]}, **more)


def apply_to(folder: Path, name: str, *documents: dict[str, Any]) -> Any:
    path = Workbench(folder=folder).write_spec(documents, f"{name}.yaml")
    return apply([path], store=folder / f"store-{name}", workers=2)


@IN_BUCKETS
@given(data=st.data())
def test_an_export_in_a_bucket_is_the_one_on_a_disk(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("export")
    patch = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    grid = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    shape = (patch[0] * grid[0], patch[1] * grid[1])
    bands: dict[str, Pixels] = {
        name: rng.integers(0, 9, shape).astype("float32")
        for name in "ab"[: data.draw(st.integers(1, 2))]
    }
    splits = data.draw(st.lists(st.integers(0, grid[0] * grid[1]), max_size=4))
    export = Export(bands=bands, patch=patch)
    export.write(
        folder / "run", splits=splits, compression=data.draw(st.sampled_from(["", "GZIP"]))
    )
    with pytest.MonkeyPatch.context() as monkeypatch, fake_buckets(monkeypatch, "p") as [bucket]:
        upload(bucket, folder / "run")
        named = {"bands": [{"id": name, "feature": name} for name in bands]}
        here = apply_to(folder, "here", records_image("run/", **named))
        there = apply_to(folder, "there", records_image(f"{bucket.url}run/", **named))
        assert here.content_root == there.content_root


def test_an_unchanged_export_costs_lists_and_a_changed_one_its_shard(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    """Only the tiles of the patch that changed are written again; other shards are not read."""
    pixels = numbered(128, 128)
    export = Export(bands={"p": pixels}, patch=(32, 32))
    run = tmp_path / "run"
    export.write(run, splits=[4, 8, 12])
    upload(bucket, run)
    spec = Workbench(folder=tmp_path).write_spec([records_image(f"{bucket.url}run/", tile=32)])
    store = tmp_path / "store"
    apply([spec], store=store, workers=2)
    assert bucket.counted() == {"list": 1, "get": 6}  # five objects, one of them twice
    assert plan([spec], store=store).changes[0].op is Op.KEEP
    assert bucket.counted() == {"list": 1}
    changed = pixels.copy()
    changed[40, 70] += 1
    Export(bands={"p": changed}, patch=(32, 32)).write(run, splits=[4, 8, 12])
    upload(bucket, run)
    [change] = plan([spec], store=store).changes
    assert change.op is Op.UPDATE
    summary = apply([spec], store=store, workers=2)
    read = [key for kind, key in bucket.requests if kind == "get"]
    assert set(read) == {"run/pred-00001.tfrecord.gz"}
    assert (
        summary.content_root
        == apply_to(tmp_path, "new", records_image("run/", tile=32)).content_root
    )
    assert change.tiles.by_level[0] == 1


def test_the_same_bytes_uploaded_again_are_no_change(bucket: FakeBucket, tmp_path: Path) -> None:
    Export(bands={"p": numbered(32, 32)}, patch=(16, 16)).write(tmp_path / "run", splits=[2])
    upload(bucket, tmp_path / "run")
    spec = Workbench(folder=tmp_path).write_spec([records_image(f"{bucket.url}run/")])
    apply([spec], store=tmp_path / "store", workers=2)
    for key, one in list(bucket.objects.items()):
        bucket.put(key, one.data, version="9")
    assert plan([spec], store=tmp_path / "store").changes[0].op is Op.KEEP
    assert plan([spec], store=tmp_path / "store", rehash=True).changes[0].op is Op.KEEP


def test_an_object_that_changes_between_plan_and_read_fails_and_publishes_nothing(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    Export(bands={"p": numbered(64, 64)}, patch=(16, 16)).write(tmp_path / "run", splits=[8])
    upload(bucket, tmp_path / "run")
    key = "run/pred-00001.tfrecord.gz"
    tag = bucket.objects[key].etag.strip('"')
    other = bucket.objects["run/pred-00000.tfrecord.gz"].data

    def swap(asked: str) -> None:
        if asked == key:
            bucket.put(key, other)

    bucket.on_get = swap
    spec = Workbench(folder=tmp_path).write_spec([records_image(f"{bucket.url}run/")])
    with pytest.raises(SourceError, match="Failed to load the TFRecord file at") as caught:
        apply([spec], store=tmp_path / "store", workers=2)
    assert f"`{bucket.url}{key}#{tag}`" in str(caught.value)
    assert caught.value.code.value == "source"
    assert TileStore.open(tmp_path / "store").head().commit is None


def test_a_damaged_object_is_named(bucket: FakeBucket, tmp_path: Path) -> None:
    Export(bands={"p": numbered(64, 64)}, patch=(16, 16)).write(tmp_path / "run", splits=[8])
    upload(bucket, tmp_path / "run")
    key = "run/pred-00001.tfrecord.gz"
    bucket.put(key, bucket.objects[key].data[:-20])
    spec = Workbench(folder=tmp_path).write_spec([records_image(f"{bucket.url}run/")])
    with pytest.raises(SourceError, match="incomplete") as caught:
        apply([spec], store=tmp_path / "store", workers=2)
    assert f"`{bucket.url}{key}`" in str(caught.value)


def test_a_long_shard_is_streamed_in_order(bucket: FakeBucket, tmp_path: Path) -> None:
    """Several requests are in flight; none of them has more than some megabytes."""
    rng = np.random.default_rng(1)
    pixels = rng.random((1024, 4096), dtype=np.float32)
    Export(bands={"p": pixels}, patch=(256, 256)).write(tmp_path / "run", compression="")
    upload(bucket, tmp_path / "run")
    there = apply_to(tmp_path, "there", records_image(f"{bucket.url}run/", tile=256))
    assert bucket.counted()["get"] >= 5
    here = apply_to(tmp_path, "here", records_image("run/", tile=256))
    assert here.content_root == there.content_root


def table(start: str) -> dict[str, Any]:
    return {"kind": "table", "id": "t", "sources": [{"uris": [f"{start}rows-*.tfrecord.gz"]}]}


def test_a_table_in_a_bucket_is_the_one_on_a_disk(bucket: FakeBucket, tmp_path: Path) -> None:
    rows: list[Row] = [
        {"longitude": floats(n), "latitude": floats(n / 2), "n": longs(n), "s": texts(f"é{n}")}
        for n in range(40)
    ]
    (tmp_path / "run").mkdir()
    write_split(tmp_path / "run", rows, [7, 20])
    upload(bucket, tmp_path / "run")
    here = apply_to(tmp_path, "here", table("run/"))
    there = apply_to(tmp_path, "there", table(f"{bucket.url}run/"))
    assert here.content_root == there.content_root
    bucket.counted()
    found = plan([tmp_path / "there.yaml"], store=tmp_path / "store-there")
    assert found.changes[0].op is Op.KEEP
    assert bucket.counted() == {"list": 1}


def test_a_csv_table_in_a_bucket_is_the_one_on_a_disk(bucket: FakeBucket, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    lines = "".join(f'{n},"é, {n}",POINT({n} {n / 2})\n' for n in range(30_000))
    (tmp_path / "run" / "t.csv").write_text(f"n,name,g\n{lines}", encoding="utf-8")
    upload(bucket, tmp_path / "run")
    specs = [
        {"kind": "table", "id": "t", "sources": [{"uris": [f"{start}t.csv"]}]}
        for start in ("run/", f"{bucket.url}run/")
    ]
    here, there = (apply_to(tmp_path, f"at{n}", spec) for n, spec in enumerate(specs))
    assert here.content_root == there.content_root
    found = plan([tmp_path / "at1.yaml"], store=tmp_path / "store-at1")
    assert found.changes[0].op is Op.KEEP


def test_an_export_on_a_server_is_the_one_on_a_disk(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shards = Export(bands={"p": numbered(64, 64)}, patch=(16, 16)).write(run, splits=[8])
    here = apply_to(tmp_path, "here", records_image("run/"))
    with serving(run) as served:
        uris = [f"{served.url}{shard.name}" for shard in shards]
        sources = [{"uris": [*uris, f"{served.url}pred-mixer.json"]}]
        there = apply_to(tmp_path, "there", image("x", tileset={"sources": sources}))
    assert here.content_root == there.content_root


def test_sidecars_in_a_bucket_place_a_raster(bucket: FakeBucket, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_tiff(run / "a.tif", [numbered(32, 32)], crs=None)
    (run / "a.tfw").write_text("10\n0\n0\n-10\n500005\n4999995\n")
    (run / "a.prj").write_text(pyproj.CRS.from_epsg(32633).to_wkt())
    upload(bucket, run)
    roots = [
        apply_to(
            tmp_path,
            name,
            image("x", tileset={"sources": [{"uris": ["run/a.tif", f"{at}a.tfw", f"{at}a.prj"]}]}),
        ).content_root
        for name, at in (("here", "run/"), ("there", f"{bucket.url}run/"))
    ]
    assert roots[0] == roots[1]
    assert bucket.counted() == {"head": 2, "get": 1}  # the raster has a transform of its own


def test_an_unchanged_collection_of_rasters_costs_its_list(
    bucket: FakeBucket, tmp_path: Path
) -> None:
    """No request per image: what the list says of an object is enough to trust what is cached."""
    run = tmp_path / "run"
    run.mkdir()
    for number in range(12):
        write_tiff(run / f"{number}.tif", [numbered(16, 16, step=number)])
    upload(bucket, run)
    document = {
        "kind": "image_collection", "id": "c", "for_each": {"files": [f"{bucket.url}run/*.tif"]},
        "image": {"id": "{stem}", "tilesets": [{"id": "t", "sources": [{"uris": ["{file}"]}]}]},
    }  # fmt: skip
    spec = Workbench(folder=tmp_path).write_spec([document])
    apply([spec], store=tmp_path / "store", workers=2)
    bucket.counted()
    found = plan([spec], store=tmp_path / "store")
    assert {change.op for change in found.changes} == {Op.KEEP}
    assert bucket.counted() == {"list": 1}
    assert bucket.counted() == {}
    write_tiff(run / "7.tif", [numbered(16, 16, step=99)])
    upload(bucket, run)
    found = plan([spec], store=tmp_path / "store")
    assert [change.id for change in found.changes if change.op is Op.UPDATE] == ["c/7"]
    assert {key for kind, key in bucket.requests if kind != "list"} == {"run/7.tif"}


def test_verify_finds_the_objects_again(bucket: FakeBucket, tmp_path: Path) -> None:
    """By the spec if it is there, else a table by its uris; one that changed is named."""
    run = tmp_path / "run"
    Export(bands={"p": numbered(32, 32)}, patch=(16, 16)).write(run, splits=[2])
    rows: list[Row] = [{"n": longs(n)} for n in range(9)]
    write_split(run, rows, [4])
    upload(bucket, run)
    at = f"{bucket.url}run/"
    bench = Workbench(folder=tmp_path)
    spec = bench.write_spec([records_image(at), table(at)])
    apply([spec], store=bench.store, workers=2)
    request = VerifyRequest(store=StoreLocation.of(bench.store), workers=2)
    assert not verify_request(request).is_different
    assert [one.lost for one in verify_request(request).assets] == [(), ()]
    key = "run/rows-00001.tfrecord.gz"
    bucket.put(key, bucket.objects["run/rows-00000.tfrecord.gz"].data)
    [lost] = verify_request(request).assets[0].lost
    assert lost.uri == f"{bucket.url}{key}"
    assert "changed" in lost.problem
    spec.unlink()
    del bucket.objects[key]
    [lost] = verify_request(request).assets[0].lost
    assert lost.uri == f"{bucket.url}{key}"
    assert "no such" in lost.problem
