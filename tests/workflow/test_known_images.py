"""What is known of images changes no plan: each is compared with that of a cache without it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from shell import geobatch
from workbench import write_tiff

from geobatch.cli.files.saved_plan import plan_document
from geobatch.cli.views.status import status_json
from geobatch.declare.collections import images
from geobatch.errors import GeobatchError
from geobatch.explain.status import status
from geobatch.model.plans.plan import Op, Options
from geobatch.resolve import known
from geobatch.store.caches.cache import CACHE_NAME
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan_specs
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request

SETTLED = 0.05
"""Seconds after which a changed file is trusted to show its next change."""
COUNT = 6
SIDECAR = "<PAMDataset><PAMRasterBand band='1'><NoDataValue>3</NoDataValue></PAMRasterBand>"


class Bench:
    """A rule over some files, and as many documents over copies of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rule: Any = {
            "kind": "image_collection",
            "id": "many",
            "for_each": {
                "files": "scenes/*.tif",
                "pattern": "(?P<letter>[a-z])(?P<number>[0-9]+)[.]tif",
                "csv": {"path": "rows.csv", "key": "name"},
            },
            "image": {
                "id": "{stem}",
                "bands": [{"id": "landcover"}],
                "properties": {"v": 1, "cell": "{cell}", "letter": "{letter}"},
            },
        }
        self.cells = dict.fromkeys(range(COUNT), "1")
        self.documents: list[Any] = [
            {
                "id": f"single/n{number}",
                "tilesets": [{"sources": [{"uris": [f"single/n{number}.tif"]}]}],
                "bands": [{"id": "B"}],
            }
            for number in range(COUNT)
        ]
        for name in ("scenes", "single", "mirror/scenes"):
            (folder / name).mkdir(parents=True)
        for number in range(COUNT):
            self.write(f"scenes/n{number}.tif", number)
            self.write(f"single/n{number}.tif", number)
            self.write(f"mirror/scenes/n{number}.tif", 50 + number)
        self.header = ""
        self.write_specs()

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def write(self, name: str, seed: int) -> None:
        pixels = np.random.default_rng(seed).integers(1, 255, (9, 7)).astype(np.uint8)
        write_tiff(self.folder / name, [pixels], col=7 * seed)

    def write_specs(self) -> None:
        text = yaml.safe_dump(self.rule, sort_keys=False)
        (self.folder / "rule.yaml").write_text(self.header + text)
        (self.folder / "single.yaml").write_text(yaml.safe_dump_all(self.documents))
        names = [f"{letter}{n}.tif" for n in range(1001) for letter in "nm"]
        rows = [f"{name},{self.cells.get(int(name[1:-4]), 0)}" for name in names]
        (self.folder / "rows.csv").write_text("\n".join(["name,cell", *rows]))

    def request(self, store: Path | None = None, **more: Any) -> Request:
        paths = [self.folder / "rule.yaml", self.folder / "single.yaml"]
        return Request.of(paths, store=store or self.store, **more)

    def apply(self) -> None:
        request = self.request()
        apply(request.paths, store=self.store, options=Options(is_pruning=True, max_delete="99"))

    def ignorant(self) -> Path:
        """Return a copy of the store whose cache knows no images, but all else."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(
            self.store, copy, ignore=shutil.ignore_patterns("cache", "runs"), copy_function=os.link
        )
        shutil.copytree(self.store / "cache", copy / "cache")
        file = sqlite3.connect(copy / CACHE_NAME)
        with contextlib.closing(file), contextlib.suppress(sqlite3.DatabaseError), file:
            file.execute("DELETE FROM entries WHERE kind = 8")  # fails if it was damaged
        return copy


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Search for known images, and make images when they are asked for, from a few on."""
    monkeypatch.setattr(known, "FROM", 3)
    monkeypatch.setattr(images, "MANY", 3)


def outcome(request: Request) -> tuple[Any, PlannedSpecs | None]:
    """Return all that a plan says and is saved of, or its error."""
    try:
        planned = plan_specs(request)
    except GeobatchError as error:
        return (type(error).__name__, str(error)), None
    document = plan_document(planned, paths=request.paths, options=request.options)
    document.pop("estimate", None)
    seen = document.pop("looked_at")
    document["sources_seen"] = seen["hashed"] + seen["by_stat"]
    return (document, planned.plan.changes), planned


