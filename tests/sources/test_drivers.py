"""Another raster format is one class: `.npy` files go from a spec to published pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from msgspec.structs import replace
from npy_driver import Npy, NpyReader
from rasterio.env import get_gdal_config
from workbench import CRS, PIXEL, X0, Y0, Workbench, assert_same, image, write_tiff

from geobatch.declare import SourceSpec
from geobatch.errors import InternalError, InterruptedRunError, PlanError, SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.plans.plan import Op, Reason
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.model.window import Window
from geobatch.resolve.image.pinned import in_place_state
from geobatch.resolve.selection import ProbedSource
from geobatch.sources.driver import Pixels, ProbeOptions, Probes, ReaderCache
from geobatch.sources.gdal import gdal_environment
from geobatch.sources.reader import Sources
from geobatch.sources.registry import (
    driver_named,
    driver_of,
    probe_sources,
    registered,
    session,
    stay_in_session,
)
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.workflow.plan import plan

SHAPE = (300, 280)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with registered(Npy()):
        yield Workbench(folder=tmp_path)


def pixels(seed: int = 0, count: int = 2) -> Any:
    rng = np.random.default_rng(seed)
    return rng.integers(-900, 900, (count, *SHAPE)).astype(np.int16)


def placed(*uris: str, rows: int = SHAPE[0]) -> dict[str, Any]:
    """Return a tileset of sources below one another, with all that a `.npy` file lacks."""
    sources = [
        {
            "uris": [uri],
            "affine_transform": {
                "scale_x": PIXEL, "scale_y": -PIXEL,
                "translate_x": X0, "translate_y": Y0 - number * rows * PIXEL,
            },
        }
        for number, uri in enumerate(uris)
    ]  # fmt: skip
    return {"crs": CRS, "sources": sources}


def arrays(bench: Workbench, asset: str) -> dict[str, Any]:
    return {
        path: np.asarray(array[...])
        for path, array in bench.group(asset).members(max_depth=None)
        if isinstance(array, zarr.Array) and path.rpartition("/")[2] not in ("x", "y")
    }


def test_an_npy_raster_is_published_like_a_tiff_of_its_pixels(bench: Workbench) -> None:
    bands = pixels()
    np.save(bench.folder / "a.npy", bands)
    write_tiff(bench.folder / "a.tif", list(bands))
    more: Any = {"pyramiding_policy": "MODE", "missing_data": {"values": [7]}}
    bench.apply(
        image("npy", tileset=placed("a.npy"), **more), image("tif", tileset=placed("a.tif"), **more)
    )
    found, expected = arrays(bench, "npy"), arrays(bench, "tif")
    assert found.keys() == expected.keys() > {"0/b1", "0/b2", "masks/1/b1"}
    for name, values in expected.items():
        assert_same(found[name], values, name)
    assert_same(found["0/b2"], bands[1], "0/b2")


def test_sources_of_two_drivers_form_a_mosaic(bench: Workbench) -> None:
    above, below = pixels(1, 1)[0], pixels(2, 1)[0]
    np.save(bench.folder / "a.npy", above)
    write_tiff(bench.folder / "b.tif", [below])
    bench.apply(image("x", tileset=placed("a.npy", "b.tif")))
    assert_same(bench.array("x/0/b1"), np.concatenate([above, below]), "x/0/b1")


def test_a_plan_sees_what_changed(bench: Workbench) -> None:
    first, second = pixels(3, 1)[0], pixels(4, 1)[0]
    np.save(bench.folder / "a.npy", first)
    bench.apply(spec := image("x", tileset=placed("a.npy")))
    path = bench.write_spec([spec])
    (kept,) = plan([path], store=bench.store).changes
    assert kept.op is Op.KEEP
    np.save(bench.folder / "a.npy", second)
    (change,) = plan([path], store=bench.store).changes
    assert change.op is Op.UPDATE
    assert {one.reason for one in change.because} == {Reason.SOURCE_CHANGED}
    bench.apply(spec)
    assert_same(bench.array("x/0/b1"), second, "x/0/b1")


def test_a_source_that_changes_while_it_is_read_is_not_published(tmp_path: Path) -> None:
    class Rewritten(Npy):
        def open_reader(self, *, folder: Path, cache: ReaderCache) -> NpyReader:
            np.save(tmp_path / "a.npy", pixels(6))
            return super().open_reader(folder=folder, cache=cache)

    bench = Workbench(folder=tmp_path)
    np.save(tmp_path / "a.npy", pixels(5))
    with registered(Rewritten()), pytest.raises(SourceError, match=r"`a\.npy`: changed"):
        bench.apply(image("x", tileset=placed("a.npy")))
    assert not TileStore.open(bench.store).head().number


def test_an_error_of_the_driver_names_the_asset(bench: Workbench) -> None:
    (bench.folder / "a.npy").write_bytes(b"not an array")
    with pytest.raises(SourceError, match=r"`a\.npy`: cannot be read as `\.npy`"):
        bench.apply(image("x", tileset=placed("a.npy")))


def test_a_driver_is_there_while_it_is_registered(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pixels())
    declared = DeclaredSource(uri="a.npy", path=tmp_path / "a.npy", source=0)
    assert driver_of(declared).name == "geotiff"
    with registered(driver := Npy()):
        assert driver_of(declared) is driver is driver_named("npy")
        with pytest.raises(ValueError, match="named `npy`"), registered(Npy()):
            pass
        assert driver_named("npy") is driver
    assert driver_of(declared).name == "geotiff"
    with pytest.raises(SourceError, match=r"`a\.npy`: .*TIFF"):
        Workbench(folder=tmp_path).apply(image("x", tileset=placed("a.npy")))


def test_each_kind_of_declared_source_has_its_driver(tmp_path: Path) -> None:
    one = DeclaredSource(uri="a", path=tmp_path / "a", source=0)
    mixer = DeclaredSource(uri="m.json", path=tmp_path / "m.json", source=0, shards=(one,))
    cog = DeclaredSource(uri="a", path=tmp_path / "a", source=0, is_external=True)
    found = [driver_of(source).name for source in (one, mixer, cog)]
    assert found == ["geotiff", "tfrecord", "cog"]


def test_a_reader_that_opens_after_a_run_was_cancelled_reads_nothing(
    bench: Workbench, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", pixels())
    source = Source(
        uri="a.npy", digest="", row=0, col=0, height=300, width=280,
        path=str(tmp_path / "a.npy"), driver="npy",
    )  # fmt: skip
    with Sources(folder=bench.folder, cache=SourceCache.memory()) as sources:
        sources.cancel()
        with pytest.raises(InterruptedRunError):
            sources.read(source, Window(row=0, col=0, height=1, width=1), [0])
        assert sources.bytes_read == 0


def test_the_mask_of_a_driver_is_read_where_a_band_uses_it(tmp_path: Path) -> None:
    weights = np.random.default_rng(9).choice([0, 77, 255], SHAPE).astype(np.uint8)
    requests: list[bool] = []

    class MaskedReader(NpyReader):
        def read(
            self,
            source: Source,
            window: Window,
            bands: Sequence[int],
            *,
            level: int = 0,
            with_mask: bool = False,
        ) -> Pixels:
            requests.append(with_mask)
            found = super().read(source, window, bands, level=level)
            return Pixels(found.bands, weights[window.slices] if with_mask else None)

    class Masked(Npy):
        def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
            found = super().probe(sources, options)
            masked = [
                replace(probe, header=replace(probe.header, mask="internal"))
                for probe in found.probes
                if isinstance(probe, Probe)
            ]
            return replace(found, probes=masked)

        def open_reader(self, *, folder: Path, cache: ReaderCache) -> MaskedReader:
            return MaskedReader()

    bench, bands = Workbench(folder=tmp_path), pixels(7, 1)
    np.save(bench.folder / "a.npy", bands)
    with registered(Masked()):
        bench.apply(image("own", tileset=placed("a.npy")))
        assert_same(bench.masks("own/0/b1"), weights, "own/0/b1")
        valid = weights > 0
        assert np.array_equal(bench.array("own/0/b1")[valid], bands[0][valid])
        assert all(requests)
        requests.clear()
        bench.apply(image("by_value", tileset=placed("a.npy"), missing_data={"values": [7]}))
        assert requests
        assert not any(requests)


def use_gdal() -> None:
    with gdal_environment():
        pass


def test_a_session_is_entered_and_left_for_every_driver() -> None:
    events: list[str] = []

    class Prepared(Npy):
        @contextmanager
        def session(self) -> Iterator[None]:
            events.append("in")
            yield
            events.append("out")

        def stay_in_session(self) -> None:
            events.append("stay")

    with registered(Prepared()):
        with session():
            assert events == ["in"]
            # GDAL's options are those of the thread from its first use on.
            assert get_gdal_config("GDAL_PAM_ENABLED") is None
            for _ in range(2):
                with gdal_environment():
                    assert get_gdal_config("GDAL_PAM_ENABLED") == "NO"
            assert get_gdal_config("GDAL_PAM_ENABLED") == "NO"
        assert events == ["in", "out"]
        assert get_gdal_config("GDAL_PAM_ENABLED") is None
        with ThreadPoolExecutor(1, initializer=stay_in_session) as pool:
            assert pool.submit(get_gdal_config, "GDAL_PAM_ENABLED").result() is None
            pool.submit(use_gdal).result()
            assert pool.submit(get_gdal_config, "GDAL_PAM_ENABLED").result() == "NO"
        assert events == ["in", "out", "stay"]


def test_pixels_can_stay_only_where_a_driver_reads_them_in_place(bench: Workbench) -> None:
    np.save(bench.folder / "a.npy", pixels())
    write_tiff(bench.folder / "a.tif", [pixels(1, 1)[0]])
    for name in ("a.npy", "a.tif"):
        declared = DeclaredSource(uri=name, path=bench.folder / name, source=0)
        (probe,) = probe_sources([declared], ProbeOptions()).probes
        assert isinstance(probe, Probe)
        with pytest.raises(PlanError, match=rf"`{name}`: its pixels cannot stay"):
            in_place_state(
                ProbedSource(
                    file=declared,
                    declared=SourceSpec(uris=(name,)),
                    probe=probe,
                    driver=driver_named(probe.driver),
                    loc=(),
                )
            )


def test_reduced_images_of_a_raster_to_ingest_are_not_read(bench: Workbench) -> None:
    write_tiff(bench.folder / "a.tif", [pixels(1, 1)[0]])
    source = Source(
        uri="a.tif", digest="", row=0, col=0, height=300, width=280,
        path=str(bench.folder / "a.tif"),
    )  # fmt: skip
    window = Window(row=0, col=0, height=1, width=1)
    with Sources(folder=bench.folder, cache=SourceCache.memory()) as sources:
        assert sources.read(source, window, [0]).bands[0].shape == (1, 1)
        with pytest.raises(InternalError, match="reduced images are not read"):
            sources.read(source, window, [0], level=1)
