"""TIFFs on servers are ingested like files, and only blocks that changed are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cogs import mask, values, write_cog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from range_server import Served, serving
from reference_pyramid import Values
from workbench import LAYOUTS, Document, Options, Workbench, image, write_tiff

from geobatch.errors import SourceError
from geobatch.model.plans.summary import ApplySummary
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

SHAPE = (200, 300)


@pytest.fixture(name="served")
def served_fixture(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "bucket").mkdir()
    with serving(tmp_path / "bucket") as served:
        yield served


def bench_in(folder: Path) -> Workbench:
    folder.mkdir(exist_ok=True)
    return Workbench(folder=folder)


def local_root(tmp_path: Path, name: str, *documents: Document) -> str:
    """Return the content root of a new store in which local files are ingested."""
    return bench_in(tmp_path / name).apply(*documents).content_root


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["plain", "internal", "alpha"])
def test_the_content_is_that_of_the_file(
    tmp_path: Path, served: Served, layout: Options, kind: str
) -> None:
    bands = [values(SHAPE), values(SHAPE)]
    internal = mask()[: SHAPE[0], 200 : 200 + SHAPE[1]] if kind == "internal" else None
    path = write_tiff(
        served.folder / "a.tif", bands, internal=internal, has_alpha=kind == "alpha",
        layout=layout, nodata=7 if kind == "plain" else None,
    )  # fmt: skip
    expected = local_root(tmp_path, "local", image("a", path))
    bench = bench_in(tmp_path / "remote")
    found = bench.apply(image("a", f"{served.url}a.tif"))
    assert found.content_root == expected
    served.requests.clear()
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty
    assert served.sent == 1, "a plan asks for the state alone"


def test_mosaics_of_files_and_objects(tmp_path: Path, served: Served) -> None:
    pixels = [values(SHAPE) for _ in range(3)]
    write_tiff(served.folder / "a.tif", [pixels[0]])
    write_tiff(served.folder / "b.tif", [pixels[1]], row=100, col=100, nodata=9)
    other = write_tiff(tmp_path / "c.tif", [pixels[2]], row=150, col=-50)
    names: list[str | Path] = [served.folder / "a.tif", other, served.folder / "b.tif"]
    urls: list[str | Path] = [f"{served.url}a.tif", other, f"{served.url}b.tif"]
    expected = local_root(tmp_path, "local", image("m", *names, missing_data={"values": [0]}))
    found = bench_in(tmp_path / "remote").apply(image("m", *urls, missing_data={"values": [0]}))
    assert found.content_root == expected


def edited(pixels: Values, blocks: list[tuple[int, int]], side: int, seed: int) -> Values:
    """Return pixels that differ in some blocks, and only there."""
    found = pixels.copy()
    for row, col in blocks:
        part = found[row * side : (row + 1) * side, col * side : (col + 1) * side]
        part += 1 + np.random.default_rng(seed).integers(0, 9, part.shape, dtype=part.dtype)
    return found


TILED: Options = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}


def test_exactly_the_blocks_that_changed_are_decoded(tmp_path: Path, served: Served) -> None:
    pixels = values((512, 512))
    path = write_tiff(served.folder / "a.tif", [pixels], layout=TILED)
    bench = bench_in(tmp_path / "remote")
    first = bench.apply(image("a", f"{served.url}a.tif"))
    assert first.blocks.decoded == 64
    write_tiff(path, [edited(pixels, [(1, 2), (7, 7)], 64, 1)], layout=TILED)
    served.generation += 1
    wide = plan([bench.folder / "spec.yaml"], store=bench.store)
    assert wide.changes[0].tiles.by_level[0] == 64, "nothing is known before it is read"
    served.requests.clear()
    found = bench.apply_spec()
    assert (found.blocks.fetched, found.blocks.equal, found.blocks.decoded) == (64, 62, 2)
    assert found.content_root == local_root(tmp_path, "local", image("a", path))
    assert served.sent < 1.1 * path.stat().st_size + 40_000, "changed blocks are fetched once"
    again = bench.apply_spec()
    assert again.commit is None


def test_rehash_makes_the_plan_exact_beforehand(tmp_path: Path, served: Served) -> None:
    pixels = values((512, 512))
    path = write_tiff(served.folder / "a.tif", [pixels], layout=TILED)
    bench = bench_in(tmp_path / "remote")
    bench.apply(image("a", f"{served.url}a.tif"))
    write_tiff(path, [edited(pixels, [(3, 3)], 64, 1)], layout=TILED)
    served.generation += 1
    spec = bench.folder / "spec.yaml"
    exact = plan([spec], store=bench.store, rehash=True)
    assert exact.changes[0].tiles.by_level[0] == 1
    assert exact.changes[0].blocks_changed == ((f"{served.url}a.tif", 1),)
    assert apply([spec], store=bench.store).blocks.decoded == 1


def test_new_tags_around_equal_blocks_decode_nothing(tmp_path: Path, served: Served) -> None:
    """Also when a file moves to a server: its blocks are those that were ingested."""
    path = write_tiff(served.folder / "a.tif", [values((512, 512))], layout=TILED)
    bench = bench_in(tmp_path / "remote")
    first = bench.apply(image("a", path))
    moved = bench.apply(image("a", f"{served.url}a.tif"))
    assert (moved.blocks.fetched, moved.blocks.equal, moved.blocks.decoded) == (64, 64, 0)
    served.generation += 1
    again = bench.apply_spec()
    assert (again.blocks.equal, again.blocks.decoded) == (64, 0)
    assert again.content_root == moved.content_root == first.content_root


def test_a_lost_cache_costs_time_alone(tmp_path: Path, served: Served) -> None:
    pixels = values((512, 512))
    path = write_tiff(served.folder / "a.tif", [pixels], layout=TILED)
    bench = bench_in(tmp_path / "remote")
    bench.apply(image("a", f"{served.url}a.tif"))
    write_tiff(path, [edited(pixels, [(1, 2)], 64, 1)], layout=TILED)
    served.generation += 1
    for one in (bench.store / "cache").rglob("*.sqlite*"):
        one.unlink()
    found = bench.apply_spec()
    assert (found.blocks.fetched, found.blocks.decoded) == (0, 64)
    assert found.content_root == local_root(tmp_path, "local", image("a", path))


@pytest.mark.parametrize("layout", [LAYOUTS[3], LAYOUTS[4]])
@pytest.mark.parametrize("crop", [False, True])
def test_increments_of_odd_blocks(
    tmp_path_factory: pytest.TempPathFactory, layout: Options, crop: bool
) -> None:
    check_increments(tmp_path_factory, layout, [[(1, 1), (3, 4)]], crop=crop, has_mask=True)


@pytest.mark.attack
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layout=st.sampled_from([*LAYOUTS, TILED]),
    edits=st.lists(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4)), max_size=4), max_size=3
    ),
    crop=st.booleans(),
    has_mask=st.booleans(),
)
def test_increments_give_what_a_full_ingest_gives(
    tmp_path_factory: pytest.TempPathFactory,
    layout: Options,
    edits: list[list[tuple[int, int]]],
    crop: bool,
    has_mask: bool,
) -> None:
    check_increments(tmp_path_factory, layout, edits, crop=crop, has_mask=has_mask)


def check_increments(
    tmp_path_factory: pytest.TempPathFactory,
    layout: Options,
    edits: list[list[tuple[int, int]]],
    *,
    crop: bool,
    has_mask: bool,
) -> None:
    """Local == remote == remote after edits, also where only a part of the blocks is read."""
    folder = tmp_path_factory.mktemp("edits")
    (folder / "www").mkdir()
    rng = np.random.default_rng(3)
    more: Document = {}
    if crop:
        more = {"grid": {"bounds": [500_700, 4_998_500, 502_200, 4_999_700]}}
    with serving(folder / "www") as served:
        pixels = rng.integers(1, 4000, SHAPE).astype("uint16")
        internal = np.full(SHAPE, 255, dtype=np.uint8) if has_mask else None
        remote = bench_in(folder / "remote")
        for number, blocks in enumerate([[], *edits]):
            pixels = edited(pixels, blocks, 50, number)
            if internal is not None:
                internal = internal.copy()
                internal[number * 13 : number * 17 + 20, 30:60] = 0
            path = write_tiff(served.folder / "a.tif", [pixels], internal=internal, layout=layout)
            served.generation += 1
            found = remote.apply(image("a", f"{served.url}a.tif", **more))
            local = bench_in(folder / f"local{number}")
            assert found.content_root == local.apply(image("a", path, **more)).content_root


def test_another_state_is_never_published(tmp_path: Path, served: Served) -> None:
    path = write_tiff(served.folder / "a.tif", [values((512, 512))], layout=TILED)
    bench = bench_in(tmp_path / "remote")
    spec = bench.write_spec([image("a", f"{served.url}a.tif")])

    def replace_it(_: object) -> None:
        write_tiff(path, [values((512, 512))], layout=TILED)
        served.generation += 1

    with pytest.raises(SourceError, match=r"Failed to load the GeoTIFF at `http://.*a\.tif#"):
        apply([spec], store=bench.store, approve=replace_it)
    assert not (bench.store / "refs" / "main" / "1").exists()
    assert apply([spec], store=bench.store).commit is not None


def test_a_cog_and_a_file_without_ranges(tmp_path: Path, served: Served) -> None:
    path = write_cog(served.folder / "a.tif", [values((300, 400))])
    expected = local_root(tmp_path, "local", image("a", path))
    bench = bench_in(tmp_path / "remote")
    found: ApplySummary = bench.apply(image("a", f"{served.url}a.tif"))
    assert found.content_root == expected
    served.has_ranges = False
    served.generation += 1
    with pytest.raises(SourceError, match="sends only whole files"):
        bench.apply_spec()


def test_a_sparse_object(tmp_path: Path, served: Served) -> None:
    """Blocks that are not stored are not fetched, and a huge empty canvas is refused alike."""
    options: Options = {**TILED, "SPARSE_OK": True}
    pixels = np.zeros((512, 512), dtype="uint16")
    pixels[100:120, 300:330] = 5
    path = write_tiff(served.folder / "a.tif", [pixels], layout=options)
    expected = local_root(tmp_path, "local", image("a", path))
    found = bench_in(tmp_path / "remote").apply(image("a", f"{served.url}a.tif"))
    assert found.content_root == expected
    assert found.blocks.decoded < 64