def states(bench: Bench, store: Path) -> Any:
    """Return what `status` says of assets, or its error."""
    try:
        found = status(store, [bench.folder / "rule.yaml", bench.folder / "single.yaml"])
    except GeobatchError as error:
        return type(error).__name__, str(error)
    return {key: value for key, value in status_json(found).items() if key != "store"}


def agree(bench: Bench, **more: Any) -> PlannedSpecs | None:
    """Check that a plan is what it is if nothing is known of images; return it."""
    time.sleep(SETTLED)
    found, planned = outcome(bench.request(**more))
    with pytest.MonkeyPatch.context() as patch:  # and if all images are made at once
        patch.setattr(images, "MANY", 10**9)
        expected, _ = outcome(bench.request(bench.ignorant(), **more))
    assert found == expected
    again, _ = outcome(bench.request(**more))
    assert again == expected
    return planned


def rewrite(bench: Bench) -> None:
    bench.write("scenes/n1.tif", 77)


def rewrite_single(bench: Bench) -> None:
    bench.write("single/n1.tif", 78)


def touch(bench: Bench) -> None:
    (bench.folder / "scenes/n2.tif").touch()


def rewrite_with_old_times(bench: Bench) -> None:
    """Only ctime, and the content, show it."""
    path = bench.folder / "scenes/n3.tif"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(bench: Bench) -> None:
    """Exchange two files of equal size and times: only their inodes show it."""
    one, two = (bench.folder / f"scenes/n{number}.tif" for number in (0, 4))
    if one.exists() and two.exists():
        for path in (one, two):
            os.utime(path, ns=(10**18, 10**18))
        one.rename(bench.folder / "aside")
        two.rename(one)
        (bench.folder / "aside").rename(two)


def rename(bench: Bench) -> None:
    path = bench.folder / "scenes/n5.tif"
    if path.exists():
        path.rename(bench.folder / "scenes/m5.tif")


def add(bench: Bench) -> None:
    bench.write("scenes/n9.tif", 9)


def remove(bench: Bench) -> None:
    (bench.folder / "scenes/n0.tif").unlink(missing_ok=True)


def remove_single(bench: Bench) -> None:
    (bench.folder / "single/n0.tif").unlink(missing_ok=True)


def add_sidecar(bench: Bench) -> None:
    (bench.folder / "scenes/n1.tif.aux.xml").write_text(SIDECAR)


def change_sidecar(bench: Bench) -> None:
    (bench.folder / "scenes/n1.tif.aux.xml").write_text(SIDECAR.replace(">3<", ">4<"))


def remove_sidecar(bench: Bench) -> None:
    (bench.folder / "scenes/n1.tif.aux.xml").unlink(missing_ok=True)


def add_mask(bench: Bench) -> None:
    shutil.copy(bench.folder / "single/n2.tif", bench.folder / "scenes/n2.tif.msk")


def change_rule(bench: Bench) -> None:
    bench.rule["image"]["properties"]["v"] += 1


def change_cell(bench: Bench) -> None:
    """A cell of one image."""
    bench.cells[2] += "1"


def change_type_of_cells(bench: Bench) -> None:
    """As text, all images have another property."""
    bench.rule["image"]["properties"]["cell"] = "{cell:text}"


def change_groups(bench: Bench) -> None:
    """The same names give other fields."""
    bench.rule["for_each"]["pattern"] = "(?P<letter>[a-z][0-9]*?)(?P<number>[0-9])[.]tif"


def widen_groups(bench: Bench) -> None:
    """Every image has another letter."""
    bench.rule["for_each"]["pattern"] = "(?P<letter>[a-z][0-9]+)(?P<number>)[.]tif"


def change_template(bench: Bench) -> None:
    bench.rule["image"]["properties"]["letter"] += "{number}"


def change_ids(bench: Bench) -> None:
    """All images have other ids; a file keeps its fields."""
    bench.rule["image"]["id"] = "{letter}_{number}"


