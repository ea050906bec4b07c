"""Plans on the map: what a rehearsal would publish, and which tiles a saved plan changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from msgspec.structs import replace
from rasterio.shutil import copy
from serving import client, png
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.cli.commands.serve.plans import saved_plans
from geobatch.format.trees.paged import PagedTree
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    made = Workbench(folder=tmp_path)
    values = np.full((200, 200), 10, np.uint8)
    write_tiff(tmp_path / "a.tif", [values])
    spec = image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}])
    made.apply(spec)
    values[150:, 150:] = 99
    write_tiff(tmp_path / "a.tif", [values])
    return made


def test_a_rehearsed_plan_is_seen_before_it_is_published(bench: Workbench) -> None:
    done = geobatch("plan", "spec.yaml", "--rehearse", "-o", "p.json", "--store", bench.store)
    assert done.code == 0, done.err
    with client(bench.store) as web:
        (plan,) = web.get("/api/plans").json()["plans"]
        assert (plan["kind"], plan["base_number"]) == ("rehearsal", 1)
        found = web.get(f"/api/plans/{plan['id']}?asset=a").json()
        at = {(one["properties"]["row"], one["properties"]["col"]) for one in found["features"]}
        assert at == {(2, 2), (2, 3), (3, 2), (3, 3)}
        url = "/native/a/0/0/0.png?rescale=0,255"
        assert png(web.get(url).content)[199, 199, 0] == 10
        assert png(web.get(f"{url}&at={plan['at']}").content)[199, 199, 0] == 99
        short = plan["at"][: len("rehearsal:") + 8]
        assert png(web.get(f"{url}&at={short}").content)[199, 199, 0] == 99
        why = web.get(f"/api/why/a?row=199&col=199&at={plan['at']}").json()["bands"][0]
        assert why["value"] == 99
        assert "not published" in why["note"]
        assert [one["id"] for one in listed(bench, "p.json")] == [plan["id"]]
        for wrong in ("rehearsal:", "rehearsal:00000000", "rehearsal:zz", "rehearsal:*"):
            assert web.get(f"{url}&at={wrong}").status_code == 404
        assert web.get("/api/plans/none?asset=a").status_code == 404
        assert web.get(f"/api/plans/{plan['id']}?asset=none").status_code == 404


def listed(bench: Workbench, file: str) -> list[dict[str, Any]]:
    """Return the plans of a server that was given a plan that is rehearsed, too."""
    store = TileStore.open(StoreLocation.of(bench.store))
    store.close()
    with client(bench.store, plans=saved_plans([Path(file)], store.id)) as web:
        found: list[dict[str, Any]] = web.get("/api/plans").json()["plans"]
    return found


def test_a_plan_of_another_store_is_refused(bench: Workbench) -> None:
    other = bench.folder / "other"
    assert geobatch("apply", "spec.yaml", "--store", other, "--init").code == 0
    assert geobatch("plan", "spec.yaml", "-o", "p.json", "--store", other).code == 0
    done = geobatch("serve", bench.store, "--plan", "p.json")
    assert done.code == 1
    assert "`p.json` is a plan for another store" in done.err


def test_a_rehearsal_of_a_store_whose_tree_is_in_pages(bench: Workbench) -> None:
    store = TileStore.create(bench.store)
    head = store.head()
    (entry,) = head.tree.entries
    changes = {f"many/{n:04}": replace(entry, id=f"many/{n:04}") for n in range(3000)}
    store.publish(base=head, changes=changes, message="many", tools={})
    assert isinstance(store.head().tree, PagedTree)
    store.close()
    done = geobatch("plan", "spec.yaml", "--rehearse", "-o", "p.json", "--store", bench.store)
    assert done.code == 0, done.err
    with client(bench.store) as web:
        (plan,) = web.get("/api/plans").json()["plans"]
        url = "/native/a/0/0/0.png?rescale=0,255"
        assert png(web.get(f"{url}&at={plan['at']}").content)[199, 199, 0] == 99
        assert web.get(f"/api/plans/{plan['id']}?asset=a").json()["features"]
        assert web.get(f"/api/assets/many/2999?at={plan['at']}").json()["id"] == "a"
        assert web.get("/api/assets/many/3000").status_code == 404
        assert web.get("/api/store").json()["assets"] == 3001
        found = web.get(f"/api/diff/1/{plan['at']}").json()
        assert (found["total"], found["assets"][0]) == (3001, {"id": "a", "op": "changed"})
        assert found["assets"][1] == {"id": "many/0000", "op": "added"}


def test_a_saved_plan_is_outlined(bench: Workbench) -> None:
    assert geobatch("plan", "spec.yaml", "-o", "p.json", "--store", bench.store).code == 0
    store = TileStore.open(StoreLocation.of(bench.store))
    store.close()
    with client(bench.store, plans=saved_plans([Path("p.json")], store.id)) as web:
        (plan,) = web.get("/api/plans").json()["plans"]
        assert (plan["kind"], plan["name"], plan["assets"]) == ("plan", "p.json", ["a"])
        found = web.get(f"/api/plans/{plan['id']}?asset=a").json()
        assert {one["properties"]["level"] for one in found["features"]} == {0}
        assert len(found["features"]) >= 4
        assert web.get(f"/api/plans/{plan['id']}?asset=b").json()["features"] == []


def test_pixels_of_external_images_are_shown(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    values = np.random.default_rng(3).integers(1, 255, (600, 700)).astype(np.uint8)
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    write_tiff(tmp_path / "plain.tif", [values], layout=layout)
    with rasterio.open(tmp_path / "plain.tif") as file:
        copy(file, tmp_path / "cog.tif", driver="COG", blocksize=256, overviews="AUTO")
    spec = image("a", "cog.tif", bands=[{"id": "v", "tileset_id": "t"}])
    spec["kind"] = "external_image"
    del spec["tiling"]
    bench.apply(spec)
    with client(bench.store) as web:
        seen = np.zeros((768, 768), np.uint8)
        for y in range(3):
            for x in range(3):
                tile = png(web.get(f"/native/a/0/{x}/{y}.png?rescale=0,255").content)
                seen[y * 256 : y * 256 + 256, x * 256 : x * 256 + 256] = tile[..., 0]
        assert (seen[:600, :700] == values).all()
        assert web.get("/zarr/a/0/v/c/0/0").content == values[:256, :256].tobytes()
    write_tiff(tmp_path / "cog.tif", [values])  # no longer what was applied
    with client(bench.store) as web:
        done = web.get("/native/a/0/0/0.png?rescale=0,255")
        assert (done.status_code, done.headers["content-type"]) == (500, "image/png")
