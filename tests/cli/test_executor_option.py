"""`--executor`, `executor:` of a project, `executor=` in Python: what is valid, and who wins."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import geobatch

import geobatch as library
from geobatch.declare.projects.project import Project
from geobatch.errors import GeobatchError, PlanError, SettingError
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.model.executor_name import ExecutorName, parse_executor
from geobatch.testing.rasters import write_raster
from geobatch.workflow.executors import executor_of

SPEC = """
id: a
tilesets: [{id: t, sources: [{uris: [a.tif]}]}]
bands: [{id: b, tileset_id: t}]
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "specs").mkdir()
    write_raster(tmp_path / "specs" / "a.tif", np.ones((9, 9), np.uint8))
    (tmp_path / "specs" / "a.yaml").write_text(SPEC)
    return tmp_path / "specs" / "a.yaml"


VALID = {
    "threads": ExecutorName(kind="threads"),
    "processes": ExecutorName(kind="processes"),
    "serial": ExecutorName(kind="serial"),
    "dask://local": ExecutorName(kind="dask"),
    "dask://tcp://h:8786": ExecutorName(kind="dask", address="tcp://h:8786"),
    "dask://tls://a-b.example.org:1/": ExecutorName(kind="dask", address="tls://a-b.example.org:1"),
    "dask://tcp://[::1]:8786": ExecutorName(kind="dask", address="tcp://[::1]:8786"),
    "dask://ws://10.0.0.1:65535": ExecutorName(kind="dask", address="ws://10.0.0.1:65535"),
}
INVALID = {
    "": "use `threads`",
    "thread": "did you mean `threads`?",
    "THREADS": "did you mean `threads`?",
    " threads": "did you mean `threads`?",
    "local": "use `threads`",
    "dask": "use `threads`",
    "dask:local": "did you mean `dask://local`?",
    "dask://": "write `dask://local`",
    "dask://h:8786": "write `dask://tcp://h:8786`",
    "tcp://h:8786": "write `dask://tcp://h:8786`",
    "dask://tcp://h": "name the port: `dask://tcp://h:8786`",
    "dask://tcp://h/": "name the port: `dask://tcp://h:8786`",
    "dask://tcp://h:0": "the address of a scheduler",
    "dask://tcp://h:65536": "the address of a scheduler",
    "dask://tcp://h:99999999": "the address of a scheduler",
    "dask://tcp://u:p@h:1": "the address of a scheduler",
    "dask://tcp://h:1/path": "the address of a scheduler",
    "dask://tcp:// h:1": "the address of a scheduler",
    "dask://ftp://h:1": "is one of `tcp`",
    "dask://tcp://h:1\n": "the address of a scheduler",
    "dask://tcp://h:\u0661": "the address of a scheduler",
}


@pytest.mark.parametrize("text", VALID)
def test_what_is_valid(text: str) -> None:
    assert parse_executor(text) == VALID[text]


@pytest.mark.parametrize("text", INVALID)
def test_what_is_not_valid_is_a_usage_error_with_a_hint(spec: Path, text: str) -> None:
    with pytest.raises(SettingError) as caught:
        parse_executor(text)
    assert INVALID[text] in str(caught.value.hint)
    store = spec.parents[1] / "store"
    done = geobatch("apply", spec, "--store", store, "--init", f"--executor={text}")
    assert done.code == 64
    assert INVALID[text] in done.err
    assert not store.exists()


@pytest.mark.parametrize("name", ["serial", "threads", "processes"])
def test_each_of_this_machine_applies_rehearses_and_verifies(spec: Path, name: str) -> None:
    store = spec.parents[1] / "store"
    option = f"--executor={name}"
    planned = geobatch("plan", spec, "--rehearse", "--init", "--store", store, option)
    assert planned.code == 0, planned.err
    assert geobatch("apply", spec, "--store", store, option).code == 0
    done = geobatch("verify", "--store", store, option)
    assert done.code == 0, done.err
    assert "0 different" in done.out


def test_a_plan_that_computes_nothing_has_no_executor(spec: Path) -> None:
    done = geobatch("plan", spec, "--store", spec.parent / "store", "--executor", "threads")
    assert done.code == 64
    assert "`--executor` needs `--rehearse`" in done.err


def test_verify_refuses_it_with_against(spec: Path) -> None:
    store = spec.parents[1] / "store"
    assert geobatch("apply", spec, "--store", store, "--init").code == 0
    done = geobatch("verify", "--store", store, "--against", store, "--executor", "serial")
    assert done.code == 64
    assert geobatch("verify", "--store", store, "--executor", "serail").code == 64


