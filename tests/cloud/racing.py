"""Processes that write to one bucket at the same instant; run as a program, this is one of them.

    racing.py create URL WHO NAMES THREADS   each thread creates each name; prints who won which
    racing.py publish URL WHO COMMITS        publishes versions 1 to COMMITS of the asset WHO

Each begins when it reads a line.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from servers import Bucket

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
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        ended = [one.communicate(timeout=seconds) for one in running]
    finally:
        for one in running:
            one.kill()
            one.communicate()
    assert [errors for _, errors in ended if errors] == []
    assert [one.returncode for one in running] == [0] * len(running)
    return [said for said, _ in ended]


def _create(url: str, who: str, names: str, threads: str) -> None:
    from geobatch.store.location import StoreLocation  # noqa: PLC0415 - only the program uses it

    backend = StoreLocation.of(url).open_backend()

    def create_all(thread: int) -> None:
        for number in range(int(names)):
            data = f"{who}-{thread}"
            if backend.create(f"races/{number}", data.encode()):
                _say(f"{number} {data}\n")

    backend.size("nothing")  # what takes long at first is no part of the race
    _await_start()
    with ThreadPoolExecutor(int(threads)) as pool:
        list(pool.map(create_all, range(int(threads))))


def _publish(url: str, who: str, commits: str) -> None:
    sys.path.insert(0, str(ORACLE))
    from gc_workbench import apply  # noqa: PLC0415 - as above

    from geobatch.store.location import StoreLocation  # noqa: PLC0415

    StoreLocation.of(url).open_backend().size("nothing")
    _await_start()
    for version in range(1, int(commits) + 1):
        apply(StoreLocation.of(url).open_backend(), version, (who,))


def _await_start() -> None:
    _say("ready\n")
    sys.stdin.readline()


def _say(text: str) -> None:
    sys.stdout.write(text)  # in one piece, from any thread
    sys.stdout.flush()


if __name__ == "__main__":
    jobs: dict[str, Callable[..., None]] = {"create": _create, "publish": _publish}
    jobs[sys.argv[1]](*sys.argv[2:])
