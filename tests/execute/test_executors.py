"""Executors: whatever runs the tasks, in whatever order, the store is the same, bit for bit."""

from __future__ import annotations

import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from listener import Listener
from msgspec import Struct
from shell import environment
from shuffling import ShuffledTasks, ShufflingExecutor
from workbench import Document, Workbench, image, write_tiff

from geobatch.errors import InternalError, InterruptedRunError, SourceError
from geobatch.execute import Executor, TaskContext, passes
from geobatch.execute.executors.choice import shares_of
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.executors.serial import SerialExecutor, run
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import RecodeTask, RegionTask, Task, TaskResult
from geobatch.model.digest import Digest
from geobatch.processes import pool
from geobatch.processes.pool import Pool
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

SPECS = Path(__file__).parents[2] / "specs"


class RecordingExecutor(Struct, frozen=True):
    """Runs one task after the other, and keeps each with its result, and what they name."""

    tasks: list[tuple[Task, TaskResult]]
    inputs: dict[Digest, bytes]

    def start(self, context: TaskContext) -> RecordedTasks:
        return RecordedTasks(context, self)


class RecordedTasks(ShuffledTasks):
    """The tasks of one run."""

    def __init__(self, context: TaskContext, into: RecordingExecutor) -> None:
        super().__init__(context, random.Random(0), 1)
        self._into = into

    def completed(self) -> Sequence[Outcome]:
        number, task = self._waiting.pop()
        for digest in task.inputs:
            self._into.inputs[digest] = self._context.inputs.packed(digest)
        outcome = run(number, task, self._context)
        if outcome.result is not None:
            self._into.tasks.append((task, outcome.result))
        return [outcome]


EXECUTORS = [
    pytest.param(SerialExecutor(), id="serial"),
    pytest.param(ThreadExecutor(1), id="1 thread", marks=pytest.mark.attack),
    pytest.param(ThreadExecutor(3), id="3 threads"),
    pytest.param(ProcessExecutor(1), id="1 process", marks=pytest.mark.attack),
    pytest.param(ProcessExecutor(3), id="3 processes"),
    pytest.param(ShufflingExecutor(1), id="shuffled"),
    pytest.param(ShufflingExecutor(2, held=40), id="shuffled, many held", marks=pytest.mark.attack),
]
executors = pytest.mark.parametrize("executor", EXECUTORS)


@pytest.fixture(autouse=True)
def _small_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several regions and passes for each asset, and other processes run what they can."""
    monkeypatch.setattr(passes, "REGION_PIXELS", 64)
    monkeypatch.setattr(Pool, "_take", take_kept)


def take_kept(pool: Pool[Any, Any]) -> Any:
    return pool._kept.popleft() if pool._kept else None


def state(store: Path) -> tuple[str, set[str]]:
    """Return what is published, and the names of all objects except commits."""
    with closing(TileStore.open(store)) as opened:
        head = opened.head()
    names = {path.parent.name + path.name for path in store.glob("objects/*/*")}
    assert head.commit is not None
    commits = {head.digest, head.commit.parent}
    return repr(head.tree), {name for name in names if name not in commits}


# --- the examples ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, tuple[str, set[str]]]:
    store = tmp_path_factory.mktemp("examples") / "store"
    root = apply([SPECS], store=store).content_root
    return root, state(store)


@executors
def test_the_examples_are_the_same_with_any_executor(
    tmp_path: Path, executor: Executor, examples: tuple[str, Any], started: list[Any]
) -> None:
    store = tmp_path / "store"
    found = apply([SPECS], store=store, executor=executor)
    assert (found.content_root, state(store)) == examples
    # Two for the images, and two for the table.
    assert len(started) == (4 if executor == ProcessExecutor(3) else 0)
    assert plan([SPECS], store=store).is_empty


ELSEWHERE = """
import pickle, sys
from contextlib import closing
from pathlib import Path
from geobatch.execute import TaskContext
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.runner import run_task
from geobatch.sources.reader import Sources
from geobatch.store.caches.cache import SourceCache
from geobatch.model.digest import Digest
from geobatch.processes import pool
from geobatch.processes.pool import Pool
from geobatch.store.tilestore import TileStore

