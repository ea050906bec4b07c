"""Probes of sources: an unchanged file is not opened, and a changed one is always noticed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from workbench import CRS, image, write_tiff

from geobatch.declare import validate
from geobatch.errors import SourceError
from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import digest_bytes
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.file_stat import file_stat
from geobatch.model.sources.header import Header, crs_from_text, crs_to_text
from geobatch.model.sources.header import header_from_text as from_text
from geobatch.model.sources.header import header_to_text as to_text
from geobatch.resolve import resolve
from geobatch.sources import probe_cache
from geobatch.sources.geotiff import identify, read_header
from geobatch.sources.geotiff.probes import RasterProbes, probe_rasters
from geobatch.sources.probe_cache import crs_reader
from geobatch.sources.projections.crs import parse_crs
from geobatch.store.caches.cache import SourceCache
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

SECOND = 1_000_000_000


def pixels(value: int = 0) -> Any:
    return np.full((40, 50), value, dtype=np.uint8)


def settle(*paths: Path) -> None:
    """Wait until the files are old enough for their stat to be believed."""
    while any(time.time_ns() <= path.stat().st_ctime_ns + 25_000_000 for path in paths):
        time.sleep(0.005)


def declared(path: Path, uri: str) -> DeclaredSource:
    return DeclaredSource(uri=uri, path=path, source=0)


def probe(*paths: Path, cache: SourceCache | None = None, **options: Any) -> RasterProbes:
    return probe_rasters([declared(path, path.name) for path in paths], cache=cache, **options)


def counts(found: RasterProbes) -> tuple[int, int]:
    return found.hashed, found.by_stat


# --- What is remembered


@pytest.mark.parametrize("workers", [1, 4])
def test_what_stood_still_is_known_by_its_stat(tmp_path: Path, workers: int) -> None:
    paths = [write_tiff(tmp_path / f"{n}.tif", [pixels(n)], nodata=n) for n in range(5)]
    settle(*paths)
    cache = SourceCache.memory()
    first = probe(*paths, cache=cache, workers=workers)
    assert counts(first) == (5, 0)
    second = probe(*paths, cache=cache, workers=workers)
    assert counts(second) == (0, 5)
    assert first.sources == second.sources
    for path in paths:
        assert first.sources[path].header == read_header(path, path.name)
        known = identify(path)
        assert (first.sources[path].digest, first.sources[path].stat) == (known.digest, known.stat)
        table = cache.get_table(first.sources[path].digest)
        assert table is not None
        assert table.identity == first.sources[path].digest
    assert counts(probe(*paths, cache=cache, rehash=True)) == (5, 0)
    assert counts(probe(*paths)) == (5, 0)


def test_real_headers_come_back_as_they_were(raster: Path) -> None:
    check_round_trip(read_header(raster, raster.name))


def test_headers_with_everything_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options = {"driver": "GTiff", "width": 9, "height": 8, "count": 2, "dtype": "int64"}
    place = rasterio.Affine(0.1, 0, 1, 0, -0.3, 2)
    with rasterio.open(path, "w", nodata=-(2**63), transform=place, **options) as dataset:
        dataset.write(np.zeros((2, 8, 9), np.int64))
        dataset.descriptions = ("Größe", "日本")
        dataset.units = ("m", None)
        dataset.scales, dataset.offsets = (0.1, 1.0), (0.0, -273.15)
    check_round_trip(read_header(path, "a.tif"))


@pytest.mark.parametrize("nodata", [float("nan"), float("inf"), -0.0, 1e-300, 5])
def test_any_nodata_comes_back_as_it_was(tmp_path: Path, nodata: float) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels().astype(np.float64)], nodata=nodata)
    check_round_trip(read_header(path, "a.tif"))


def check_round_trip(header: Header) -> None:
    again = from_text(to_text(header), uri=header.uri, path=header.path, crs=header.crs)
    assert repr(again) == repr(header)
    if header.crs is not None:
        crs = crs_from_text(crs_to_text(header.crs))
        assert repr(crs) == repr(header.crs)


def test_the_uri_is_that_of_the_asking_spec(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    for uri in ("one", "two"):
        assert probe_rasters([declared(path, uri)], cache=cache).sources[path].header.uri == uri


def test_a_link_leads_to_where_it_leads_now(tmp_path: Path) -> None:
    """The file is the same, by another way; the first way ends."""
    (tmp_path / "old").mkdir()
    write_tiff(tmp_path / "old" / "a.tif", [pixels()])
    link = tmp_path / "link"
    link.symlink_to("old")
    path = link / "a.tif"
    settle(path)
    cache = SourceCache.memory()
    assert probe(path, cache=cache).sources[path].header.path == str(tmp_path / "old" / "a.tif")
    (tmp_path / "old").rename(tmp_path / "new")
    link.unlink()
    link.symlink_to("new")
    found = probe(path, cache=cache)
    assert counts(found) == (0, 1)
    assert found.sources[path].header.path == str(tmp_path / "new" / "a.tif")


# --- What is not believed


def test_touch_is_probed_and_finds_the_same(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    first = probe(path, cache=cache)
    os.utime(path)
    settle(path)
    second = probe(path, cache=cache)
    assert counts(second) == (1, 0)
    assert second.sources[path].digest == first.sources[path].digest
    assert counts(probe(path, cache=cache)) == (0, 1)


def rewrite_unseen(path: Path) -> None:
    """Change a pixel and keep size, inode and modification time."""
    before = path.stat()
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(len(data) - 1)
        file.write(bytes([data[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert path.stat().st_size == before.st_size


def test_a_rewrite_with_the_old_size_and_time_is_seen(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    first = probe(path, cache=cache)
    rewrite_unseen(path)
    second = probe(path, cache=cache)
    assert counts(second) == (1, 0)
    assert second.sources[path].digest != first.sources[path].digest


def test_another_file_moved_into_its_place_is_seen(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    other = write_tiff(tmp_path / "b.tif", [pixels(1)])
    shutil.copystat(path, other)
    settle(path, other)
    cache = SourceCache.memory()
    first = probe(path, cache=cache)
    other.rename(path)
    second = probe(path, cache=cache)
    assert counts(second) == (1, 0)
    assert second.sources[path].digest != first.sources[path].digest


def test_rehash_sees_what_the_stat_hides(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    first = probe(path, cache=cache).sources[path]
    rewrite_unseen(path)
    settle(path)
    faked = replace(
        cache.get_probes([str(path)])[str(path)],
        stat=file_stat(path.stat()),
        time_ns=time.time_ns(),
    )
    cache.put_probes({str(path): faked})
    assert probe(path, cache=cache).sources[path].digest == first.digest, "not faked"
    found = probe(path, cache=cache, rehash=True)
    assert counts(found) == (1, 0)
    assert found.sources[path].digest == identify(path).digest != first.digest
    assert probe(path, cache=cache).sources[path].digest == found.sources[path].digest


def test_a_file_too_young_to_tell_is_read_again(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    cache = SourceCache.memory()
    probe(path, cache=cache)
    known = cache.get_probes([str(path)])[str(path)]
    # As if it had been probed within the tick of the clock in which it was written.
    cache.put_probes({str(path): replace(known, time_ns=known.stat.ctime_ns + 5_000_000)})
    assert counts(probe(path, cache=cache)) == (1, 0)


@given(
    ctime=st.one_of(st.integers(1, 10**19 // 10), st.integers(1, 10**9).map(lambda n: n * SECOND)),
    later=st.integers(-(10**10), 10**10),
)
def test_the_racy_rule(ctime: int, later: int) -> None:
    stat = FileStat(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=ctime)
    cached = CachedProbe(
        stat=stat, time_ns=ctime + later, digest="", header="", crs="", is_linked=False, maker=""
    )
    margin = 2_000_000_000 if ctime % SECOND == 0 else 20_000_000
    assert cached.is_trusted(stat) == (later > margin)
    for name in ("device", "inode", "size", "mtime_ns", "ctime_ns"):
        assert not cached.is_trusted(replace(stat, **{name: getattr(stat, name) + 1}))


@pytest.mark.parametrize(
    "wrong",
    [{"header": ""}, {"header": "no JSON"}, {"header": "null\n[]"}, {"header": "null\n{}"},
     {"crs": "{}"}, {"crs": "["}, {"maker": "another library"}],
    ids=str,
)  # fmt: skip
def test_a_header_that_cannot_be_used_is_read_again(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    first = probe(path, cache=cache)
    known = cache.get_probes([str(path)])[str(path)]
    cache.put_probes({str(path): replace(known, **wrong)})
    second = probe(path, cache=cache)
    assert counts(second) == (0, 1), "its bytes need not be read again"
    assert second.sources == first.sources
    assert cache.get_probes([str(path)]) == {str(path): known}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_file_that_is_gone_is_an_error_that_names_it(tmp_path: Path, workers: int) -> None:
    paths = [write_tiff(tmp_path / f"{n}.tif", [pixels(n)]) for n in range(4)]
    settle(*paths)
    cache = SourceCache.memory()
    probe(*paths[:3], cache=cache)
    for number in (1, 2):
        paths[number].unlink()
    with pytest.raises(SourceError, match=r"`1\.tif`: no such file"):
        probe(*paths, cache=cache, workers=workers)


def test_what_was_probed_before_an_error_is_remembered(tmp_path: Path) -> None:
    paths = [write_tiff(tmp_path / f"{n}.tif", [pixels(n)]) for n in range(3)]
    settle(*paths)
    paths[2].write_text("no raster")
    cache = SourceCache.memory()
    with pytest.raises(SourceError, match=r"`2\.tif`"):
        probe(*paths, cache=cache)
    assert counts(probe(*paths[:2], cache=cache)) == (0, 2)


def test_a_file_that_changes_during_the_probe_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])

    def probe_late(name: Path, uri: str, **more: Any) -> Header:
        header = read_header(name, uri, **more)
        rewrite_unseen(path)
        return header

    monkeypatch.setattr("geobatch.sources.geotiff.read_header", probe_late)
    cache = SourceCache.memory()
    with pytest.raises(SourceError, match=r"`a\.tif`: changed while geobatch read it"):
        probe(path, cache=cache)
    assert cache.get_probes([str(path)]) == {}


def test_a_declared_crs_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = SourceCache.memory()
    first = crs_reader(cache)("EPSG:32633")
    assert repr(first) == repr(parse_crs("EPSG:32633"))
    with pytest.raises(ValueError, match="not a coordinate reference system"):
        crs_reader(cache)("EPSG:nonsense")
    monkeypatch.setattr(probe_cache, "parse_crs", None)
    assert repr(crs_reader(cache)("EPSG:32633")) == repr(first)
    monkeypatch.setattr(probe_cache, "maker", lambda: "another library")
    with pytest.raises(TypeError):
        crs_reader(cache)("EPSG:32633")


# --- A header is true of a file whose pixels alone were rewritten


def rewrite(path: Path, value: int = 9, **tags: Any) -> None:
    """Write other pixels in place, and tags if any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "r+") as dataset:
            dataset.write(np.full((1, 8, 8), value, np.uint8), window=((0, 8), (0, 8)))
            for name, tag in tags.items():
                setattr(dataset, name, tag)
    settle(path)