def widen_numbers(bench: Bench) -> None:
    """Numbers of four digits come after those of three, and before them as text."""
    for number in (999, 1000):
        bench.write(f"scenes/n{number}.tif", number)


def rewrite_with_equal_size(bench: Bench) -> None:
    path = bench.folder / "scenes/n4.tif"
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)


def change_policy(bench: Bench) -> None:
    """It also takes away a warning."""
    bench.rule["image"]["bands"][0]["pyramiding_policy"] = "MODE"


def add_check(bench: Bench) -> None:
    bench.rule["image"]["checks"] = [{"resolution": [20, 20], "severity": "warn"}]


def add_failing_check(bench: Bench) -> None:
    bench.rule["image"]["checks"] = [{"resolution": [20, 20]}]


def add_comment(bench: Bench) -> None:
    """The warnings move down a line."""
    bench.header += "# comment\n"


def change_document(bench: Bench) -> None:
    bench.documents[0]["properties"] = {"number": len(bench.header)}


def silence(bench: Bench) -> None:
    (bench.folder / "geobatch.yaml").write_text("silence: [categorical-mean]\n")


def link(bench: Bench) -> None:
    """Replace a file with a link to another."""
    path = bench.folder / "scenes/n2.tif"
    path.unlink(missing_ok=True)
    path.symlink_to(bench.folder / "single/n5.tif")


def damage_cache(bench: Bench) -> None:
    for path in (bench.store / "cache").glob("*.sqlite"):
        data = bytearray(path.read_bytes())
        data[len(data) // 2 :] = os.urandom(len(data) - len(data) // 2)
        path.write_bytes(data)


def publish(bench: Bench) -> None:
    try:
        bench.apply()
    except GeobatchError:
        return


STEPS: tuple[Callable[[Bench], None], ...] = (
    rewrite, rewrite_single, touch, rewrite_with_old_times, swap, rename, add, remove,
    remove_single, add_sidecar, change_sidecar, remove_sidecar, add_mask, change_rule,
    change_cell, change_type_of_cells, change_groups, widen_groups, change_template, change_ids,
    widen_numbers, rewrite_with_equal_size, change_policy, add_check, add_failing_check,
    add_comment, change_document, silence, link, damage_cache, publish,
)  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("known"))
    time.sleep(SETTLED)
    bench.apply()
    return bench


