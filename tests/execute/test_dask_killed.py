"""Workers, coordinators and schedulers that are killed: the rerun makes the same store."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import Silent, Spy, cluster, runs_of, state, write_images
from distributed import Client
from shell import environment

from geobatch.errors import ExecutionError
from geobatch.execute import passes
from geobatch.execute.executors.dask import worker
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.workflow.apply import apply


@pytest.fixture
def _small_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks and passes."""
    monkeypatch.setattr(passes, "REGION_PIXELS", 128)


@pytest.mark.usefixtures("_small_regions")
@pytest.mark.soak  # its scheduler may stop answering on a machine that does other work
def test_workers_are_killed_at_random(tmp_path: Path, is_long: bool) -> None:
    """The store is the same; the run does not even fail."""
    kills = 50 if is_long else 5
    spec = write_images(tmp_path / "in", small=150)
    apply([spec], store=tmp_path / "expected")
    rng = random.Random(5)
    killed: list[int] = []
    with cluster(tmp_path / "dask") as client:
        while len(killed) < kills:
            shutil.rmtree(tmp_path / "store", ignore_errors=True)
            with killing(client.scheduler.address, rng, killed, most=kills):
                apply([spec], store=tmp_path / "store", executor=client)
            assert state(tmp_path / "store") == state(tmp_path / "expected")
        apply([spec], store=tmp_path / "store", executor=client)
    assert runs_of(tmp_path / "store") == []


class Forgetful(Spy):
    """A client of a cluster whose workers are killed when they have answered, some times."""

    left = 3

    def gather(self, futures: Any, **more: Any) -> Any:
        pids = self._client.run(os.getpid, on_error="ignore").values() if self.left else ()
        if pids:
            self.left -= 1
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.5)
        return super().gather(futures, **more)


@pytest.mark.usefixtures("_small_regions")
def test_an_answer_that_is_lost_with_its_worker_is_computed_again(tmp_path: Path) -> None:
    spec = write_images(tmp_path / "in", small=5)
    apply([spec], store=tmp_path / "expected")
    with cluster(tmp_path / "dask", failures=99) as client:
        forgetful = Forgetful(client)
        apply([spec], store=tmp_path / "store", executor=DaskExecutor(client=forgetful))
    assert forgetful.left == 0
    assert state(tmp_path / "store") == state(tmp_path / "expected")


@contextmanager
def killing(address: str, rng: random.Random, killed: list[int], *, most: int) -> Iterator[None]:
    """Kill workers at random, until enough were."""
    done = threading.Event()

    def kill() -> None:
        with Client(address, set_as_default=False) as own:
            while not done.wait(rng.uniform(0.1, 3)) and len(killed) < most:
                pids = sorted(own.run(os.getpid, on_error="ignore").values())
                with suppress(ProcessLookupError):
                    if pids:
                        os.kill(rng.choice(pids), signal.SIGKILL)
                        killed.append(1)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


RUN = """
import sys
from geobatch.execute import passes
passes.REGION_PIXELS = 128
from geobatch.cli.main import main
main(sys.argv[1:])
"""


def start(store: Path, spec: Path, executor: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "--store", store, "apply", spec, "--init", "--executor",
         executor, "-j2", "--no-git"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(), start_new_session=True,
        # A shell starts its background jobs with SIGINT ignored, and so would ours be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


def test_the_coordinator_is_killed_at_random(tmp_path: Path, is_long: bool) -> None:
    """A rerun makes the same store; workers close what they opened for the one that is gone."""
    spec, store = write_images(tmp_path / "in", small=100), tmp_path / "store"
    apply([spec], store=tmp_path / "expected")
    rng = random.Random(7)
    with cluster(tmp_path / "dask") as client:
        client.run(_close_soon)
        for _ in range(20 if is_long else 3):
            objects = len(list(store.glob("objects/*/*")))
            process = start(store, spec, f"dask://{client.scheduler.address}")
            # Some are killed while they start, others among their tasks.
            until = time.monotonic() + rng.uniform(1, 4)
            more = rng.randint(1, 60)
            while time.monotonic() < until:
                if len(list(store.glob("objects/*/*"))) >= objects + more:
                    break
                time.sleep(0.01)
            process.kill()
            process.communicate()
        apply([spec], store=store, executor=client)
        assert state(store)[0] == state(tmp_path / "expected")[0]
        assert state(tmp_path / "expected")[1] <= state(store)[1]
        until = time.monotonic() + 20
        while runs_of(store) and time.monotonic() < until:
            time.sleep(0.2)
            apply([spec], store=store)
        assert runs_of(store) == []


def _close_soon() -> None:
    worker.IDLE_SECONDS = 0.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_local_cluster_ends_with_the_run(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in a terminal reaches the workers, too; the rerun redoes little."""
    spec, store = write_images(tmp_path / "in", small=150), tmp_path / "store"
    expected = apply([spec], store=tmp_path / "expected")
    process = start(store, spec, "dask://local")
    until = time.monotonic() + 60
    while not list(store.glob("objects/*/*")) and time.monotonic() < until:
        time.sleep(0.02)
    if number is signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output = process.communicate(timeout=60)[0].decode()
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(number, -9), output
    assert "Traceback" not in output
    while _group(process.pid) and time.monotonic() < until + 20:
        time.sleep(0.1)
    assert not _group(process.pid)
    put = len(list(store.glob("objects/*/*")))
    assert 0 < put < len(state(tmp_path / "expected")[1])
    again = apply([spec], store=store, executor=ThreadExecutor(2))
    assert again.content_root == expected.content_root
    assert runs_of(store) == []


def _group(leader: int) -> list[int]:
    """Return the live processes of a group."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                text = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(text[2]) == leader and text[0] != "Z":
                    found.append(int(folder.name))
    return found


@pytest.mark.soak  # distributed itself may fail so early that nobody is told why
def test_a_scheduler_that_goes_away_is_named(tmp_path: Path) -> None:
    spec = write_images(tmp_path / "in", small=300)
    with cluster(tmp_path / "dask", workers=1) as client:
        address = client.scheduler.address
        closer = threading.Timer(1.0, client.cluster.close)

        class Slow(Silent):
            def asset_started(self, asset_id: str, *, tiles: int) -> None:
                if not closer.is_alive() and not closer.finished.is_set():
                    closer.start()

            def asset_finished(self, asset_id: str) -> None:
                time.sleep(0.02)

        with pytest.raises(ExecutionError, match="does not answer any more") as caught:
            apply([spec], store=tmp_path / "store", observer=Slow(), executor=f"dask://{address}")
        assert "run the same command again" in str(caught.value.hint)
    apply([spec], store=tmp_path / "store")
