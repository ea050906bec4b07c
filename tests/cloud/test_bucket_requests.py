"""How many requests commands send to a bucket, each counted by a proxy before the server."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import yaml
from buckets import Before
from proxy import Proxy
from servers import Bucket
from workbench import image

from geobatch.testing.rasters import write_raster

MOST = 10
"""Requests of a plan without changes, however many assets there are."""


def run(bucket: Bucket, folder: Path, *arguments: str) -> str:
    """Run a command on the store in a bucket, as a process that only its environment leads."""
    done = subprocess.run(
        [sys.executable, "-m", "geobatch", *arguments, "--store", bucket.url],
        env=bucket.process_environment, cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make(folder: Path, count: int) -> None:
    """Write that many assets of one tile, and their rasters."""
    for number in range(count):
        write_raster(folder / f"{number}.tif", np.full((16, 16), 1 + number % 250, np.uint8))
    documents = [image(f"a{number}", f"{number}.tif", tile=64) for number in range(count)]
    (folder / "specs.yaml").write_text(yaml.safe_dump_all(documents))


def listed(proxy: Proxy) -> list[str]:
    return [f"{one.status} {one.kind} {one.target}" for one in proxy.requests]


def test_a_plan_without_changes_is_a_few_requests(
    bucket: Bucket, before: Before, tmp_path: Path, is_long: bool
) -> None:
    make(tmp_path, 2000 if is_long else 60)
    proxy, there = before(bucket)
    run(there, tmp_path, "apply", "specs.yaml", "--init")
    proxy.forget()
    said = run(there, tmp_path, "plan", "specs.yaml")
    assert "0 update, 0 create, 0 delete" in said, said
    assert len(proxy.requests) <= MOST, listed(proxy)
    # On another computer there is no cache.
    shutil.rmtree(bucket.caches)
    proxy.forget()
    run(there, tmp_path, "plan", "specs.yaml")
    assert len(proxy.requests) <= MOST, listed(proxy)


def test_an_apply_sends_what_is_new_once(bucket: Bucket, before: Before, tmp_path: Path) -> None:
    count = 40
    make(tmp_path, count)
    proxy, there = before(bucket, latency=0.03)
    run(there, tmp_path, "apply", "specs.yaml", "--init")
    made = [one for one in proxy.requests if one.kind == "PUT" and "objects" in one.target]
    assert len(made) == len({one.target for one in made}), "an object was sent twice"
    # A tile, a page of the index, a document and the references, two of which are read for those;
    # the rest does not grow with the assets.
    assert len(proxy.requests) <= 6 * count + 70, listed(proxy)
    assert 8 < proxy.most_in_flight <= 64