def copied(first: Bench, folder: Path) -> Bench:
    """Return a copy with files of its own: their inodes are others, so nothing is known of them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(first.folder, folder)
    bench = Bench.__new__(Bench)
    bench.__dict__.update(first.__dict__)
    bench.rule = yaml.safe_load(yaml.safe_dump(first.rule, sort_keys=False))
    bench.documents = yaml.safe_load(yaml.safe_dump(first.documents))
    bench.cells = dict(first.cells)
    bench.folder = folder
    return bench


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_each_change_is_seen_as_if_nothing_is_known(
    first: Bench, tmp_path: Path, step: Callable[[Bench], None]
) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    planned = agree(bench)
    assert planned is not None
    assert len(planned.kept.kept.ids) == 2 * COUNT  # else this compares nothing
    assert planned.plan.count(Op.KEEP) == 2 * COUNT
    step(bench)
    bench.write_specs()
    agree(bench)
    agree(bench, keep_going=True)
    assert states(bench, bench.store) == states(bench, bench.ignorant())


@hypothesis_settings(
    max_examples=examples(4, 200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=st.lists(st.sampled_from(STEPS), min_size=2, max_size=8))
def test_any_history_is_planned_as_if_nothing_is_known(
    first: Bench, tmp_path: Path, steps: list[Callable[[Bench], None]]
) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    for step in steps:
        step(bench)
        bench.write_specs()
        agree(bench)


def test_another_store_knows_nothing(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    found, planned = outcome(bench.request(tmp_path / "other"))
    assert planned is not None
    assert not planned.kept.kept.ids
    assert planned.plan.count(Op.CREATE) == 2 * COUNT, found


def test_a_store_that_was_rolled_back_needs_the_images(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    change_rule(bench)
    bench.write_specs()
    bench.apply()
    assert agree(bench)
    done = geobatch("rollback", "1", "-y", "--store", str(bench.store))
    assert done.code == 0, done.err
    planned = agree(bench)
    assert planned is not None
    assert planned.plan.count(Op.UPDATE) == COUNT


def test_another_geobatch_knows_nothing(
    first: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    monkeypatch.setenv("GEOBATCH_MAX_TILES", "1000000")  # a limit is a part of it, too
    planned = plan_specs(bench.request())
    assert not planned.kept.kept.ids
    assert plan_specs(bench.request()).kept.kept.ids
    monkeypatch.setattr(known, "modules_digest", lambda *_: b"another")
    assert not plan_specs(bench.request()).kept.kept.ids


def test_options_that_name_assets_resolve_them(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    for options in (
        Options(select=("many/*",)),
        Options(select=("state:modified",)),
        Options(replace=("many/n1",)),
        Options(is_pruning=True, max_delete="99"),
    ):
        agree(bench, options=options)
    planned = plan_specs(bench.request(rehash=True))
    assert not planned.kept.kept.ids
    assert planned.plan.sources_hashed == 2 * COUNT
    assert plan_specs(bench.request()).kept.kept.ids


def test_files_that_two_images_share_count_once(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    bench.documents[1]["tilesets"] = bench.documents[0]["tilesets"]
    bench.write_specs()
    agree(bench)
    bench.documents[1]["memo"] = "resolved again, over a file of a known image"
    bench.write_specs()
    agree(bench)


def test_images_with_warnings_of_their_own_are_known(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    for number in range(COUNT):
        pixels = np.full((16, 16), number, np.uint8)
        layout = {"compress": "jpeg", "tiled": True, "blockxsize": 16, "blockysize": 16}
        write_tiff(bench.folder / f"scenes/n{number}.tif", [pixels], layout=layout)
    time.sleep(SETTLED)
    bench.apply()
    for _ in range(2):
        planned = agree(bench)
        assert planned is not None
        assert len(planned.kept.kept.ids) == 2 * COUNT
        lossy = [one for one in planned.warnings if one.rule == "lossy-source"]
        assert len(lossy) == COUNT
    rewrite(bench)  # its warning goes, the others stay
    planned = agree(bench)
    assert planned is not None
    assert len([one for one in planned.warnings if one.rule == "lossy-source"]) == COUNT - 1


def test_another_mirror_has_other_files(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    project = bench.folder / "geobatch.yaml"
    project.write_text('uri_map: {"gs://bucket/": ./}\n')
    bench.rule["for_each"]["files"] = "gs://bucket/scenes/*.tif"
    bench.write_specs()
    time.sleep(SETTLED)
    bench.apply()
    planned = agree(bench)
    assert planned is not None
    assert len(planned.kept.kept.ids) == 2 * COUNT
    project.write_text('uri_map: {"gs://bucket/": mirror/}\n')
    planned = agree(bench)
    assert planned is not None
    assert planned.plan.count(Op.UPDATE) == COUNT


def test_only_the_image_of_a_changed_cell_is_resolved(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    change_cell(bench)
    bench.write_specs()
    planned = plan_specs(bench.request())
    assert [change.id for change in planned.plan.changed] == ["many/n2"]
    assert len(planned.kept.kept.ids) == 2 * COUNT - 1
    assert [asset.id for asset in planned.resolved.resolution.assets] == ["many/n2"]


def test_the_status_resolves_what_is_not_published_as_it_is_known(
    first: Bench, tmp_path: Path
) -> None:
    """Images of an edited rule are known from a plan; one of them cannot be read any more."""
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    change_rule(bench)
    bench.write_specs()
    agree(bench)
    assert states(bench, bench.store) == states(bench, bench.ignorant())
    assert states(bench, bench.store)["summary"]["update"] == COUNT


def test_the_inputs_of_kept_images_are_not_read(first: Bench, tmp_path: Path) -> None:
    bench = copied(first, tmp_path / "bench")
    agree(bench)
    planned = plan_specs(bench.request())
    assert len(planned.kept.kept.ids) == 2 * COUNT
    for path in (bench.folder / "scenes").iterdir():
        path.unlink()
    inputs = planned.inputs()
    assert [one.id for one in inputs.assets] == list(planned.kept.kept.ids)
    assert all(source.size for one in inputs.assets for source in one.sources)
