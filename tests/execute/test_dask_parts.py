"""What a Dask cluster needs besides workers: comparisons of versions, disks and files."""

from __future__ import annotations

import ast
import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dask_cluster import cluster, runs_of, state, write_images
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.execute.executors.dask import session
from geobatch.execute.executors.dask.checks import (
    differences,
    memory_problem,
    store_problem,
    versions_here,
)
from geobatch.execute.executors.dask.failures import at_worker
from geobatch.execute.executors.dask.origin import Devices, Origin
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.model.assets.asset import AnyImage
from geobatch.model.executor_name import parse_executor
from geobatch.sources.reader import Sources
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan


def test_memory_and_versions_are_compared() -> None:
    assert not memory_problem(None, 64)
    assert not memory_problem(0, 64)
    assert not memory_problem(2 << 30, 4)
    assert "for 1 thread," in memory_problem(1 << 28, 1)
    versions = versions_here()
    assert {"geobatch", "GDAL", "blosc", "imagecodecs", "numpy", "rasterio"} <= versions.keys()
    assert not list(differences(versions, versions))
    other = {**versions, "numpy": "1.0"}
    assert list(differences(versions, other)) == [f"numpy is `1.0`, expected `{versions['numpy']}`"]
    del other["numpy"], other["GDAL"]
    assert not list(differences(versions, other)), "the task that needs it says so"


def test_a_store_that_is_another_one_or_missing_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        TileStore.create(tmp_path / name).close()
    backend = LocalBackend(tmp_path / "a")
    one = session.Session(
        name="x", backend=backend, identity=backend.get("geobatch.json"), versions={}, sample=None,
        origin=Origin.of(backend, is_written=True), is_compared=False, is_cached=False,
        restores=False,
    )  # fmt: skip
    assert not store_problem(one, LocalBackend(tmp_path / "a"))
    assert "another store" in store_problem(one, LocalBackend(tmp_path / "b"))
    assert "cannot use the store" in store_problem(one, LocalBackend(tmp_path / "c"))
    backend.close()
    assert "does not see the lock" in store_problem(one, LocalBackend(tmp_path / "a"))


def test_a_sync_of_the_coordinator_is_for_its_own_machine_and_disk(tmp_path: Path) -> None:
    TileStore.create(tmp_path).close()
    backend = LocalBackend(tmp_path)
    origin = Origin.of(backend, is_written=True)
    assert origin.is_synced(LocalBackend(tmp_path))
    assert not replace(origin, kernel="another").is_synced(backend)
    assert not replace(origin, device=origin.device + 1).is_synced(backend)
    assert not origin.is_synced(MemoryBackend())
    backend.close()


def test_a_source_on_another_mount_has_another_device_number(tmp_path: Path) -> None:
    """All else must be equal, as on one machine."""
    spec = write_images(tmp_path / "in", small=1)
    assets = [change.image for change in plan([spec], store=tmp_path / "store").changes]
    moved = [_on_device(one, 7) for one in assets]
    found = [Devices().image(one) for one in moved]
    assert [_stats(one) for one in found] == [_stats(one) for one in assets]
    write_raster(tmp_path / "in" / "large.tif", np.zeros((900, 700), np.uint8))
    with (
        Sources(folder=tmp_path, cache=SourceCache.memory()) as reader,
        pytest.raises(SourceError, match="changed"),
    ):
        reader.check(Devices().image(moved[0]).tilesets[0].sources[0])


def _on_device(asset: AnyImage, number: int) -> AnyImage:
    (tileset,) = asset.tilesets
    (source,) = tileset.sources
    assert source.stat is not None
    there = replace(source, stat=replace(source.stat, device=number))
    return replace(asset, tilesets=(replace(tileset, sources=(there,)),))


def _stats(asset: AnyImage) -> list[Any]:
    return [source.stat for tileset in asset.tilesets for source in tileset.sources]


def test_an_error_of_a_worker_is_sent_without_the_errors_behind_it() -> None:
    class UnsendableError(Exception):
        def __reduce__(self) -> str:
            raise TypeError("cannot be sent")

    error = SourceError("`a.tif`: cannot be read", hint="copy it again")
    error.__cause__ = UnsendableError()
    sent = pickle.loads(pickle.dumps(at_worker(error, "tcp://one")))
    assert sent.__cause__ is None
    assert sent.__context__ is None
    assert sent.hint == "copy it again; the worker `tcp://one` met this"


def test_one_room_imports_the_library() -> None:
    package = Path(session.__file__).parents[3]
    rooms = {
        path.parent
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("distributed"))
        or (isinstance(node, ast.Import) and any("distributed" in one.name for one in node.names))
    }
    assert rooms == {Path(session.__file__).parent}


def test_the_compose_file_names_what_exists() -> None:
    """Its image is built from this clone, and the command is one of today."""
    folder = Path(__file__).parents[2] / "examples" / "cluster"
    document = yaml.safe_load((folder / "compose.yaml").read_text())
    services = document["services"]
    build = services["apply"]["build"]
    assert (folder / build["context"] / build["dockerfile"]).is_file()
    words = services["apply"]["command"].split()
    names = [word for word in words if word.startswith("specs/")]
    assert names
    assert all((folder / build["context"] / name).is_file() for name in names)
    assert parse_executor(words[-1]).address == "tcp://scheduler:8786"
    assert {"scheduler", "worker", "bucket"} <= services.keys()
    (key,) = json.loads((folder / "s3.json").read_text())["identities"][0]["credentials"]
    variables = services["worker"]["environment"]
    assert key["accessKey"] == variables["AWS_ACCESS_KEY_ID"]
    assert key["secretKey"] == variables["AWS_SECRET_ACCESS_KEY"]


def test_the_page_shows_commands_of_today() -> None:
    text = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text()
    programs = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert len(programs) == 4
    for program in programs:
        compile(program, "cluster.md", "exec")
    for name in re.findall(r"`(dask://\S+?)`|--executor (\S+)", text):
        parse_executor(next(filter(None, name)).replace("HOST", "h").strip("`"))


def test_two_workers_make_the_store_that_threads_make(tmp_path: Path) -> None:
    """The short form; `test_dask.py` has the whole contract."""
    spec = write_images(tmp_path / "in", small=3)
    apply([spec], store=tmp_path / "a", executor=ThreadExecutor(2))
    with cluster(tmp_path / "dask") as client:
        apply([spec], store=tmp_path / "b", executor=client)
        assert state(tmp_path / "a") == state(tmp_path / "b")
    assert runs_of(tmp_path / "b") == []
