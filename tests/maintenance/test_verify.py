"""`verify`: what is published equals what the sources give; what does not is found and measured."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from cogs import external, write_cog
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.format.codec import content_digest, encode
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord
from geobatch.model.sampling import most_likely_to_differ
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.report import AssetVerification, Verification
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request

Pixels = npt.NDArray[Any]
TILE = 64


def noise(shape: tuple[int, int] = (520, 530), seed: int = 1, dtype: str = "uint8") -> Pixels:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(folder=tmp_path)


def checked(bench: Workbench, *names: str, **more: Any) -> Verification:
    return verify_request(
        VerifyRequest(store=StoreLocation.of(bench.store), names=names, workers=2, **more)
    )


def only(found: Verification) -> AssetVerification:
    (one,) = found.assets
    return one


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def tamper(
    bench: Workbench, asset_id: str, changes: Mapping[tuple[ArrayKey, int, int], Any]
) -> None:
    """Publish an asset with tiles that the sources do not give; None removes one.

    All digests are consistent: only a rebuild can tell.
    """
    with closing(TileStore.open(bench.store)) as store:
        head = store.head()
        entry = head.tree.entry(asset_id)
        assert entry is not None
        record = store.record(entry)
        roots = dict(record.arrays)
        for (key, row, col), pixels in changes.items():
            grid = record.image.grid(record.image.band(key.band).grid)
            shape = grid.tile_shape(tile=record.image.tile, level=key.level)
            entries, gone = np.zeros(int(pixels is not None), dtype=TILE_ENTRY), None
            if pixels is None:
                gone = np.array([[row, col]], dtype=np.uint32)
            else:
                data = encode(record.image.codec, pixels)
                stored, _ = store.objects.put(data)
                digests = [list(bytes.fromhex(one)) for one in (content_digest(pixels), stored)]
                entries[0] = (row, col, *digests, len(data))
            roots[key] = store.index.write(shape, base=roots[key], entries=entries, remove=gone)
        new = replace(record, arrays=tuple((key, roots[key]) for key, _ in record.arrays))
        store.publish(
            base=head, changes={asset_id: store.put_record(new)}, message="wrong", tools={}
        )


def tile_of(bench: Workbench, asset_id: str, key: ArrayKey, row: int, col: int) -> Pixels:
    """Return the pixels of a tile with its padding, through the plain tree."""
    path = f"{asset_id}/{key.level}/{key.band}"
    part = bench.masks(path) if key.is_mask else bench.array(path)
    found = np.zeros((TILE, TILE), dtype=part.dtype)
    window = part[row * TILE : (row + 1) * TILE, col * TILE : (col + 1) * TILE]
    found[: window.shape[0], : window.shape[1]] = window
    return found


def shifted(pixels: Pixels) -> Pixels:
    made = pixels.copy()
    made[3, 4] += 7
    made[5, 6] -= 1
    return made


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_wrong_tile_is_found_and_measured(bench: Workbench, level: int) -> None:
    write_tiff(bench.folder / "a.tif", [noise(), noise(seed=2)])
    bench.apply(image("x/a", "a.tif", tile=TILE))
    assert not checked(bench).is_different
    key = ArrayKey(band="b2", level=level)
    pixels = tile_of(bench, "x/a", key, 0, 1)
    tamper(bench, "x/a", {(key, 0, 1): shifted(pixels)})
    before = files(bench.store)
    found = checked(bench)
    assert files(bench.store) == before, "it wrote to the store"
    assert found.is_different
    (one,) = only(found).findings
    assert (one.band, one.level, one.tiles) == ("b2", level, ((0, 1),))
    assert one.values is not None
    assert (one.values.changed, one.values.smallest, one.values.largest) == (2, -7, 1)
    assert (only(found).different, only(found).checked) == (1, only(found).tiles)


def test_wrong_masks_are_counted(bench: Workbench) -> None:
    pixels = noise()
    pixels[:130, :130] = 0
    pixels[200:204, 200:204] = 0
    write_tiff(bench.folder / "a.tif", [pixels], nodata=0)
    bench.apply(image("a", "a.tif", tile=TILE))
    values = ArrayKey(band="b1", level=1)
    masks = ArrayKey(band="b1", level=1, is_mask=True)
    wrong = tile_of(bench, "a", masks, 1, 1)
    assert (wrong == 255).sum() > 500
    expected = int((wrong[:10] > 0).sum())
    wrong[:10] = 0
    removed = tile_of(bench, "a", masks, 2, 2)
    tamper(bench, "a", {(masks, 1, 1): wrong, (values, 2, 2): None, (masks, 2, 2): None})
    # A tile that should be empty, and is not.
    extra = np.full((TILE, TILE), 9, dtype=np.uint8)
    tamper(bench, "a", {(values, 0, 0): extra, (masks, 0, 0): np.full_like(extra, 255)})
    found = only(checked(bench))
    (one,) = found.findings
    assert one.tiles == ((0, 0), (1, 1), (2, 2))
    assert one.values is not None
    assert one.values.unmasked == expected + int((removed > 0).sum())
    assert one.values.masked == TILE * TILE
    assert found.different == 2 + 1 + 2


def test_several_passes_check_every_level(bench: Workbench) -> None:
    write_tiff(bench.folder / "a.tif", [noise((2100, 2100))])
    bench.apply(image("a", "a.tif", tile=256))  # a region has 8 x 8 tiles: level 4 is another pass
    found = only(checked(bench))
    assert found.regions == 4 + 1
    assert (found.checked, found.different) == (found.tiles, 0)
    wrong = np.full((256, 256), 3, dtype=np.uint8)
    tamper(bench, "a", {(ArrayKey(band="b1", level=4), 0, 0): wrong})
    assert [(one.level, one.tiles) for one in only(checked(bench)).findings] == [(4, ((0, 0),))]
    # The level above is computed from the published tile, and differs too.
    tamper(bench, "a", {(ArrayKey(band="b1", level=3), 0, 0): wrong})
    assert [one.level for one in only(checked(bench)).findings] == [3, 4]


def mosaic(bench: Workbench) -> None:
    for number, (row, col) in enumerate([(0, 0), (0, 256), (256, 0), (256, 256)]):
        write_tiff(bench.folder / f"m{number}.tif", [noise((256, 256), number)], row=row, col=col)
    bench.apply(image("m", *(f"m{number}.tif" for number in range(4)), tile=TILE))


def test_sources_that_changed_are_named_and_the_others_checked(bench: Workbench) -> None:
    mosaic(bench)
    write_tiff(bench.folder / "m1.tif", [noise((256, 256), 9)], row=0, col=256)
    (bench.folder / "m2.tif").unlink()
    (bench.folder / "m3.tif").write_bytes(b"II*\0 this is not a TIFF")
    found = checked(bench)
    one = only(found)
    assert [source.uri for source in one.lost] == ["m1.tif", "m2.tif", "m3.tif"]
    assert [source.problem.split(":")[0] for source in one.lost] == [
        "has changed since", "is missing", "cannot be read",
    ]  # fmt: skip
    assert not found.is_different
    # Under the one source that is left are 4 x 4 tiles, and 2 x 2 at the level above.
    assert (one.tiles, one.checked, one.unreadable) == (64 + 16, 16 + 4, 60)
    key = ArrayKey(band="b1", level=0)
    tamper(bench, "m", {(key, 1, 1): np.full((TILE, TILE), 1, np.uint8)})
    tamper(bench, "m", {(key, 7, 7): np.full((TILE, TILE), 1, np.uint8)})
    assert [finding.tiles for finding in only(checked(bench)).findings] == [((1, 1),)]


def test_it_needs_neither_specs_nor_cache(bench: Workbench) -> None:
    mosaic(bench)
    for spec in bench.folder.glob("*.yaml"):
        spec.unlink()
    shutil.rmtree(bench.store / "cache")
    found = only(checked(bench))
    assert (found.checked, found.lost) == (found.tiles, ())
    assert not (bench.store / "cache").exists()


def test_a_spec_that_changed_or_is_wrong_does_not_matter(bench: Workbench) -> None:
    mosaic(bench)
    for text in ("id: other\n", "not: [a, spec", ""):
        (bench.folder / "spec.yaml").write_text(text)
        assert only(checked(bench)).checked == only(checked(bench)).tiles


def test_renamed_masked_and_placed_sources_are_found(bench: Workbench) -> None:
    project = bench.folder / "geobatch.yaml"
    project.write_text('uri_map: {"gs://bucket/": mirror/}\n')
    (bench.folder / "mirror").mkdir()
    write_tiff(bench.folder / "mirror" / "a.tif", [noise()], nodata=5)
    write_tiff(bench.folder / "mask.tif", [(noise(seed=3) > 50).astype(np.uint8) * 255])
    masked = image(
        "a", "gs://bucket/*.tif", tile=TILE, pyramiding_policy="MEDIAN",
        more_tilesets=[{"id": "k", "sources": [{"uris": ["mask.tif"]}]}],
        mask_bands=[{"tileset_id": "k", "band_ids": ["b1"]}],
        bands=[{"id": "b1", "tileset_id": "t"}],
    )  # fmt: skip
    bench.apply(masked)
    bench.apply({**masked, "id": "b", "moved_from": "a"})
    found = only(checked(bench))
    assert (found.id, found.lost, found.checked) == ("b", (), found.tiles)
    (bench.folder / "mask.tif").unlink()
    found = only(checked(bench))
    assert (found.checked, found.unreadable) == (0, found.tiles)


def test_external_images_are_named_as_such(bench: Workbench) -> None:
    write_cog(bench.folder / "c.tif", [noise((600, 700))])
    bench.apply(external("e", "c.tif"))
    found = checked(bench)
    assert only(found).notes[0].startswith("its pixels stay in COGs")
    assert not found.is_different
    write_cog(bench.folder / "c.tif", [noise((600, 700), 5)])
    assert [source.uri for source in only(checked(bench)).lost] == ["c.tif"]


def test_a_damaged_tile_that_is_needed_is_named(bench: Workbench) -> None:
    write_tiff(bench.folder / "a.tif", [noise((2100, 2100))])
    bench.apply(image("a", "a.tif", tile=256))
    with closing(TileStore.open(bench.store)) as store:
        entry = store.head().tree.entry("a")
        assert entry is not None
        record: AssetRecord = store.record(entry)
        key = ArrayKey(band="b1", level=3)
        shape = record.image.grids[0].tile_shape(tile=256, level=3)
        found = store.index.lookup(shape, record.root(key), row=0, col=0)
        assert found is not None
        path = bench.store / store.objects.path(found.stored.hex())
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    one = checked(bench)
    assert one.is_different
    assert "is damaged" in only(one).damages[0]


def request(bench: Workbench, sample: float, seed: int = 0) -> Verification:
    return verify_request(
        VerifyRequest(store=StoreLocation.of(bench.store), sample=sample, seed=seed, workers=2)
    )


def test_a_sample_is_drawn_by_its_seed(bench: Workbench) -> None:
    for number in range(12):
        write_tiff(bench.folder / f"{number}.tif", [noise((260, 30), number)])
    bench.apply(*(image(f"i/{number}", f"{number}.tif", tile=TILE) for number in range(12)))

    def drawn(found: Verification) -> list[int]:
        return [one.regions_checked for one in found.assets]

    first = request(bench, 0.25)
    assert (first.regions, first.regions_checked, sum(drawn(first))) == (36, 9, 9)
    assert drawn(first) == drawn(request(bench, 0.25))
    more = drawn(request(bench, 0.5))
    assert all(few <= many for few, many in zip(drawn(first), more, strict=True))
    assert any(drawn(first) != drawn(request(bench, 0.25, seed)) for seed in range(1, 5))
    assert 0 < first.most_different < 36 - 9
    assert request(bench, 0.0001).regions_checked == 1
    assert request(bench, 1.0).most_different == 0


@given(
    total=st.integers(1, 40),
    checked=st.integers(1, 40),
    found=st.integers(0, 40),
)
def test_the_bound_is_that_of_the_hypergeometric_distribution(
    total: int, checked: int, found: int
) -> None:
    checked = min(total, checked)
    found = min(checked, found)
    ways = math.comb(total, checked)

    def is_likely(differing: int) -> bool:
        hits = sum(
            math.comb(differing, number) * math.comb(total - differing, checked - number)
            for number in range(found + 1)
            if checked >= number
        )
        return hits * 20 >= ways

    possible = range(found, total - (checked - found) + 1)
    expected = max((one for one in possible if is_likely(one)), default=found)
    got = most_likely_to_differ(total, checked, found)
    assert got == expected


def report(bench: Workbench, *argv: str) -> tuple[int, dict[str, Any]]:
    done = geobatch("--store", bench.store, "--json", "verify", *argv)
    return done.code, done.record("verification")


def test_exit_codes_and_the_report(bench: Workbench) -> None:
    mosaic(bench)
    out = bench.folder / "report.json"
    code, said = report(bench, "-o", str(out))
    assert code == 0
    written = json.loads(out.read_text())
    assert {**said, "type": None} == {**written, "type": None}
    assert said["assets"][0]["tiles"]["equal"] == said["assets"][0]["tiles"]["total"] > 0
    key = ArrayKey(band="b1", level=0)
    pixels = tile_of(bench, "m", key, 0, 0)
    tamper(bench, "m", {(key, 0, 0): shifted(pixels)})
    code, said = report(bench)
    assert code == 6
    (difference,) = said["assets"][0]["differences"]
    assert difference["tiles"] == [[0, 0]]
    assert difference["values"]["largest"] == 7
    assert report(bench, "--at", "HEAD~1")[0] == 0
    text = geobatch("--store", bench.store, "verify").out
    assert "differs  b1 L0: 1 tile (0/0); 2 pixels with other values, by at most 7" in text
    for path in bench.folder.glob("*.tif"):
        path.unlink()
    assert report(bench)[0] == 7
    for wrong in ("0%", "1", "101%", "x%", "nan%"):
        assert geobatch("--store", bench.store, "verify", "--sample", wrong).code == 64
    assert geobatch("--store", bench.store, "verify", "none").code == 1


def change_name(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "properties": {"n": 2}}


@pytest.mark.parametrize("change", [change_name])
def test_metadata_is_not_rebuilt(
    bench: Workbench, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    write_tiff(bench.folder / "a.tif", [noise()])
    document = image("a", "a.tif", tile=TILE)
    bench.apply(document)
    bench.apply(change(document))
    assert not checked(bench).is_different
