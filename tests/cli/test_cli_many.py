"""A plan of many changes: those alike are one entry, and nothing is hidden that may do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Done, geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.cli.views.plan_groups import ALIKE

COUNT = 130


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("many"))
    write_tiff(bench.folder / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    return bench


def documents(count: int = COUNT, **more: object) -> list[Document]:
    return [{**image(f"many/i{number:03}", "a.tif"), **more} for number in range(count)]


def run(bench: Workbench, *argv: str | Path, code: int = 0) -> Done:
    done = geobatch("--store", bench.store, *argv)
    assert done.code == code, done
    return done


def entries(text: str) -> list[str]:
    """Return the lines of a plan that say what happens."""
    return [line.strip() for line in text.splitlines() if line[:2] == "  " and line[2] in "+~->"]


def test_a_plan_of_many_changes(bench: Workbench, tmp_path: Path) -> None:
    spec = bench.write_spec(documents())
    plan = run(bench, "plan", spec).out
    (entry,) = entries(plan)
    assert entry.startswith(f"+ {COUNT} assets, many/i000 to many/i129  {COUNT} of {COUNT} tiles")
    assert "      assets   many/i000, many/i001, many/i002, ... many/i129;" in plan
    assert f"Plan: 0 update, {COUNT} create, 0 delete." in plan
    assert len(entries(run(bench, "-v", "plan", spec).out)) == COUNT

    saved = tmp_path / "plan.json"
    run(bench, "plan", spec, "-o", saved)
    assert entries(run(bench, "show", saved).out) == entries(plan)
    assert len(entries(run(bench, "show", "-v", saved).out)) == COUNT
    found = run(bench, "--json", "plan", spec).record("plan")
    assert len(found["asset_changes"]) == COUNT
    assert found["collections"] == [{"id": "many", "create": COUNT}]
    assert found["totals"]["tiles"] == {"compute": COUNT, "total": COUNT, "remove": 0}

    applied = run(bench, "apply", spec).out
    assert entries(applied) == entries(plan)
    # The plan comes before the work that it announces.
    assert applied.index("Plan: ") < applied.index("Applied in ")


def test_what_differs_is_shown_with_its_values(bench: Workbench) -> None:
    run(bench, "apply", bench.write_spec(documents()))
    changed = documents(memo="new")
    for number, document in enumerate(changed[:60]):
        document["properties"] = {"cloud": number % 2}
    changed[50]["properties"] = {"odd": 1}
    plan = run(bench, "plan", bench.write_spec(changed)).out
    assert [line.split("  ")[0] for line in entries(plan)] == [
        "~ 59 assets, many/i000 to many/i059",
        "~ many/i050",
        "~ 70 assets, many/i060 to many/i129",
    ]
    assert "      reason   properties.cloud none -> 0; none -> 1\n" in plan
    assert "      reason   properties.odd none -> 1\n" in plan
    assert f"Plan: {COUNT} update" in plan
    counted = sum(int(line.split()[1]) if "assets," in line else 1 for line in entries(plan))
    assert counted == COUNT


def test_deletions_are_all_shown(bench: Workbench) -> None:
    run(bench, "apply", bench.write_spec(documents()))
    few = bench.write_spec(documents(1))
    refused = run(bench, "plan", few, "--prune", code=5).out
    assert "apply would refuse: 129 of 130 published assets would be deleted" in refused
    plan = run(bench, "plan", few, "--prune", "--max-delete", "100%").out
    assert len(entries(plan)) == COUNT - 1
    assert plan.count("is deleted: readers no longer find it") == COUNT - 1


@pytest.mark.parametrize("count", [ALIKE - 1, ALIKE])
def test_few_are_listed_and_many_are_one(bench: Workbench, tmp_path: Path, count: int) -> None:
    few = [{**one, "id": f"other/{one['id']}"} for one in documents(count)]
    done = geobatch("--store", tmp_path / "new", "plan", "--init", bench.write_spec(few))
    assert len(entries(done.out)) == (1 if count >= ALIKE else count)


def test_totals_by_folder(bench: Workbench, tmp_path: Path) -> None:
    both = [
        *documents(7),
        *({**one, "id": f"other/{one['id'].rpartition('/')[2]}"} for one in documents(5)),
    ]
    text = geobatch("--store", tmp_path / "n", "plan", "--init", bench.write_spec(both)).out
    assert "Total: 12 of 12 tiles; read " in text
    assert "\n  many   7 create\n  other  5 create\n" in text


def test_published_assets_without_a_spec_are_a_line_of_every_plan(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(bench.folder / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    run(bench, "apply", bench.write_spec(documents(11)), "--init")
    spec = bench.write_spec(documents(1))
    line = "10 published assets have no spec here and stay: many/i001, many/i002, "
    for name in ("plan", "apply"):
        assert line in run(bench, name, spec).out
    assert line in run(bench, "plan", spec, "--select", "many/*").out
    found: dict[str, Any] = run(bench, "--json", "plan", spec).record("plan")
    assert found["undeclared"] == [f"many/i{number:03}" for number in range(1, 11)]
    assert json.dumps(found)
    pruned = run(bench, "plan", spec, "--prune", "--max-delete", "100%")
    assert "no spec here" not in pruned.out


def test_a_status_of_many_assets(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    spec = bench.write_spec(documents(ALIKE))
    status = run(bench, "status", spec).out
    assert entries(status) == [f"+ {ALIKE} assets, many/i000 to many/i009  to create"]
    assert len(entries(run(bench, "-v", "status", spec).out)) == ALIKE
    assert run(bench, "--json", "status", spec).out.count('"many/i') == ALIKE
    spec = bench.write_spec(documents(ALIKE - 1))
    assert len(entries(run(bench, "status", spec).out)) == ALIKE - 1