store, folder = Path(sys.argv[1]), Path(sys.argv[2])
packed, tasks = pickle.load(sys.stdin.buffer)
with closing(TileStore.open(store)) as opened, SourceCache(folder) as cache:
    with Sources(folder=folder, cache=cache) as reader:
        inputs = Inputs(packed.__getitem__)
        context = TaskContext(
            objects=opened.objects, index=opened.index, reader=reader, inputs=inputs
        )
        results = [run_task(task, context) for task in tasks]
pickle.dump(results, sys.stdout.buffer)
"""


MOST_SENT = 1536
MOST_RETURNED = 8192
"""Bytes of a pickled task, and of its result."""


def recorded(store: Path, *specs: Path) -> RecordingExecutor:
    """Apply specs; return the tasks, each of which is small."""
    recording = RecordingExecutor([], {})
    apply(specs, store=store, executor=recording)
    for task, result in recording.tasks:
        assert len(pickle.dumps(task)) <= MOST_SENT, task
        assert len(pickle.dumps(result)) <= MOST_RETURNED, task
    return recording


def test_tasks_of_the_examples_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With regions of the real size: new images, changed pixels, and another codec."""
    monkeypatch.setattr(passes, "REGION_PIXELS", 2048)
    shutil.copytree(SPECS, tmp_path / "specs")
    specs = [tmp_path / "specs" / f"{name}.yaml" for name in ("orthophoto", "elevation", "optical")]
    assert len(recorded(tmp_path / "store", *specs).tasks) >= 4
    for path in sorted((tmp_path / "specs").rglob("*.tif")):
        with rasterio.open(path, "r+") as file:
            pixels = file.read(1)
            pixels[5:9, 5:9] = pixels[100:104, 100:104] + 1
            file.write(pixels, 1)
    regions = recorded(tmp_path / "store", *specs).tasks
    assert any(task.roots is not None for task, _ in regions if isinstance(task, RegionTask))
    for spec in specs:
        text = spec.read_text() + "\ncodec: {name: blosc, level: 7}\n"
        spec.write_text(text)
    tasks = recorded(tmp_path / "store", *specs).tasks
    assert all(isinstance(task, RecodeTask) for task, _ in tasks)


def test_equal_inputs_are_kept_as_long_as_one_task_names_them(bench: Workbench) -> None:
    """Two images of the same pixels have equal index roots, and may be finished one by one."""
    twins = [image(f"twin/{name}", "a.tif", tile=64) for name in "ab"]
    apply([bench.write_spec(twins)], store=bench.store, executor=ShufflingExecutor(4, held=3))
    with closing(TileStore.open(bench.store)) as opened:
        one, other = (opened.record(entry) for entry in opened.head().tree.entries)
    assert dict(one.arrays) == dict(other.arrays)
    inputs = Inputs()
    digest = inputs.add(one.image)
    assert inputs.add(one.image) == digest
    inputs.forget(digest)
    assert inputs.asset(digest) == one.asset
    inputs.forget(digest)
    with pytest.raises(InternalError, match=digest):
        inputs.asset(digest)


def test_an_input_that_is_not_what_it_should_be_is_refused(bench: Workbench) -> None:
    recording = recorded(bench.store, bench.write_spec(documents()[:1]))
    digest, packed = next(iter(recording.inputs.items()))
    assert Inputs(lambda _: packed).asset(digest).id == "plain"
    for wrong in (b"", packed[:-1], pickle.dumps(None)):
        with pytest.raises(InternalError, match=digest):
            Inputs(lambda _, wrong=wrong: wrong).asset(digest)  # type: ignore[misc]