def test_nothing_connects_where_nothing_is_computed(spec: Path) -> None:
    store = spec.parents[1] / "store"
    assert geobatch("apply", spec, "--store", store, "--init").code == 0
    done = geobatch("apply", spec, "--store", store, "--executor", "dask://tcp://127.0.0.1:1")
    assert done.code == 0, done.err


def test_without_the_library_the_hint_installs_it(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = PathFinder.find_spec
    monkeypatch.setattr(
        PathFinder,
        "find_spec",
        lambda name, *rest: None if name == "distributed" else find(name, *rest),
    )
    with pytest.raises(SettingError, match=r"requires the extra `geobatch\[dask\]`") as caught:
        library.apply(spec, store=spec.parents[1] / "store", executor="dask://local")
    assert "distributed>=2025.1" in str(caught.value.hint)
    library.apply(spec, store=spec.parents[1] / "store", executor="threads")


# --- in a project file ----------------------------------------------------------------------------


def test_a_project_names_one_and_the_option_wins(spec: Path) -> None:
    """The address is that of no scheduler, so whoever connects fails."""
    (spec.parent / "geobatch.yaml").write_text("executor: serial\n")
    store = spec.parents[1] / "store"
    assert geobatch("apply", spec, "--store", store, "--init").code == 0
    project = Project(path="geobatch.yaml", executor="serial")
    for asked, expected in (
        (None, SerialExecutor()),
        ("threads", ThreadExecutor(3)),
        ("processes", ProcessExecutor(3)),
        (SerialExecutor(), SerialExecutor()),
    ):
        assert executor_of(asked, [project], workers=3, is_confined=False) == expected
    assert executor_of(None, [Project()], workers=3, is_confined=True) is None


@pytest.mark.parametrize("text", [*INVALID, "3", "[threads]", "null"])
def test_a_project_that_names_none_is_an_error_with_its_line(spec: Path, text: str) -> None:
    (spec.parent / "geobatch.yaml").write_text(f"silence: []\nexecutor: {text!r}\n")
    done = geobatch("validate", spec)
    assert done.code == 1, done.out
    assert "geobatch.yaml:2:" in done.err


def test_several_projects_must_agree() -> None:
    found = [Project(path=f"{one}/geobatch.yaml", executor=one) for one in ("serial", "threads")]
    with pytest.raises(PlanError, match="several executors"):
        executor_of(None, found, workers=1, is_confined=False)
    executor_of("serial", found, workers=1, is_confined=False)
    executor_of(None, [*found[:1], Project(path="b")], workers=1, is_confined=False)


@pytest.mark.parametrize("option", ["--confine", "--allow-from"])
def test_a_confined_run_connects_to_no_address_of_a_project(spec: Path, option: str) -> None:
    """The file may be a stranger's: what answers there would get the tasks and give back code."""
    (spec.parent / "geobatch.yaml").write_text("executor: dask://tcp://127.0.0.1:1\n")
    trusted = spec.parents[1] / "trusted.yaml"
    trusted.write_text("allow: []\n")
    arguments = [option, trusted] if option == "--allow-from" else [option]
    store = spec.parents[1] / "store"
    done = geobatch("apply", spec, "--store", store, "--init", *arguments)
    assert done.code == 64
    assert "this run is confined" in done.err
    assert geobatch(
        "apply", spec, "--store", store, "--init", *arguments, "--executor", "threads"
    ).code == 0  # fmt: skip


# --- in Python ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, object(), ["threads"], b"threads", ThreadExecutor])
def test_what_is_no_executor_is_a_type_error(spec: Path, value: Any) -> None:
    with pytest.raises(TypeError, match="`executor` must be"):
        library.apply(spec, store=spec.parents[1] / "store", executor=value)


def test_a_name_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        library.apply(tmp_path / "missing", store=tmp_path / "store", executor="thread")
    assert not (tmp_path / "store").exists()


def test_dask_is_not_loaded_for_other_executors(spec: Path) -> None:
    before = set(sys.modules)
    library.apply(spec, store=spec.parents[1] / "store", executor="threads")
    assert not [one for one in set(sys.modules) - before if one.startswith("distributed")]


def test_an_error_of_an_executor_is_one_of_geobatch() -> None:
    assert issubclass(SettingError, GeobatchError)
