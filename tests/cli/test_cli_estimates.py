"""How long an apply may take, by the last ones: in plans, reviews, and nowhere else."""

from __future__ import annotations

import json
import re
import shutil
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.model.plans.estimate import Run, estimate
from geobatch.model.text.words import duration_text
from geobatch.store.backends.local import LocalBackend
from geobatch.store.caches import run_times

TEXT = re.compile(r"takes about [0-9.]+ s, by the last (run|2 runs)")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("abc"):
        pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
        write_tiff(tmp_path / f"{name}.tif", [pixels])
    bench = Workbench(folder=tmp_path)
    bench.write_spec([image("a", "a.tif")])
    return bench


def kept(bench: Workbench) -> tuple[Run, ...]:
    return run_times._runs(LocalBackend(bench.store))


def estimated(*argv: str) -> Any:
    done = geobatch("plan", "spec.yaml", "--json", *argv)
    return done.record("plan")["estimate"]


def test_without_a_run_nothing_is_shown(bench: Workbench) -> None:
    assert estimated("-o", "p.json") is None
    assert "takes" not in geobatch("plan", "spec.yaml").out
    for form in ("text", "markdown", "html"):
        assert "takes about" not in geobatch("review", "p.json", "--format", form).out
    assert geobatch("review", "p.json", "--json").record("review")["estimate"] is None


def test_each_report_shows_it(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    found = estimated("-o", "p.json")
    assert found["runs"] == 1
    assert found["is_same_machine"]
    # The same amount of work takes as long as it took.
    (run,) = kept(bench)
    assert found["seconds"] == round(run.seconds, 2) > 0
    assert TEXT.search(geobatch("plan", "spec.yaml").out)
    assert TEXT.search(geobatch("show", "p.json").out)
    for form in ("text", "markdown", "html"):
        assert TEXT.search(geobatch("review", "p.json", "--format", form).out)
    assert geobatch("review", "p.json", "--json").record("review")["estimate"] == found
    assert TEXT.search(geobatch("apply", "p.json").out)


def test_nothing_depends_on_it(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    other = shutil.copytree(bench.store, bench.folder / "other")
    shutil.rmtree(other / "cache")
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    plans = [geobatch("--store", one, "plan", "spec.yaml", "--json") for one in ("store", "other")]
    ids = {plan.record("plan")["plan_id"] for plan in plans}
    assert len(ids) == 1
    assert [plan.record("plan")["estimate"] is None for plan in plans] == [False, True]
    done = [geobatch("--store", one, "apply", "spec.yaml", "--json") for one in ("store", "other")]
    assert len({one.record("summary")["content_root"] for one in done}) == 1


def test_what_computes_nothing_is_no_run_and_has_no_estimate(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    for _ in range(3):
        assert geobatch("apply", "spec.yaml").code == 0
    assert len(kept(bench)) == 1
    assert estimated() is None
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    assert estimated("--rehearse", "-o", "p.json") is None
    assert geobatch("apply", "p.json").code == 0
    assert len(kept(bench)) == 1


def test_a_refused_plan_and_a_failed_run_have_none(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    checks = [{"range": [0, 1]}]
    bench.write_spec([image("a", "a.tif", lifecycle={"protect": True}), image("b", "b.tif")])
    assert geobatch("apply", "spec.yaml").code == 0
    bench.write_spec([image("b", "b.tif", checks=checks)])
    assert geobatch("apply", "spec.yaml").code == 9
    assert len(kept(bench)) == 2
    assert estimated("--prune", "--max-delete", "100%") is None  # `a` is protected


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"x" * 99, None])
def test_a_damaged_file_is_no_run(bench: Workbench, damage: bytes | None) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    file = bench.store / "cache" / "runs"
    if damage is None:
        file.unlink()
        file.mkdir()
    else:
        file.write_bytes(damage)
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    assert estimated() is None
    assert geobatch("apply", "spec.yaml").code == 0
    assert geobatch("fsck").code == 0


def test_few_runs_are_kept(bench: Workbench) -> None:
    for number in range(run_times._MOST + 3):
        bench.write_spec([image("a", "a.tif", properties={"n": number})])
        assert geobatch("apply", "spec.yaml").code == 0
    assert len(kept(bench)) == run_times._MOST
    assert (bench.store / "cache" / "runs").stat().st_size < 4096


def test_a_plan_that_says_more_is_shown(bench: Workbench) -> None:
    """A newer version may add members; an older one has no estimate."""
    assert geobatch("apply", "spec.yaml").code == 0
    bench.write_spec([image("a", "a.tif"), image("b", "b.tif")])
    estimated("-o", "p.json")
    document = json.loads(Path("p.json").read_text())
    document["estimate"]["more"] = 1
    Path("p.json").write_text(json.dumps(document))
    assert TEXT.search(geobatch("show", "p.json").out)
    del document["estimate"]
    Path("p.json").write_text(json.dumps(document))
    assert geobatch("show", "p.json").code == 0
    for wrong in (-1, "1", None, 1e999):
        document["estimate"] = {"seconds": wrong, "runs": 1}
        Path("p.json").write_text(json.dumps(document))
        done = geobatch("show", "p.json")
        assert done.code != 0
        assert "p.json" in done.err


RUNS = st.builds(
    Run,
    machine=st.sampled_from(["here", "there"]),
    work=st.integers(0, 10**13),
    seconds=st.floats(0, 10**5),
)


@given(work=st.integers(0, 10**13), runs=st.lists(RUNS, max_size=20))
@settings(max_examples=200)
def test_an_estimate_is_within_what_the_runs_say(work: int, runs: list[Run]) -> None:
    found = estimate(work, runs, machine="here")
    here = [run for run in runs if run.machine == "here"]
    known = [run for run in here or runs if run.work and run.seconds]
    assert (found is None) == (not known or not work)
    if found is None:
        return
    rates = [run.seconds / run.work for run in known]
    assert min(rates) * 0.999 <= found.seconds / work <= max(rates) * 1.001
    assert found.is_same_machine == bool(here)
    assert 1 <= found.runs <= min(5, len(known))


def test_runs_of_similar_size_count() -> None:
    """A fast disk and large rasters say little of small plans."""
    small = [Run(machine="m", work=10, seconds=10) for _ in range(5)]
    large = [Run(machine="m", work=10**6, seconds=1) for _ in range(5)]
    near, far = (estimate(w, [*large, *small], machine="m") for w in (20, 5 * 10**5))
    assert near is not None
    assert far is not None
    assert near.seconds == pytest.approx(20)
    assert far.seconds == pytest.approx(0.5)


def test_times_have_two_digits() -> None:
    times = [0, 0.44, 9.96, 30, 89.6, 91, 3599, 5400, 36000, 360000]
    assert list(map(duration_text, times)) == [
        "0.1 s", "0.4 s", "10 s", "30 s", "90 s", "2 min", "1 h", "1 h 30 min", "10 h", "100 h",
    ]  # fmt: skip
    order = [duration_text(seconds) for seconds in range(1, 80_000, 7)]
    ranks: dict[str, int] = {}
    numbers = count()
    for text in order:
        ranks.setdefault(text, next(numbers))
    assert [ranks[text] for text in order] == sorted(ranks[text] for text in order)