def plant(path: Path, cache: SourceCache, **changed: Any) -> None:
    """Have the cache say that the bands of a file are described as `planted`."""
    known = cache.get_probes([str(path)])[str(path)]
    header = known.header.replace('"descriptions":[null]', '"descriptions":["planted"]')
    assert header != known.header
    cache.put_probes({str(path): replace(known, header=header, **changed)})


def described(found: RasterProbes) -> set[str | None]:
    return {text for one in found.sources.values() for text in one.header.descriptions}


def test_rewritten_pixels_leave_the_header_as_it_was_read(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()], nodata=5)
    settle(path)
    cache = SourceCache.memory()
    first = probe(path, cache=cache)
    rewrite(path)
    second = probe(path, cache=cache)
    assert counts(second) == (1, 0)
    assert second.sources[path].digest != first.sources[path].digest
    assert second.sources[path].header == read_header(path, "a.tif")
    plant(path, cache)
    rewrite(path, 10)
    assert described(probe(path, cache=cache)) == {"planted"}, "it was read again"
    assert described(probe(path, cache=cache, rehash=True)) == {None}


@pytest.mark.parametrize(
    "tags",
    [{"nodata": 6}, {"transform": rasterio.Affine(5, 0, 0, 0, -5, 0)}, {"crs": "EPSG:32719"},
     {"descriptions": ("new",)}, {"units": ("m",)}, {"scales": (0.5,)}],
    ids=str,
)  # fmt: skip
def test_a_header_is_read_again_when_a_tag_changed(tmp_path: Path, tags: dict[str, Any]) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()], nodata=5)
    settle(path)
    cache = SourceCache.memory()
    probe(path, cache=cache)
    before = read_header(path, "a.tif")
    rewrite(path, **tags)
    header = probe(path, cache=cache).sources[path].header
    assert header == read_header(path, "a.tif") != before


