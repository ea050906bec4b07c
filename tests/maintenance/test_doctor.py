"""`doctor`: what is wrong is said with what to do, and no secret is ever printed."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.sources.gdal.support import COMPRESSIONS, gdal_support
from geobatch.workflow.maintenance.diagnosis import Diagnosis, Health
from geobatch.workflow.maintenance.doctor import examine


def found(store: Path, **environment: str) -> dict[str, Diagnosis]:
    return {one.name: one for one in examine(store, environment=environment)}


def test_all_is_well_where_there_is_no_store(tmp_path: Path) -> None:
    all_of = found(tmp_path / "a" / "store")
    assert not [one for one in all_of.values() if one.health is Health.FAIL]
    assert all_of["hard links"].found == "yes"
    assert all_of["clock"].found == "agrees with the disk's"
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_opened_and_left_as_it_is(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((20, 20), np.uint8)])
    bench.apply(image("a", "a.tif"))
    before = sorted(bench.store.rglob("*"))
    assert found(bench.store)["store"].found.endswith("commit 1, 1 asset")
    assert sorted(bench.store.rglob("*")) == before
    (bench.store / "geobatch.json").unlink()
    one = found(bench.store)["store"]
    assert (one.health, bool(one.hint)) == (Health.FAIL, True)


def test_names_of_credentials_are_printed_and_never_their_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-1")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "hush-2")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "hush-3"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("aws_secret_access_key = hush-4")
    for argv in (["doctor"], ["--json", "doctor"], ["-v", "doctor"]):
        done = geobatch("--store", tmp_path / "store", *argv)
        assert done.code == 0
        assert "hush" not in done.out + done.err
        assert "AWS_SECRET_ACCESS_KEY" in done.out
        assert ".aws/credentials" in done.out


def test_what_prevents_work_is_exit_code_1(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        target = Path("/proc/store")  # where nobody can write
    else:
        target = tmp_path / "closed" / "store"
        target.parent.mkdir(mode=0o500)
    done = geobatch("--store", target, "--json", "doctor")
    assert done.code == 1
    (wrong,) = [one for one in done.lines if one.get("health") == "fail"]
    assert wrong["name"] == "permissions"
    assert "--store" in wrong["hint"]


def test_few_file_handles_are_noted(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        assert found(tmp_path)["open files"].hint.startswith("`ulimit -n ")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_compressions_are_tried() -> None:
    support = gdal_support()
    assert {"DEFLATE", "LZW"} <= set(support.compressions) <= set(COMPRESSIONS)
    assert {"GTiff", "netCDF", "JP2OpenJPEG"} <= set(support.drivers)
