"""The command `serve`: what it says, what it refuses, and how it ends."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from serving import png
from shell import geobatch
from workbench import Workbench, image, write_tiff

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((64, 64), np.uint8)])
    made.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    return made


def started(*options: str | Path) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "geobatch", "serve", *map(str, options), "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell starts its background jobs with SIGINT ignored, and so would ours be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline()


def test_it_says_where_answers_and_ends_by_ctrl_c(bench: Workbench) -> None:
    process, line = started(bench.store, "--json")
    said = json.loads(line)
    assert said["type"] == "serve"
    assert said["assets"] == 1
    with urllib.request.urlopen(f"{said['url']}healthz") as answer:
        assert json.load(answer)["status"] == "ok"
        assert answer.headers["content-security-policy"]
        assert "server" not in answer.headers
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1]) == {"type": "exit", "code": 0}
    assert "Traceback" not in err


def test_an_open_address_says_what_it_exposes(bench: Workbench) -> None:
    process, line = started(bench.store, "--host", "0.0.0.0", "--allow-host", "maps.example")
    try:
        port = re.search(r":(\d+)/", line)
        assert port is not None
        for host, status in (("127.0.0.1", 200), ("maps.example", 200), ("evil.example", 421)):
            link = http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=30)
            link.request("GET", "/healthz", headers={"Host": host})
            assert link.getresponse().status == status
            link.close()
    finally:
        process.terminate()
        _, err = process.communicate(timeout=30)
    assert "warning: everyone who reaches 0.0.0.0 can read all 1 assets" in err
    assert "nothing asks for a password" in err


def test_what_cannot_be_served_is_refused(bench: Workbench, tmp_path: Path) -> None:
    assert geobatch("serve", tmp_path / "none").code == 10
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = geobatch("serve", bench.store, "--port", port)
    assert done.code == 64
    assert f"cannot listen on `127.0.0.1`, port {port}" in done.err
    done = geobatch("serve", bench.store, "--host", "no.such.host.invalid")
    assert done.code == 64
    assert geobatch("serve", bench.store, "--port", "70000").code == 64
    assert geobatch("serve", bench.store, "--plan", tmp_path / "a.tif").code == 1


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
@pytest.mark.parametrize("command", [["serve"], ["site", "out"]])
def test_what_is_missing_is_named(bench: Workbench, name: str, command: list[str]) -> None:
    """In a process in which the library cannot be found, as without the extra."""
    code = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {name!r}:
            raise ModuleNotFoundError(name)
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda one: None if one == {name!r} else find(one)
sys.meta_path.insert(0, Missing())
from geobatch.cli.main import run
sys.exit(run({[*command, "--store", str(bench.store)]!r}))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60,
        cwd=bench.folder,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert "requires starlette and uvicorn" in done.stderr
    assert "install" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.attack
def test_100_clients_never_see_two_commits_in_one_answer(bench: Workbench) -> None:
    """While commits are published, each answer is of the commit that its header names."""
    values: dict[str, int] = {}
    process, line = started(bench.store, "-q")
    port = int(str(re.search(r":(\d+)/", line)[1]))  # type: ignore[index]
    seen: list[tuple[str, int]] = []
    is_over = threading.Event()

    def client() -> None:
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        while not is_over.is_set():
            link.request("GET", "/native/a/0/0/0.png?rescale=0,255")
            answer = link.getresponse()
            body = answer.read()
            assert answer.status == 200
            shown = np.unique(png(body)[:64, :64, 0])
            assert shown.size == 1, "one answer shows two commits"
            seen.append((str(answer.headers["X-Geobatch-Commit"]), int(shown[0])))
        link.close()

    try:
        with ThreadPoolExecutor(100) as pool:
            clients = [pool.submit(client) for _ in range(100)]
            for value in (40, 80, 120, 160):
                write_tiff(bench.folder / "a.tif", [np.full((64, 64), value, np.uint8)])
                done = bench.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
                values[str(done.commit)] = value
                time.sleep(2)
            is_over.set()
            for one in clients:
                one.result()
        text = Path(f"/proc/{process.pid}/status").read_text()
        peak = int(re.findall(r"VmHWM:\s+(\d+)", text)[0]) // 1024
    finally:
        is_over.set()
        process.terminate()
        process.communicate(timeout=30)
    assert set(values) <= {commit for commit, _ in seen}
    for commit, shown in seen:
        assert shown == values.get(commit, 1)
    assert peak < 400, f"{peak} MB"
