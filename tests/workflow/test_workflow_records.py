"""TFRecord assets change tile by tile, survive what kills a run, and refuse what is not whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from listener import Listener
from record_workbench import Export, Pixels, example, feature, numbered, write_shard
from shell import command, environment, geobatch
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import InterruptedRunError, SourceError
from geobatch.model.plans.plan import Op, Options
from geobatch.model.plans.summary import ApplySummary
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

PATCH, ROWS, COLS = 32, 4, 5
TILE = 16


def bands(seed: int = 0, names: str = "ab") -> dict[str, Pixels]:
    rng = np.random.default_rng(seed)
    shape = (ROWS * PATCH, COLS * PATCH)
    return {name: rng.integers(0, 99, shape).astype(np.float32) for name in names}


def spec(*, names: str = "ab", **more: Any) -> dict[str, Any]:
    source = {"uris": ["pred-*.tfrecord*", "pred-mixer.json"]}
    return image(
        "x", tileset={"sources": [source]}, tile=TILE,
        bands=[{"id": name, "feature": name} for name in names], **more,
    )  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """An export of four shards with five records each, applied."""
    Export(bands=bands(), patch=(PATCH, PATCH)).write(tmp_path, splits=[5, 10, 15])
    bench = Workbench(folder=tmp_path)
    bench.apply(spec())
    return bench


def clean(bench: Workbench, *specs: dict[str, Any]) -> str:
    """Return the content root of a store that is made anew."""
    path = bench.write_spec(specs or [spec()], "clean.yaml")
    store = bench.folder / "clean"
    shutil.rmtree(store, ignore_errors=True)
    return apply([path], store=store).content_root


def planned(bench: Workbench, document: dict[str, Any] | None = None) -> Any:
    made = plan([bench.write_spec([document or spec()])], store=bench.store)
    return made.changes[0]


def test_one_changed_record_redoes_its_tiles_and_reads_its_shard(bench: Workbench) -> None:
    changed = bands()
    changed["b"][2 * PATCH + 3, 3 * PATCH + 4] = -5  # record 13, in the third shard
    shards = Export(bands=changed, patch=(PATCH, PATCH)).write(bench.folder, splits=[5, 10, 15])
    change = planned(bench)
    assert "(1 of 20 blocks)" in change.because[0].detail
    side = PATCH // TILE
    tiles = {(2 * side + row, 3 * side + col) for row in range(side) for col in range(side)}
    assert all(set(work.tiles) == tiles for work in change.work)
    summary = bench.apply(spec())
    assert summary.tiles.written == 1  # the other three, and those of band `a`, came out equal
    assert summary.bytes.read == shards[2].stat().st_size
    assert summary.content_root == clean(bench)
    assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty


def test_another_split_of_the_same_records_is_no_work(bench: Workbench) -> None:
    before = clean(bench)
    export = Export(bands=bands(), patch=(PATCH, PATCH))
    export.write(bench.folder, splits=[1, 1, 17], compression="ZLIB")
    change = planned(bench)
    assert change.op is Op.UPDATE
    assert change.tiles.compute == 0
    summary = bench.apply(spec())
    assert (summary.tiles.written, summary.bytes.read) == (0, 0)
    assert summary.content_root == before


def test_back_to_an_earlier_export_is_no_work(bench: Workbench) -> None:
    first = clean(bench)
    other = Export(bands=bands(1), patch=(PATCH, PATCH))
    other.write(bench.folder)
    assert bench.apply(spec()).content_root != first
    Export(bands=bands(), patch=(PATCH, PATCH)).write(bench.folder, splits=[5, 10, 15])
    change = planned(bench)
    assert change.tiles.compute == 0
    assert bench.apply(spec()).content_root == first


def test_a_feature_more_leaves_the_bands_alone(bench: Workbench) -> None:
    shutil.rmtree(bench.store)
    bench.apply(spec(names="a"))
    change = planned(bench, spec(names="ba"))
    assert [work.band for work in change.work] == ["b"]
    assert [name for name, _ in change.carried] == ["a"]
    assert bench.apply(spec(names="ba")).content_root == clean(bench, spec(names="ba"))


def test_another_policy_reads_no_shard(bench: Workbench) -> None:
    summary = bench.apply(spec(pyramiding_policy="MAX"))
    assert summary.bytes.read == 0
    assert summary.content_root == clean(bench, spec(pyramiding_policy="MAX"))


def change_a_record(state: dict[str, Any], number: int) -> None:
    band = state["bands"]["ab"[number % 2]]
    band[number % band.shape[0], (number * 7) % band.shape[1]] += 1


def split(state: dict[str, Any], number: int) -> None:
    state["splits"] = sorted({number % 20, number * 3 % 20, number * 7 % 20})


def recompress(state: dict[str, Any], number: int) -> None:
    state["compression"] = ["", "GZIP", "ZLIB"][number % 3]


def widen(state: dict[str, Any], number: int) -> None:
    state["kernel"] = [(0, 0), (4, 4), (3, 1)][number % 3]


def choose(state: dict[str, Any], number: int) -> None:
    state["spec"]["names"] = ["a", "b", "ab", "ba"][number % 4]


def mask(state: dict[str, Any], number: int) -> None:
    state["spec"]["missing_data"] = {"values": [number % 3]}


def forget(state: dict[str, Any], number: int) -> None:
    shutil.rmtree(state["bench"].store / "cache", ignore_errors=True)


EDITS = (change_a_record, change_a_record, split, recompress, widen, choose, mask, forget)


@settings(max_examples=examples(4, 12), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    steps=st.lists(
        st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 500)), min_size=1, max_size=3),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_any_history_of_edits_ends_as_a_clean_build(
    steps: list[list[tuple[Callable[[dict[str, Any], int], None], int]]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    bench = Workbench(folder=tmp_path_factory.mktemp("history"))
    state: dict[str, Any] = {
        "bench": bench, "bands": bands(), "splits": [7], "compression": "GZIP", "kernel": (0, 0),
        "spec": {},
    }  # fmt: skip
    for step in [[], *steps]:
        for edit, number in step:
            edit(state, number)
        kernel = state["kernel"]
        export = Export(bands=state["bands"], patch=(PATCH, PATCH), kernel=kernel)
        export.write(bench.folder, splits=state["splits"], compression=state["compression"])
        document = spec(**state["spec"])
        document["tilesets"][0]["tfrecord"] = {"kernel_size": [kernel[1], kernel[0]]}
        summary = bench.apply(document)
        assert plan([bench.folder / "spec.yaml"], store=bench.store).is_empty
    assert summary.content_root == clean(bench, document)


def records(folder: Path) -> list[bytes]:
    return Export(bands=bands(), patch=(PATCH, PATCH)).records()


def one_less(folder: Path) -> str:
    write(folder, records(folder)[:-1])
    return "`pred-mixer.json`: expected 20 records, got 19; the last one is in `pred-00001"


def one_more(folder: Path) -> str:
    write(folder, [*records(folder), records(folder)[0]])
    where = "`pred-00001.tfrecord.gz`: record 10"
    return f"{where} is one more than the 20 expected by `pred-mixer.json`"


def another_length(folder: Path) -> str:
    bad = example({name: feature(np.zeros(PATCH * PATCH - 1), "float_list") for name in "ab"})
    write(folder, [*records(folder)[:12], bad, *records(folder)[13:]])
    return "`pred-00001.tfrecord.gz`: record 2: feature `a`: expected 1024 values, got 1023"


def another_name(folder: Path) -> str:
    bad = example({name: feature(np.zeros(PATCH * PATCH), "float_list") for name in ("a", "B")})
    write(folder, [*records(folder)[:12], bad, *records(folder)[13:]])
    found = "`pred-00001.tfrecord.gz`: record 2 has no feature `b`; it has `B`, `a`"
    return f"{found}\nhint: did you mean `B`?"


def first_of_another_length(folder: Path) -> str:
    bad = example({name: feature(np.zeros(36 * 36), "float_list") for name in "ab"})
    write(folder, [bad, *records(folder)[1:]])
    return "feature `a`: expected 1024 values (32 x 32), got 1296"


def damaged(folder: Path) -> str:
    path = write(folder, records(folder), "")[1]
    data = bytearray(path.read_bytes())
    data[5 * len(data) // 10 + 99] ^= 4
    path.write_bytes(data)
    return "`pred-00001.tfrecord`: record 5 cannot be read: corrupted record"


def truncated(folder: Path) -> str:
    path = write(folder, records(folder))[1]
    os.truncate(path, path.stat().st_size // 2)
    return "`pred-00001.tfrecord.gz`: the compressed file is incomplete: its end is missing"


def a_little_truncated(folder: Path) -> str:
    path = write(folder, records(folder))[1]
    os.truncate(path, path.stat().st_size - 2)
    return "`pred-00001.tfrecord.gz`: the compressed file is incomplete: its end is missing"


def no_mixer(folder: Path) -> str:
    write(folder, records(folder))
    (folder / "pred-mixer.json").write_text("{}")
    return "`pred-mixer.json`: the mixer has no `patchDimensions`"


def write(folder: Path, data: list[bytes], compression: str = "GZIP") -> list[Path]:
    export = Export(bands=bands(), patch=(PATCH, PATCH))
    return export.write(folder, splits=[10], records=data, compression=compression)


DEFECTS = (
    one_less, one_more, another_length, another_name, first_of_another_length, damaged, truncated,
    a_little_truncated, no_mixer,
)  # fmt: skip


@pytest.mark.parametrize("is_update", [False, True], ids=["new", "update"])
@pytest.mark.parametrize("defect", DEFECTS)
def test_what_is_not_whole_is_named_and_nothing_is_published(
    tmp_path: Path, defect: Callable[[Path], str], is_update: bool
) -> None:
    bench = Workbench(folder=tmp_path)
    if is_update:
        write(tmp_path, records(tmp_path))
        bench.apply(spec())
    before = head(bench)
    words = defect(tmp_path)
    path = bench.write_spec([spec()])
    for _ in range(2):  # what is remembered of the first attempt does not hide it in the second
        done = geobatch("--store", bench.store, "apply", path)
        assert done.code == 7, done
        assert words in done.err
        assert "hint:" in done.err
        assert head(bench) == before
    write_tiff(tmp_path / "o.tif", [numbered(8, 8)])
    bench.write_spec([spec(), image("other", "o.tif")])
    done = geobatch("--store", bench.store, "apply", "--keep-going", path)
    assert done.code == 3, done
    assert "other" in open_store(bench.store).assets()
    assert ("x" in open_store(bench.store).assets()) is is_update


def head(bench: Workbench) -> int:
    return TileStore.open(bench.store).head().number if bench.store.exists() else 0


def test_too_many_records_are_found_though_every_region_is_remembered(tmp_path: Path) -> None:
    """What was finished before a kill is recalled: the records behind the last tile are not."""
    bench = Workbench(folder=tmp_path)
    one_more(tmp_path)
    path = bench.write_spec([spec()])
    for _ in range(3):
        shutil.rmtree(bench.store / "cache" / "sources.sqlite", ignore_errors=True)
        with pytest.raises(SourceError, match="one more than the 20"):
            apply([path], store=bench.store)


@pytest.mark.parametrize("name", ["pred-00000.tfrecord.gz", "pred-mixer.json"])
@pytest.mark.parametrize("moment", [0, 1, -1])
def test_a_file_that_changes_meanwhile_stops_the_run(
    tmp_path: Path, name: str, moment: int
) -> None:
    write(tmp_path, records(tmp_path))
    bench = Workbench(folder=tmp_path)
    path = bench.write_spec([spec()])
    quiet = Listener(-1, lambda: None)
    apply([path], store=tmp_path / "other", observer=quiet)
    number = moment if moment >= 0 else len(quiet.events) - 1
    listener = Listener(number, lambda: os.utime(tmp_path / name))
    with pytest.raises(SourceError, match=f"`{name}`: changed while"):
        apply([path], store=bench.store, observer=listener)
    assert head(bench) == 0


def test_an_interruption_waits_for_no_patch(tmp_path: Path) -> None:
    write(tmp_path, records(tmp_path))
    bench = Workbench(folder=tmp_path)
    path = bench.write_spec([spec()])

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        apply([path], store=bench.store, observer=Listener(1, interrupt))
    assert head(bench) == 0
    assert apply([path], store=bench.store).content_root == clean(bench)


@pytest.mark.attack
def test_killed_and_run_again_it_ends_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.random((8 * 256, 12 * 256), dtype=np.float32)
    Export(bands={"p": pixels}, patch=(256, 256)).write(tmp_path, splits=[40, 70])
    bench = Workbench(folder=tmp_path)
    whole = image(
        "x", tileset={"sources": [{"uris": ["pred-*.tfrecord.gz", "pred-mixer.json"]}]}, tile=128
    )
    path = bench.write_spec([whole])
    running = subprocess.Popen(
        command("--store", bench.store, "apply", path), env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 120
    while sum(len(names) for _, _, names in os.walk(bench.store / "objects")) < 100:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < until
        time.sleep(0.005)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert head(bench) == 0
    summary = bench.apply(whole)
    assert summary.content_root == clean(bench, whole)
    assert [found.name for found in (bench.store / "runs").iterdir()] == ["zarr.lock"]


def run_alone(*argv: str | Path, **more: str) -> tuple[ApplySummary | int, str, str]:
    done = subprocess.run(
        command(*argv), env=environment(**more), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.attack
def test_nothing_of_tensorflow_is_heard(tmp_path: Path) -> None:
    write(tmp_path, records(tmp_path))
    bench = Workbench(folder=tmp_path)
    path = bench.write_spec([spec()])
    code, out, err = run_alone("--store", bench.store, "--json", "apply", path)
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()][-1] == {"type": "exit", "code": 0}
    assert err == ""


@pytest.mark.attack
def test_without_tensorflow_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    whole = {name: feature(np.arange(PATCH * PATCH), "int64_list") for name in "ab"}
    write(tmp_path, [example(whole)] * len(records(tmp_path)))
    write_tiff(tmp_path / "o.tif", [numbered(8, 8)])
    (tmp_path / "missing").mkdir()
    (tmp_path / "missing" / "tensorflow.py").write_text("raise ImportError('no such module')")
    bench = Workbench(folder=tmp_path)
    path = bench.write_spec([spec()])
    more = {"PYTHONPATH": str(tmp_path / "missing")}
    code, _, err = run_alone("--store", bench.store, "apply", path, **more)
    assert code == 7
    assert "pip install" in err
    assert "'tensorflow>=2.18'" in err
    assert "Traceback" not in err
    # What needs no TensorFlow does without it.
    assert run_alone("validate", path, **more)[0] == 0
    other = bench.write_spec([image("other", "o.tif")], "other.yaml")
    assert run_alone("--store", bench.store, "apply", other, **more)[0] == 0
    bench.apply(spec())
    code, out, _ = run_alone("--store", bench.store, "plan", path, "--detailed-exitcode", **more)
    assert code == 0, out
    # Records of floats need none.
    write(tmp_path, records(tmp_path))
    assert run_alone("--store", bench.store, "apply", path, **more)[0] == 0


@pytest.mark.parametrize("argv", [["plan"], ["plan", "--rehash"], ["status"]])
def test_what_stands_still_is_known_without_tensorflow(bench: Workbench, argv: list[str]) -> None:
    for path in bench.folder.glob("pred-*"):
        os.utime(path)
    argv = ["--store", str(bench.store), *argv, str(bench.folder / "spec.yaml")]
    code = (
        "import sys\n"
        "from geobatch.cli.main import run\n"
        f"assert run({argv!r}) == 0\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert "update" not in done.stdout.replace("0 update", "")


def test_replace_streams_an_export_again(bench: Workbench) -> None:
    options = Options(replace=("x",))
    summary = apply([bench.folder / "spec.yaml"], store=bench.store, options=options)
    size = sum(path.stat().st_size for path in bench.folder.glob("pred-*.tfrecord.gz"))
    assert summary.bytes.read == size


def descriptors() -> set[Path]:
    """Return what is open below the tests' folders, where the system tells."""
    found = Path("/proc/self/fd")
    links = [Path(os.path.realpath(path)) for path in found.iterdir()] if found.exists() else []
    return {path for path in links if "runs" in path.parts}


def test_nothing_is_left_of_what_was_put_aside(bench: Workbench) -> None:
    before = descriptors()
    write_shard(bench.folder / "pred-00000.tfrecord.gz", records(bench.folder)[:5][::-1])
    bench.apply(spec())
    assert descriptors() <= before
    assert [found.name for found in (bench.store / "runs").iterdir()] == ["zarr.lock"]
