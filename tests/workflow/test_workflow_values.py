"""What crosses from stage to stage is a frozen value: it prints, compares and pickles."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from workbench import Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.model.assets.asset import Resolution
from geobatch.model.plans.summary import ApplySummary
from geobatch.resolve import resolve
from geobatch.store.tilestore import TileStore
from geobatch.workflow.plan import plan


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("values"))
    write_tiff(bench.folder / "a.tif", [np.arange(9000, dtype=np.int16).reshape(90, 100)] * 2)
    bench.write_spec(
        [image("a", "a.tif", properties={"n": 1}), image("b", "a.tif", start_time="2025-01-01")]
    )
    return bench


@pytest.fixture(scope="module")
def values(bench: Workbench) -> dict[str, Any]:
    specs = validate([bench.folder / "spec.yaml"])
    planned = plan([bench.folder / "spec.yaml"], store=bench.store)
    summary = bench.apply_spec()
    store = TileStore.open(bench.store)
    head = store.head()
    record = store.record(head.tree.entries[0])
    store.close()
    return {
        "specs": specs, "resolution": resolve(specs), "plan": planned, "summary": summary,
        "head": head, "record": record,
    }  # fmt: skip


NAMES = ("specs", "resolution", "plan", "summary", "head", "record")


@pytest.mark.parametrize("name", NAMES)
def test_a_value_pickles(values: dict[str, Any], name: str) -> None:
    value = values[name]
    found = pickle.loads(pickle.dumps(value))
    assert found == value
    assert repr(found) == repr(value)
    assert " at 0x" not in repr(value)


def test_a_fill_that_equals_nothing_prints_as_before(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [np.zeros((9, 9), dtype=np.float32)])
    bench = Workbench(folder=tmp_path)
    planned = plan([bench.write_spec([image("a", "a.tif")])], store=bench.store)
    assert "fill=nan" in repr(planned.changes)
    again = pickle.loads(pickle.dumps(planned))
    assert repr(again.changes) == repr(planned.changes)
    assert repr(again) == repr(planned) == f"<Plan {planned.plan_id[:8]}: 1 create>"


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_frozen(values: dict[str, Any], name: str) -> None:
    value = values[name]
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, value.__struct_fields__[0], None)


def test_a_plan_prints_the_same_in_every_process(bench: Workbench) -> None:
    code = (
        "from geobatch import plan\n"
        f"made = plan({str(bench.folder / 'spec.yaml')!r}, store='none')\n"
        "print(made, made.plan_id, made.changes, made.refusals, made.undeclared)"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            cwd=bench.folder, env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Kathmandu"))
    }  # fmt: skip
    assert len(printed) == 1
    assert "because=(Because(" in printed.pop()


def test_a_plan_holds_the_summary_and_the_other_way_round(values: dict[str, Any]) -> None:
    summary: ApplySummary = values["summary"]
    assert summary.plan.changes == values["plan"].changes
    resolution: Resolution = values["resolution"]
    assert tuple(change.asset for change in summary.plan.changes) == resolution.assets


def test_a_plan_is_of_no_machine(tmp_path: Path, bench: Workbench) -> None:
    """The id names store, base, specs and sources; where they lie is not in it."""
    moved = Workbench(folder=tmp_path)
    (tmp_path / "a.tif").write_bytes((bench.folder / "a.tif").read_bytes())
    (tmp_path / "spec.yaml").write_text((bench.folder / "spec.yaml").read_text() + "# mine\n")
    here, there = (
        plan([place.folder / "spec.yaml"], store=tmp_path / "none") for place in (bench, moved)
    )
    assert here.plan_id == there.plan_id
    write_tiff(tmp_path / "a.tif", [np.zeros((90, 100), dtype=np.int16)] * 2)
    assert plan([tmp_path / "spec.yaml"], store=tmp_path / "none").plan_id != here.plan_id
