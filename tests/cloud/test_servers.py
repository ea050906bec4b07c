"""The servers that tests of buckets run on do what real ones do, and stop when they should."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote

import obstore
import pytest
from attachment import ServerError, running
from buckets import Before, Enter
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PermissionDeniedError,
    PreconditionError,
)
from proxy import Fault, Request, proxying
from servers import HERE, Bucket, Server

DATA = bytes(range(256)) * 1000


def test_bytes_come_back_whole_and_by_ranges(bucket: Bucket) -> None:
    store = bucket.store()
    for name, data in (("empty", b""), ("a/b c+%/ä", b"x"), ("long", DATA * 50)):
        store.put(name, data)
        assert bytes(store.get(name).bytes()) == data
        assert store.head(name)["size"] == len(data)
    assert bytes(store.get_range("long", start=100, length=1000)) == DATA[100:1100]
    ranges = store.get_ranges("long", starts=[0, 5_000_000], lengths=[10, 256])
    assert [bytes(part) for part in ranges] == [
        (DATA * 50)[:10],
        (DATA * 50)[5_000_000:5_000_256],
    ]
    with pytest.raises(FileNotFoundError):
        store.get("nothing")
    with pytest.raises(FileNotFoundError):
        store.head("nothing")


def test_of_those_who_create_a_name_one_wins(bucket: Bucket) -> None:
    store = bucket.store(retries=10)

    def create(name: str, racer: int, start: threading.Barrier) -> bytes | None:
        data = b"racer %d" % racer
        start.wait()
        try:
            store.put(name, data, mode="create")
        except AlreadyExistsError:
            return None
        return data

    with ThreadPoolExecutor(8) as pool:
        # SeaweedFS takes 2 s for a name that several want at once.
        for number in range(3):
            start = threading.Barrier(8)
            done = [pool.submit(create, f"refs/{number}", racer, start) for racer in range(8)]
            winners = [data for data in (one.result() for one in done) if data is not None]
            assert winners == [bytes(store.get(f"refs/{number}").bytes())]


def test_a_state_is_pinned_by_its_tag(bucket: Bucket) -> None:
    store = bucket.store()
    first = store.put("a", b"one")["e_tag"]
    assert first == store.head("a")["e_tag"]
    second = store.put("a", b"two!")["e_tag"]
    assert first != second
    assert bytes(store.get("a", options={"if_match": second}).bytes()) == b"two!"
    with pytest.raises(PreconditionError):
        store.get("a", options={"if_match": first})


def test_a_generation_is_a_state(gs: Bucket) -> None:
    store = gs.store()
    first, second = (store.put("a", data)["version"] for data in (b"one", b"two"))
    assert bytes(store.get("a", options={"version": second}).bytes()) == b"two"
    with pytest.raises(FileNotFoundError):
        store.get("a", options={"version": first})
    listed = [one for page in store.list() for one in page]
    assert [one["e_tag"] for one in listed] == [store.head("a")["e_tag"]]


def test_lists_come_in_pages(bucket: Bucket, before: Before) -> None:
    proxy, there = before(bucket)
    names = [*(f"tiles/{number:04}/a" for number in range(1005)), "tilesets/a"]
    store = bucket.store()

    def put(name: str) -> None:
        try:
            store.put(name, name.encode())
        except GenericError:  # the server may close a connection just before it is used again
            store.put(name, name.encode())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(put, names))
    listed = [one["path"] for page in there.store().list() for one in page]
    assert len(listed) == 1006
    assert set(listed) == set(names)
    assert proxy.counts() in ({"LIST": 2}, {"LIST": 1})
    below = [one["path"] for page in there.store().list("tiles") for one in page]
    assert len(below) == 1005
    assert set(below) == set(names[:-1])
    assert there.store().list_with_delimiter()["common_prefixes"] == ["tiles", "tilesets"]
    after = {one["path"] for page in there.store().list(offset=names[1000]) for one in page}
    # Azurite ignores where a listing begins.
    assert after == set(names if bucket.kind == "az" else names[1001:])


def test_what_is_deleted_is_gone(bucket: Bucket) -> None:
    store = bucket.store()
    names = [f"a/{number}" for number in range(20)]
    for name in names:
        store.put(name, b"x")
    store.delete(names[:19])
    assert [one["path"] for page in store.list() for one in page] == names[19:]
    store.delete(names[19])
    store.put(names[19], b"y", mode="create")


def test_a_copy_is_made_by_the_server(bucket: Bucket, before: Before) -> None:
    proxy, there = before(bucket)
    store = there.store()
    store.put("a", DATA)
    proxy.forget()
    store.copy("a", "b/c d")
    assert "GET" not in proxy.counts()
    assert bytes(store.get("b/c d").bytes()) == DATA


def test_two_buckets_know_nothing_of_each_other(
    bucket: Bucket, servers: Callable[[str], Server]
) -> None:
    other = servers(bucket.kind).bucket()
    bucket.store().put("a", b"x")
    assert list(other.store().list()) == []


def test_the_environment_alone_leads_to_the_server(bucket: Bucket, enter: Enter) -> None:
    program = "import sys, obstore.store as s; s.from_url(sys.argv[1]).put('a', b'from afar')"
    subprocess.run(
        [sys.executable, "-c", program, bucket.url], env=bucket.process_environment, check=True
    )
    enter(bucket)
    here = obstore.store.from_url(bucket.url)
    assert bytes(here.get("a").bytes()) == b"from afar" == bytes(bucket.store().get("a").bytes())


def test_wrong_keys_open_nothing(bucket: Bucket, enter: Enter) -> None:
    if bucket.kind == "gs":
        pytest.skip("fake-gcs-server opens to everyone")
    enter(bucket)
    os.environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    os.environ["AZURE_STORAGE_ACCOUNT_KEY"] = "d3Jvbmc="
    with pytest.raises(PermissionDeniedError):
        obstore.store.from_url(bucket.url).put("a", b"x")


@pytest.mark.parametrize("how", ["drop", 503, 409])
def test_an_answer_is_lost_after_the_server_acted(
    bucket: Bucket, before: Before, how: str | int
) -> None:
    proxy, there = before(bucket)
    fault = proxy.add(Fault(how=how, only=lambda one: one.is_create, skip=1))  # type: ignore[arg-type]
    there.store().put("first", b"x", mode="create")
    with pytest.raises(BaseError):
        there.store().put("second", b"x", mode="create")
    there.store().put("third", b"x", mode="create")
    assert [unquote(one.target).rpartition("/")[2] for one in fault.met] == ["second"]
    assert {one.status // 100 for one in fault.met} == {2}
    assert bytes(bucket.store().get("second").bytes()) == b"x"
    assert proxy.counts() == {"PUT": 3}


def test_a_request_never_comes_to_the_server(bucket: Bucket, before: Before) -> None:
    proxy, there = before(bucket)
    fault = proxy.add(Fault(how=503, times=2, is_done=False))
    there.store(retries=3).put("a", b"x", mode="create")
    assert [one.status for one in fault.met] == [0, 0]
    assert proxy.counts() == {"PUT": 3}


def test_an_answer_is_cut(bucket: Bucket, before: Before) -> None:
    proxy, there = before(bucket)
    bucket.store().put("a", DATA)
    proxy.add(Fault(how="cut"))
    with pytest.raises((BaseError, OSError)):
        there.store().get("a").bytes()
    assert bytes(there.store().get("a").bytes()) == DATA


def test_a_proxy_is_slow_and_counts(bucket: Bucket, before: Before) -> None:
    proxy, there = before(bucket, latency=0.03)
    store = there.store()
    began = time.monotonic()
    store.put("a", DATA)
    assert 0.06 <= time.monotonic() - began < 5
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: bytes(store.get("a").bytes()), range(8)))
    assert got == [DATA] * 8
    assert 1 < proxy.most_in_flight <= 8
    store.head("a")
    store.delete("a")
    list(store.list())
    assert proxy.counts() == {"PUT": 1, "GET": 8, "HEAD": 1, "LIST": 1} | proxy.counts()
    assert len(proxy.requests) == 12


def test_who_ignores_conditions_lets_everyone_win(heedless: Bucket) -> None:
    store = heedless.store()
    store.put("a", b"one", mode="create")
    store.put("a", b"second", mode="create")
    assert bytes(store.get("a").bytes()) == b"second"
    assert bytes(store.get_range("a", start=1, end=3)) == b"ec"
    assert [one["path"] for page in store.list() for one in page] == ["a"]
    assert store.head("a")["size"] == 6
    store.get("a", options={"if_match": '"another"'})
    store.put("b", b"")
    store.delete(["a", "b"])
    assert [one["path"] for page in store.list() for one in page] == []
    with pytest.raises(FileNotFoundError):
        store.get("a")


def test_a_proxy_needs_no_server_installed() -> None:
    with proxying(1) as proxy:
        request = Request(method="GET", target="/b?list-type=2&prefix=a", is_conditional=False)
        proxy.requests.append(request)
        assert proxy.counts() == {"LIST": 1}
        assert not request.is_create


def _is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def _await_end(pid: int) -> None:
    end = time.monotonic() + 20
    while _is_running(pid):
        assert time.monotonic() < end, f"{pid} is still running"
        time.sleep(0.01)


_SERVER = (
    "import os, pathlib, time; pathlib.Path('pid').write_text(f'{os.getpid()}\\n'); time.sleep(600)"
)
_SESSION = f"""
import sys, pathlib
sys.path.insert(0, {str(HERE)!r})
from attachment import running
here = pathlib.Path(sys.argv[1])
up = lambda: (here / "pid").exists() and (here / "pid").read_text().endswith("\\n")
with running((sys.executable, "-c", {_SERVER!r}), folder=here, is_up=up):
    print("up", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("ends", ["by itself", "killed"])
def test_a_server_ends_with_the_session(tmp_path: Path, ends: str) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", _SESSION, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert session.stdout is not None
    assert session.stdout.readline() == b"up\n"
    pid = int((tmp_path / "pid").read_text())
    assert _is_running(pid)
    if ends == "killed":
        session.send_signal(signal.SIGKILL)
    session.communicate()
    _await_end(pid)


def test_a_server_that_does_not_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = (sys.executable, "-c", "raise SystemExit('the port is taken')")
    with (
        pytest.raises(ServerError, match=r"(?s)ended; it printed.*the port is taken"),
        running(failing, folder=tmp_path, is_up=lambda: False),
    ):
        pass
    monkeypatch.setattr("attachment.MOST_SECONDS", 0.2)
    silent = (sys.executable, "-c", "import time; time.sleep(600)")
    with (
        pytest.raises(ServerError, match="did not answer in"),
        running(silent, folder=tmp_path, is_up=lambda: False),
    ):
        pass


def test_only_the_names_of_packages_are_kept() -> None:
    """A lock file would record addresses of an index."""
    assert not (HERE / "package-lock.json").exists()
    assert set(json.loads((HERE / "package.json").read_text())["devDependencies"]) == {"azurite"}
