"""What all tests share: workbenches, rasters as real ones are, the processes that are started."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from geobatch.processes import pool

for folder in (
    "oracle", "end_to_end", "sources", "cli", "workflow", "histories", "exports", "declare",
    "table", "stand_ins", "processes", "golden", "execute", "confine", "attacks", "review",
    "gitops", "examples", "cloud", "buckets", "serve",
):  # fmt: skip
    sys.path.insert(0, str(Path(__file__).parent / folder))

import depth  # noqa: E402 (from the folders above)
import stand_ins  # noqa: E402
from cases import COMMANDS, Case, make_cases  # noqa: E402
from history import in_memory  # noqa: E402
from jobs import Jobs, is_possible  # noqa: E402

pytest_plugins = ["buckets", "accounts", "selection", "shared_cluster"]

# Hundreds of processes are started: that each of them compiles all modules again would cost most of
# their time. Where no bytecode is wanted next to modules, it is kept in pytest's own folder.
if sys.dont_write_bytecode:
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    sys.dont_write_bytecode = False
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A busy machine is slow; that says nothing of what is tested. The default run tries the same
# examples each time: whoever changes one thing does not meet a failure of another. `just attack`
# tries new ones.
settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=30,
    derandomize=True,
    database=None,
)
settings.register_profile(
    "attack", settings.get_profile("tests"), max_examples=150, derandomize=False
)
settings.register_profile("brief", settings.get_profile("tests"), max_examples=10)
settings.load_profile("attack" if depth.IS_ATTACK else "brief" if depth.IS_BRIEF else "tests")

REAL = stand_ins.real_folder()
REAL_FILES = sorted(REAL.glob("*.tif")) if REAL else []


def real(path: Path) -> Any:
    """Return a parameter of a test that only `GEOBATCH_REAL_DATA` brings."""
    return pytest.param(path, id=f"real {path.name}", marks=pytest.mark.real_data)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the rasters and mixers that are made in the likeness of real ones."""
    return stand_ins.make(tmp_path_factory.mktemp("stand-ins"))