def test_every_task_of_the_examples_runs_in_another_interpreter(tmp_path: Path) -> None:
    store = tmp_path / "store"
    recording = recorded(store, SPECS)
    tasks = recording.tasks
    assert len(tasks) > 50
    regions = [task for task, _ in tasks if isinstance(task, RegionTask)]
    names = {pickle.loads(recording.inputs[task.asset]).id for task in regions}
    assert names >= {"island/elevation", "island/orthophoto", "island/predictions"}
    assert {task.region.level > 0 for task in regions} == {False, True}
    assert len({task.key for task in regions}) == len(regions)
    (tmp_path / "elsewhere").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, store, tmp_path / "elsewhere"],
        input=pickle.dumps((recording.inputs, [task for task, _ in tasks])),
        stdout=subprocess.PIPE, check=True, env=environment(),
    )  # fmt: skip
    for (task, expected), found in zip(tasks, pickle.loads(done.stdout), strict=True):
        assert pickle.loads(pickle.dumps(task)) == task
        assert seen(found) == seen(expected)
        assert found.written == 0, "the objects were there"


def seen(result: TaskResult) -> tuple[Any, ...]:
    """Return what does not depend on which objects were there before."""
    return (
        result.entries, result.removed, result.changed, result.tiles, result.empty, result.peaks,
    )  # fmt: skip


# --- changes --------------------------------------------------------------------------------------


CODEC = {"codec": {"name": "blosc", "level": 7}}


def documents(**codec: Any) -> list[Document]:
    masked = {"id": "m", "sources": [{"uris": ["m.tif"]}]}
    return [
        image("plain", "a.tif", "b.tif", tile=64),
        {**image("masked", "a.tif", tile=64, more_tilesets=[masked],
                 mask_bands=[{"tileset_id": "m"}]), **codec},
        *(image(f"small/s{number}", f"s{number}.tif") for number in range(9)),
    ]  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return write_rasters(tmp_path)


def write_rasters(folder: Path) -> Workbench:
    rng = np.random.default_rng(5)

    def values(height: int, width: int) -> Any:
        return rng.integers(0, 4, (height, width)).astype(np.uint8)

    bench = Workbench(folder=folder)
    write_tiff(folder / "a.tif", [values(300, 200)], nodata=0)
    write_tiff(folder / "b.tif", [values(300, 200)], nodata=0, col=190)
    write_tiff(folder / "m.tif", [values(300, 200)])
    for number in range(9):
        write_tiff(folder / f"s{number}.tif", [values(40 + number, 50)], nodata=0)
    return bench


def apply_twice(bench: Workbench, executor: Executor) -> list[tuple[str, set[str]]]:
    """Apply all; then pixels of two images that differ, and a codec of a third."""
    apply([bench.write_spec(documents())], store=bench.store, executor=executor)
    states = [state(bench.store)]
    pixels = np.random.default_rng(6).integers(0, 4, (300, 200)).astype(np.uint8)
    write_tiff(bench.folder / "b.tif", [pixels], nodata=0, col=190)
    write_tiff(bench.folder / "s3.tif", [pixels[:43, :50]], nodata=0)
    apply([bench.write_spec(documents(**CODEC))], store=bench.store, executor=executor)
    return [*states, state(bench.store)]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, set[str]]]:
    return apply_twice(write_rasters(tmp_path_factory.mktemp("expected")), SerialExecutor())


@executors
def test_changes_are_the_same_with_any_executor(
    bench: Workbench, executor: Executor, expected: Any, started: list[Any]
) -> None:
    assert apply_twice(bench, executor) == expected
    assert len(started) == (4 if executor == ProcessExecutor(3) else 0)


