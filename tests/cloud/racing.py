"""Processes that write to one bucket at the same instant; run as a program, this is one of them.

    racing.py create URL WHO NAMES RACERS   each racer creates each name; prints who won which
    racing.py publish URL WHO COMMITS       publishes versions 1 to COMMITS of the asset WHO

Each begins when it reads a line: the time of the start, in seconds of the system's clock.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from servers import Bucket

_PACE = 0.05
"""Seconds from one race to the next."""
_THREADS = 40
ORACLE = Path(__file__).parents[1] / "oracle"


def race(bucket: Bucket, jobs: Sequence[Sequence[str]], *, seconds: float) -> list[str]:
    """Run a job per process, all at once, and return what each printed.

    Args:
        bucket: Where they write.
        jobs: What to do, who does it, and the arguments that follow, for each process.
        seconds: How long they may take.
    """
    running = [
        subprocess.Popen(
            [sys.executable, __file__, what, bucket.url, *rest],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=bucket.process_environment,
        )
        for what, *rest in jobs
    ]  # fmt: skip
    try:
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n", one.communicate()[1]
        start = time.time() + 0.2
        for one in running:
            assert one.stdin is not None
            one.stdin.write(f"{start}\n")
            one.stdin.flush()
        ended = [one.communicate(timeout=seconds) for one in running]
    finally:
        for one in running:
            one.kill()
            one.communicate()
    assert [errors for _, errors in ended if errors] == []
    assert [one.returncode for one in running] == [0] * len(running)
    return [said for said, _ in ended]


def _create(url: str, who: str, names: str, racers: str) -> None:
    from geobatch.store.location import StoreLocation  # noqa: PLC0415 - only the program uses it

    backend = StoreLocation.of(url).open_backend()
    backend.size("nothing")  # what takes long at first is no part of the race
    start = _await_start()

    def create(number: int, racer: int) -> None:
        time.sleep(max(0.0, start + number * _PACE - time.time()))
        data = f"{who}-{racer}"
        if backend.create(f"races/{number}", data.encode()):
            _say(f"{number} {data}\n")

    # Some services let those who lose wait for seconds: the next race does not wait for them.
    with ThreadPoolExecutor(_THREADS) as pool:
        races = range(int(names))
        done = [pool.submit(create, n, racer) for n in races for racer in range(int(racers))]
    for one in done:
        one.result()


def _publish(url: str, who: str, commits: str) -> None:
    sys.path.insert(0, str(ORACLE))
    from gc_workbench import apply  # noqa: PLC0415 - as above

    from geobatch.store.location import StoreLocation  # noqa: PLC0415

    StoreLocation.of(url).open_backend().size("nothing")
    _await_start()
    for version in range(1, int(commits) + 1):
        apply(StoreLocation.of(url).open_backend(), version, (who,))


def _await_start() -> float:
    _say("ready\n")
    return float(sys.stdin.readline())


def _say(text: str) -> None:
    sys.stdout.write(text)  # in one piece, from any thread
    sys.stdout.flush()


if __name__ == "__main__":
    jobs: dict[str, Callable[..., None]] = {"create": _create, "publish": _publish}
    jobs[sys.argv[1]](*sys.argv[2:])