def test_a_header_is_not_believed_that_may_be_of_another_state(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    probe(path, cache=cache)
    known = cache.get_probes([str(path)])[str(path)]
    for doubt in (
        # As if the file had been written within the tick of the clock in which it was probed.
        {"time_ns": known.stat.ctime_ns + 5_000_000},
        {"maker": "another library"},
        {"tags": None},
    ):
        plant(path, cache, **doubt)
        rewrite(path)
        assert described(probe(path, cache=cache)) == {None}, doubt


def test_the_way_to_a_rewritten_file_is_that_of_now(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", [pixels()])
    settle(path)
    cache = SourceCache.memory()
    probe(path, cache=cache)
    path.rename(tmp_path / "b.tif")
    path.symlink_to("b.tif")
    rewrite(path)
    assert probe(path, cache=cache).sources[path].header.path == str(tmp_path / "b.tif")


# --- From specs to plans


def test_resolving_counts_what_it_read(tmp_path: Path) -> None:
    for number in range(3):
        write_tiff(tmp_path / f"{number}.tif", [pixels(number)], col=50 * number)
    paths = sorted(tmp_path.glob("*.tif"))
    settle(*paths)
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump(image("a", "*.tif", tileset={"crs": CRS})))
    cache = SourceCache.memory()
    found = []
    for touched in ((), (), (1,), ()):
        for number in touched:
            os.utime(paths[number])
            settle(paths[number])
        made = resolve(validate([spec]), cache=cache)
        assert repr(made.assets) == repr(resolve(validate([spec])).assets)
        found.append((made.sources_hashed, made.sources_by_stat))
    assert found == [(3, 0), (0, 3), (1, 2), (0, 3)]


@pytest.fixture
def applied(tmp_path: Path) -> Path:
    """Return a folder with a store that is up to date with a spec of three sources."""
    for number in range(3):
        values = np.random.default_rng(number).integers(0, 200, (300, 300), dtype=np.uint8)
        write_tiff(tmp_path / f"{number}.tif", [values], col=300 * number)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(image("a", "*.tif", tileset={"crs": CRS})))
    settle(*tmp_path.glob("*.tif"))
    apply([tmp_path / "spec.yaml"], store=tmp_path / "store")
    return tmp_path


