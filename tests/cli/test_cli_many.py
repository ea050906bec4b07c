"""A plan of very many changes: those alike are counted, and nothing is hidden that may do harm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shell import Done, geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.cli.plan_view import MANY, SHOWN

COUNT = MANY + 30


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("many"))
    write_tiff(bench.folder / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    return bench


def documents(**more: object) -> list[Document]:
    return [{**image(f"many/i{number:03}", "a.tif"), **more} for number in range(COUNT)]


def run(bench: Workbench, *argv: str | Path) -> Done:
    done = geobatch("--store", bench.store, *argv)
    assert done.code == 0, done
    return done


def ids(text: str, sign: str) -> list[str]:
    starts = f"  {sign} many/"
    return [line.split()[1] for line in text.splitlines() if line.startswith(starts)]


def test_a_plan_of_many_changes(bench: Workbench, tmp_path: Path) -> None:
    spec = bench.write_spec(documents())
    plan = run(bench, "plan", spec).out
    assert ids(plan, "+") == [f"many/i{number:03}" for number in range(SHOWN)]
    left = COUNT - SHOWN
    assert f"+ {left} more, many/i{SHOWN:03} to many/i{COUNT - 1}  {left} of {left} tiles" in plan
    assert f"{COUNT} create" in plan
    assert len(plan.splitlines()) < 4 * SHOWN
    assert len(ids(run(bench, "-v", "plan", spec).out, "+")) == COUNT

    saved = tmp_path / "plan.json"
    run(bench, "plan", spec, "-o", saved)
    assert ids(run(bench, "show", saved).out, "+") == ids(plan, "+")
    assert len(ids(run(bench, "show", "-v", saved).out, "+")) == COUNT
    found = run(bench, "--json", "plan", spec).record("plan")
    assert len(found["asset_changes"]) == COUNT

    applied = run(bench, "apply", spec).out
    assert ids(applied, "+") == ids(plan, "+")
    assert f"{left} more" in applied


def test_what_deletes_or_differs_is_shown(bench: Workbench) -> None:
    run(bench, "apply", bench.write_spec(documents()))
    changed = documents(memo="new")
    changed[50]["properties"] = {"odd": 1}
    plan = run(bench, "plan", bench.write_spec(changed)).out
    assert ids(plan, "~") == [f"many/i{number:03}" for number in (*range(SHOWN), 50)]
    assert f"~ {COUNT - SHOWN - 1} more" in plan
    assert "      reason   metadata changed\n" in plan

    few = bench.write_spec(documents()[:1])
    plan = run(bench, "plan", few, "--prune", "--max-delete", "100%").out
    assert len(ids(plan, "-")) == COUNT - 1
    assert "more" not in plan


def test_changes_that_are_not_many_are_all_shown(bench: Workbench, tmp_path: Path) -> None:
    few = documents()[: MANY - 1]
    for one in few:
        one["id"] = f"many/other/{one['id'].rpartition('/')[2]}"
    plan = geobatch("--store", tmp_path / "new", "plan", bench.write_spec(few)).out
    assert len(ids(plan, "+")) == MANY - 1
