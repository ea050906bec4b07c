"""TIFFs in buckets of each service are ingested and shown like files, in the pinned state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from buckets import Before, Enter
from cogs import external, values, write_cog
from servers import Bucket
from workbench import Options, Workbench, image, write_tiff

import geobatch
from geobatch.buckets.objects import head, list_objects
from geobatch.buckets.url import parse_bucket_url
from geobatch.errors import SourceError
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

TILED: Options = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def bench_in(folder: Path) -> Workbench:
    folder.mkdir(exist_ok=True)
    return Workbench(folder=folder)


def put(bucket: Bucket, key: str, path: Path) -> str:
    """Upload a file; return its uri."""
    bucket.store().put(key, path.read_bytes())
    return f"{bucket.url}/{key}"


def test_a_list_and_a_head_give_one_identity(bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    for number in range(3):
        bucket.store().put(f"a/{number}.tif", b"x" * number)
    listed = dict(list_objects(parse_bucket_url(f"{bucket.url}/a/")))
    assert len(listed) == 3
    for key, state in listed.items():
        url = str(parse_bucket_url(bucket.url).at(key))
        found = head(parse_bucket_url(url))
        assert state.object_identity(url) == found.object_identity(url)
        assert state.is_same(found)
        assert not found.is_timed
        bucket.store().put(f"a/{key.rpartition('/')[2]}", b"another" + key.encode())
        again = head(parse_bucket_url(url))
        assert again.object_identity(url) != found.object_identity(url)
        assert not again.is_same(state)


def test_the_content_is_that_of_the_file(tmp_path: Path, bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    pixels = values((512, 512))
    path = write_tiff(tmp_path / "a.tif", [pixels, pixels // 2], layout=TILED)
    url = put(bucket, "scenes/a b+ä.tif", path)
    expected = bench_in(tmp_path / "local").apply(image("a", path)).content_root
    bench = bench_in(tmp_path / "remote")
    assert bench.apply(image("a", url)).content_root == expected
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty


def test_only_changed_blocks_are_decoded(tmp_path: Path, bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    pixels = values((512, 512))
    url = put(bucket, "a.tif", write_tiff(tmp_path / "a.tif", [pixels], layout=TILED))
    bench = bench_in(tmp_path / "remote")
    bench.apply(image("a", url))
    pixels[130:135, 70:80] += 1
    path = write_tiff(tmp_path / "a.tif", [pixels], layout=TILED)
    put(bucket, "a.tif", path)
    found = bench.apply_spec()
    assert (found.blocks.fetched, found.blocks.equal, found.blocks.decoded) == (64, 63, 1)
    expected = bench_in(tmp_path / "local").apply(image("a", path)).content_root
    assert found.content_root == expected


def test_another_state_is_never_published(tmp_path: Path, bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    path = write_tiff(tmp_path / "a.tif", [values((512, 512))], layout=TILED)
    url = put(bucket, "a.tif", path)
    bench = bench_in(tmp_path / "remote")
    spec = bench.write_spec([image("a", url)])

    def replace_it(_: object) -> None:
        write_tiff(path, [values((512, 512))], layout=TILED)
        put(bucket, "a.tif", path)

    with pytest.raises(SourceError, match=r"Failed to load the GeoTIFF at `.*a\.tif#") as caught:
        apply([spec], store=bench.store, approve=replace_it)
    state = head(parse_bucket_url(url))
    assert state.generation not in caught.value.message
    assert apply([spec], store=bench.store).commit is not None
    bucket.store().delete("a.tif")
    with pytest.raises(geobatch.GeobatchError, match="no object"):
        apply([spec], store=bench.store)


def test_what_is_no_tiff(tmp_path: Path, bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    whole = write_tiff(tmp_path / "a.tif", [values((512, 512))], layout=TILED).read_bytes()
    for data, words in (
        (b"", "the object is empty"),
        (b"no TIFF at all", "expected a TIFF file"),
        (whole[:200], "damaged|cannot be opened|cannot be read"),
    ):
        bucket.store().put("a.tif", data)
        spec = bench_in(tmp_path).write_spec([image("a", f"{bucket.url}/a.tif")])
        with pytest.raises(SourceError, match=words):
            plan([spec], store=tmp_path / "store")


def test_an_external_image_is_pinned(tmp_path: Path, bucket: Bucket, enter: Enter) -> None:
    enter(bucket)
    pixels = values((700, 1000))
    path = write_cog(tmp_path / "cog.tif", [pixels, pixels // 3], is_planar=True)
    url = put(bucket, "cog.tif", path)
    bench = bench_in(tmp_path / "remote")
    state = head(parse_bucket_url(url))
    bench.apply(external("a", f"{url}#{state.generation}"))
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    assert np.array_equal(np.asarray(array[...]), pixels)
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty
    put(bucket, "cog.tif", write_cog(tmp_path / "other.tif", [values((700, 1000))] * 2))
    fresh: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    if bucket.kind == "gs":
        return  # the server keeps older generations, if it is asked for them
    with pytest.raises(SourceError, match=r"Failed to load the GeoTIFF at `.*cog\.tif"):
        fresh[:300, :300]
    with pytest.raises(SourceError, match="Failed to load the GeoTIFF at"):
        plan([bench.folder / "spec.yaml"], store=bench.store)


def test_few_requests_with_latency(
    tmp_path: Path, bucket: Bucket, enter: Enter, before: Before
) -> None:
    """A file of 64 blocks, which are one region: its state, its header, and all of its blocks."""
    proxy, near = before(bucket, latency=0.005)
    enter(near)
    path = write_tiff(tmp_path / "a.tif", [values((512, 512))], layout=TILED)
    url = put(bucket, "a.tif", path)
    bench = bench_in(tmp_path / "remote")
    proxy.forget()
    bench.apply(image("a", url, tile=256))
    assert sum(proxy.counts().values()) <= 4, proxy.counts()
    proxy.forget()
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty
    assert sum(proxy.counts().values()) == 1, "the state alone"