def test_the_first_apply_fills_the_cache(applied: Path) -> None:
    made = plan([applied / "spec.yaml"], store=applied / "store")
    assert made.is_empty
    assert (made.sources_hashed, made.sources_by_stat) == (0, 3)
    again = plan([applied / "spec.yaml"], store=applied / "store", rehash=True)
    assert again.is_empty
    assert (again.sources_hashed, again.sources_by_stat) == (3, 0)


def test_touch_of_every_source_is_no_change(applied: Path) -> None:
    for path in applied.glob("*.tif"):
        os.utime(path)
    made = plan([applied / "spec.yaml"], store=applied / "store")
    assert made.is_empty
    assert sum(change.tiles.compute for change in made.changes) == 0
    assert made.sources_hashed == 3
    assert apply([applied / "spec.yaml"], store=applied / "store").commit is None


def test_a_rewrite_with_the_old_size_and_time_is_planned(applied: Path) -> None:
    rewrite_unseen(applied / "1.tif")
    made = plan([applied / "spec.yaml"], store=applied / "store")
    assert [because.path for change in made.changes for because in change.because] == ["1.tif"]
    assert (made.sources_hashed, made.sources_by_stat) == (1, 2)


def test_an_edit_of_the_tags_alone_is_no_change(applied: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(applied / "1.tif", "r+") as dataset:
            dataset.update_tags(OPERATOR="me", TIFFTAG_SOFTWARE="an editor")
    made = plan([applied / "spec.yaml"], store=applied / "store")
    assert made.is_empty
    assert made.sources_hashed == 1


def test_without_its_cache_a_store_gives_the_same_plan(applied: Path) -> None:
    rewrite_unseen(applied / "1.tif")
    shutil.copytree(applied / "store", applied / "other")
    shutil.rmtree(applied / "other" / "cache")
    one = plan([applied / "spec.yaml"], store=applied / "store")
    two = plan([applied / "spec.yaml"], store=applied / "other")
    assert one.plan_id == two.plan_id
    assert two.sources_hashed == 3


HEAVY = """
heavy = {"affine", "imagecodecs", "pyproj", "rasterio", "tensorflow", "zarr"}
print(*sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""


def test_a_plan_that_finds_nothing_opens_no_source_and_loads_no_library(applied: Path) -> None:
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from pathlib import Path
from geobatch.workflow.plan import plan
made = plan([Path("spec.yaml")], store=Path("store"))
assert made.is_empty and made.sources_by_stat == 3, made
assert any(name.endswith("spec.yaml") for name in opened)
assert not [name for name in opened if name.endswith(".tif")]
"""
    done = subprocess.run(
        [sys.executable, "-c", code + HEAVY],
        cwd=applied,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("\n", "")


def test_a_plan_of_rewritten_pixels_loads_no_library(applied: Path) -> None:
    rewrite(applied / "1.tif", 201)
    code = """
import sys
from pathlib import Path
from geobatch.workflow.plan import plan
made = plan([Path("spec.yaml")], store=Path("store"))
assert (made.sources_hashed, made.sources_by_stat) == (1, 2), made
assert [because.path for change in made.changes for because in change.because] == ["1.tif"]
"""
    done = subprocess.run(
        [sys.executable, "-c", code + HEAVY],
        cwd=applied,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("\n", "")


def test_the_command_line_takes_rehash(applied: Path) -> None:
    for command in ("plan", "apply"):
        argv = [sys.executable, "-m", "geobatch", "--json", command, "spec.yaml", "--rehash"]
        done = subprocess.run(argv, cwd=applied, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_equal_files_share_a_table_and_an_identity(tmp_path: Path) -> None:
    one = write_tiff(tmp_path / "a.tif", [pixels()])
    two = tmp_path / "b.tif"
    shutil.copyfile(one, two)
    found = probe(one, two).sources
    assert found[one].digest == found[two].digest != digest_bytes(one.read_bytes())