def test_codecs_change_by_tasks(bench: Workbench) -> None:
    apply([bench.write_spec(documents())], store=bench.store)
    tasks = recorded(bench.store, bench.write_spec(documents(**CODEC))).tasks
    assert tasks
    for task, result in tasks:
        assert isinstance(task, RecodeTask)
        assert pickle.loads(pickle.dumps(task)) == task
        assert task.is_portable
        assert result.tiles == task.box.height * task.box.width
        stored = [tile[:2] for tile in result.entries.get(task.array, [])]
        assert set(stored) <= set(task.box)
        assert len(stored) == result.tiles - result.empty


class Submissions(Struct, frozen=True):
    """Notes when the first task is submitted."""

    into: list[str]

    def start(self, context: TaskContext) -> ShuffledTasks:
        running = ShuffledTasks(context, random.Random(0), 2)
        submit = running.submit

        def noted(number: int, task: Task) -> None:
            self.into.append("submitted")
            submit(number, task)

        running.submit = noted  # type: ignore[method-assign]
        return running


def test_tasks_run_while_finished_images_are_taken_in(bench: Workbench) -> None:
    """They are many after a run that was killed: nobody waits until they are all checked."""
    spec = bench.write_spec(documents()[2:])

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        apply(
            [spec], store=bench.store, executor=SerialExecutor(), observer=Listener(14, interrupt)
        )
    listener = Listener(-1, lambda: None)
    found = apply(
        [spec], store=bench.store, executor=Submissions(listener.events), observer=listener
    )
    assert found.tiles.reused >= 4
    assert listener.events[1] == "submitted"
    finished = [event for event in listener.events if event.endswith(" finished")]
    assert len(finished) == len(set(finished)) == 9


# --- failures -------------------------------------------------------------------------------------


@executors
def test_a_source_that_fails_is_named_by_any_executor(bench: Workbench, executor: Executor) -> None:
    write_tiff(bench.folder / "s2.tif", [np.arange(90_000, dtype="uint16").reshape(300, 300)],
               layout={"compress": "deflate"})  # fmt: skip
    data = bytearray((bench.folder / "s2.tif").read_bytes())
    data[400:500] = bytes(100)
    (bench.folder / "s2.tif").write_bytes(data)
    spec = bench.write_spec(documents()[-9:])
    with pytest.raises(SourceError, match=r"s2\.tif"):
        apply([spec], store=bench.store, executor=executor)
    found = apply([spec], store=bench.store, executor=executor, keep_going=True)
    assert [failure.id for failure in found.failures] == ["small/s2"]
    with closing(TileStore.open(bench.store)) as opened:
        assert len(opened.head().tree.entries) == 8


def test_an_unexpected_error_is_raised(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("geobatch.execute.tasks.runner.compute_region", fail)
    for executor in (SerialExecutor(), ThreadExecutor(2), ShufflingExecutor(3)):
        with pytest.raises(InternalError, match="a defect"):
            apply([bench.write_spec(documents())], store=bench.store, executor=executor)


def fail(*_: Any, **__: Any) -> Iterator[None]:
    raise InternalError("a defect")


def test_a_store_elsewhere_than_on_a_disk_is_computed_on_threads(
    bench: Workbench, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "can_start", lambda: False)
    apply([bench.write_spec(documents())], store=bench.store, executor=ProcessExecutor(3))
    assert not started


def test_what_suits_a_plan_covers_each_change_once(bench: Workbench) -> None:
    changes = plan([bench.write_spec(documents())], store=bench.store).changes
    many = [one for one in changes if one.id.startswith("small/")] * 80
    for workers, kinds in ((1, [ThreadExecutor]), (4, [ProcessExecutor, ThreadExecutor])):
        shares = shares_of([*changes, *many], workers=workers)
        assert [type(executor) for executor, _ in shares] == kinds
        assert sum(len(share) for _, share in shares) == len(changes) + len(many)
    assert shares[0][0] == ProcessExecutor(3), "one other process for 300 images"
    assert [type(executor) for executor, _ in shares_of(changes, workers=4)] == [ThreadExecutor]