@pytest.fixture(scope="session", params=["", *([real(REAL)] if REAL else [])])
def rasters(request: pytest.FixtureRequest, made: Path) -> Path:
    """A folder of rasters and mixers: of those that are made, and of the real ones."""
    path: Path = made / request.param
    return path


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a folder that nobody changes: `made_once(name, make)` returns it.

    One of the processes that share the run's tests makes it; the others wait.
    """

    def once(name: str, make: Callable[[Path], object]) -> Path:
        base = tmp_path_factory.getbasetemp()
        base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (base / name).exists():
                part = tmp_path_factory.mktemp(name) / name
                part.mkdir()
                make(part)
                part.rename(base / name)
        return base / name

    return once


@pytest.fixture(params=[*stand_ins.NAMES, stand_ins.PALETTE, *map(real, REAL_FILES)])
def raster(request: pytest.FixtureRequest, made: Path) -> Path:
    """A raster: each of those that are made, and each of the real ones."""
    path: Path = made / request.param
    return path


@pytest.fixture(
    params=[pytest.param(False, id=""), pytest.param(True, id="long", marks=pytest.mark.attack)]
)
def is_long(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form of an attack, which `-m attack` runs, or the short one."""
    return bool(request.param)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started to share work."""
    found: list[subprocess.Popen[bytes]] = []
    start = pool._start

    def _start(*arguments: Any) -> subprocess.Popen[bytes]:
        found.append(start(*arguments))
        return found[-1]

    monkeypatch.setattr(pool, "_start", _start)
    return found


@pytest.fixture(scope="session")
def attack_folder() -> Iterator[Path]:
    """A folder in memory, for attacks."""
    with in_memory() as made:
        yield made


@pytest.fixture(scope="session")
def jobs(attack_folder: Path) -> Iterator[Jobs]:
    """Runs command lines in processes that meet faults."""
    if not is_possible():
        pytest.skip("the faults are written for Linux, and need a C compiler")
    with Jobs(attack_folder) as made:
        yield made


@pytest.fixture(scope="session")
def cases(attack_folder: Path, jobs: Jobs) -> dict[str, Case]:
    """Commands on small stores, by name."""
    return make_cases(attack_folder, jobs)


@pytest.fixture(params=COMMANDS)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    """A command on a small store, whose state is that before the command."""
    made: Case = cases[request.param]
    made.put_back()
    return made


_SOAK = (
    "attacks",
    "test_catalog_files.py",
    "test_csv_tables.py",
    "test_cubes.py",
    "test_dask_histories.py",
    "test_dask_killed.py",
    "test_gc_races.py",
    "test_histories.py",
    "test_histories_killed.py",
    "test_pages_executors.py",
    "test_rehearsals.py",
    "test_rollback_killed.py",
    "test_rot.py",
    "test_verify_histories.py",
    "test_zarr_tree.py",
)
"""Folders and files whose long forms take many minutes: `just soak` runs them."""
_SLOW = (
    "attacks", "confine", "data_checks", "gitops", "golden", "histories", "maintenance",
    "test_asset_shapes.py", "test_catalog_files.py", "test_cli_confirm.py", "test_cli_estimates.py",
    "test_cli_rehearsed_folders.py", "test_cli_review.py", "test_cli_streams.py", "test_dask.py",
    "test_dask_histories.py", "test_dask_killed.py", "test_dask_kinds.py", "test_dask_parts.py",
    "test_dask_refusals.py", "test_dask_shared.py", "test_execute_apart.py",
    "test_execute_memory.py", "test_execute_pages.py", "test_execute_regions.py",
    "test_execute_resume.py", "test_executor_contract.py", "test_executor_option.py",
    "test_executors.py", "test_external_exports.py", "test_external_http.py", "test_gitops.py",
    "test_hostile.py", "test_hostile_servers.py", "test_known_images.py",
    "test_objects_ingested.py", "test_page.py", "test_pages_executors.py", "test_post.py",
    "test_probe_processes.py", "test_records_in_buckets.py", "test_remote_files.py",
    "test_remote_views.py", "test_small_records.py", "test_small_specs.py", "test_small_tiffs.py",
    "test_upkeep_lost.py", "test_workflow_damage.py", "test_workflow_killed.py",
    "test_workflow_moving_sources.py", "test_workflow_together.py", "test_zarr_tree.py",
)  # fmt: skip
"""Folders and files of many processes: their short forms count as attacks, too."""


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than processors: tests wait for disks and for processes."""
    return (os.cpu_count() or 1) + 1


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave files unread that `-m "attack ..."` selects nothing of: to read all costs much."""
    is_attack = str(config.option.markexpr).startswith("attack and ")
    if is_attack and collection_path.suffix == ".py" and collection_path.name != "conftest.py":
        return True if not depth.may_hold_attacks(collection_path, _SLOW) else None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _mark(items)
    for item in items:
        if item.get_closest_marker("cloud") is not None and item.path.parent.name != "cloud":
            raise pytest.UsageError(f"`just cloud` does not read {item.path}: move it")
        if item.get_closest_marker("attack") is not None and not depth.may_hold_attacks(
            item.path, _SLOW
        ):
            raise pytest.UsageError(f'`-m "attack and ..."` does not read {item.path}')


def _mark(items: list[pytest.Item]) -> None:
    for item in items:
        names = {item.path.name, item.path.parent.name}
        if "servers" in getattr(item, "fixturenames", ()):
            # Its servers are not there in other runs: the long form is for `just soak` alone.
            item.add_marker("cloud")
            if item.get_closest_marker("attack") is not None:
                item.add_marker("soak")
        elif item.get_closest_marker("attack") is not None:
            if not names.isdisjoint(_SOAK):
                item.add_marker("soak")
        elif not names.isdisjoint(_SLOW):
            item.add_marker("attack")
