"""The Python door: what it offers, and that what it returns is verified and read-only."""

from __future__ import annotations

import inspect
import logging
import pickle
import re
import struct
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import rasterio
import zarr
from workbench import Workbench, image, write_tiff

import geobatch
from geobatch import errors
from geobatch.errors import CorruptObjectError, NoStoreError, NotFoundError
from geobatch.model.text.html import html_table


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    pixels = np.random.default_rng(2).integers(0, 900, (300, 280)).astype(np.int16)
    write_tiff(tmp_path / "a.tif", [pixels])
    write_tiff(tmp_path / "b.tif", [pixels[::-1].copy()])
    return Workbench(folder=tmp_path)


FUNCTIONS = {
    "plan": (
        "(paths: 'Paths', *, store: 'StoreText' = 'store', workers: 'int | None' = None,"
        " rehash: 'bool' = False, options: 'Options | None' = None) -> 'Plan'"
    ),
    "apply": (
        "(paths: 'Paths', *, store: 'StoreText' = 'store', workers: 'int | None' = None,"
        " observer: 'Observer | None' = None, rehash: 'bool' = False,"
        " options: 'Options | None' = None, keep_going: 'bool' = False, message: 'str' = '',"
        " expected: 'Plan | Rehearsed | None' = None, approve: 'Approve | None' = None,"
        " executor: 'Any' = None) -> 'ApplySummary'"
    ),
    "export": (
        "(asset: 'str', destination: 'str | os.PathLike[str]', *,"
        " format: \"Literal['cog', 'tfrecord', 'parquet', 'csv']\", store: 'StoreText' = 'store',"
        " at: 'str | int | None' = None, bands: 'Iterable[str]' = (), level: 'int' = 0,"
        " region: 'Bounds | None' = None, overwrite: 'bool' = False,"
        " workers: 'int | None' = None, file_dimensions: 'tuple[int, int] | None' = None,"
        " compression: \"Literal['zstd', 'deflate', 'lzw', 'none']\" = 'zstd',"
        " options: 'Mapping[str, Any] | None' = None, progress: 'Progress | None' = None)"
        " -> 'CogExport | TFRecordExport | TableExport'"
    ),
    "open_store": "(path: 'StoreText') -> 'Store'",
    "rehearse": (
        "(paths: 'Paths', *, store: 'StoreText' = 'store', workers: 'int | None' = None,"
        " observer: 'Observer | None' = None, rehash: 'bool' = False,"
        " options: 'Options | None' = None, executor: 'Any' = None,"
        " lifetime: 'timedelta' = datetime.timedelta(days=14), sample: 'float | None' = None)"
        " -> 'Rehearsed'"
    ),
    "verify": (
        "(assets: 'str | Iterable[str]' = (), *, store: 'StoreText' = 'store',"
        " at: 'str | int | None' = None, sample: 'float' = 1.0, seed: 'int' = 0,"
        " rehash: 'bool' = False, workers: 'int | None' = None, executor: 'Any' = None,"
        " against: 'StoreText | None' = None, progress: 'Progress | None' = None)"
        " -> 'Verification | StoreComparison'"
    ),
}
METHODS = {
    "close": "(self) -> 'None'",
    "at": "(self, commit: 'str | int') -> 'Store'",
    "log": "(self) -> 'Iterator[LogEntry]'",
    "pins": "(self) -> 'tuple[Pin, ...]'",
    "assets": "(self, at: 'str | int | None' = None) -> 'tuple[str, ...]'",
    "asset": "(self, asset_id: 'str', at: 'str | int | None' = None) -> 'Asset'",
    "open": "(self, asset_id: 'str', at: 'str | int | None' = None) -> 'zarr.Group'",
    "open_table": "(self, asset_id: 'str', at: 'str | int | None' = None) -> 'pa.Table'",
    "dataset": (
        "(self, asset_id: 'str', *, level: 'int' = 0, bands: 'Sequence[str] | None' = None,"
        " grid: 'str | None' = None, at: 'str | int | None' = None, mask_and_scale: 'bool' = True,"
        " chunks: 'Mapping[str, int] | None' = None) -> 'xr.Dataset'"
    ),
    "collection": (
        "(self, prefix: 'str', *, level: 'int' = 0, bands: 'Sequence[str] | None' = None,"
        " grid: 'str | None' = None, bounds: 'Bounds | None' = None,"
        " time: 'str | tuple[str | None, str | None] | None' = None,"
        " properties: 'Sequence[str]' = (), at: 'str | int | None' = None,"
        " chunks: 'Mapping[str, int] | None' = None) -> 'xr.Dataset'"
    ),
    "search": (
        "(self, *, bbox: 'Bounds | None' = None,"
        " datetime: 'str | tuple[str | None, str | None] | None' = None,"
        " properties: 'Sequence[str]' = (), prefix: 'str' = '',"
        " at: 'str | int | None' = None) -> 'tuple[str, ...]'"
    ),
    "stac": (
        "(self, *, api: 'str | None' = None, files: 'str | None' = None,"
        " at: 'str | int | None' = None) -> 'Catalog'"
    ),
}
ERRORS = sorted(
    name
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.GeobatchError)
)


def test_what_is_public() -> None:
    others = ["Options", "Plan", "Store", "__version__", *FUNCTIONS]
    assert geobatch.__all__ == sorted([*ERRORS, *others])
    for name in geobatch.__all__:
        assert getattr(geobatch, name) is getattr(geobatch, name)
        assert name in dir(geobatch)
    for name in ERRORS:
        assert getattr(geobatch, name) is getattr(errors, name)
    assert geobatch.__version__ == version("geobatch")
    with pytest.raises(AttributeError, match="no_such_name"):
        geobatch.no_such_name  # noqa: B018


def test_signatures_are_pinned() -> None:
    for name, signature in FUNCTIONS.items():
        assert str(inspect.signature(getattr(geobatch, name))) == signature
    found = {name: one for name, one in vars(geobatch.Store).items() if not name.startswith("_")}
    assert {name: str(inspect.signature(one)) for name, one in found.items()} == METHODS
    fields = geobatch.Options.__struct_fields__
    assert fields == ("select", "replace", "is_pruning", "max_delete", "keeps_project_prefix")


DOCUMENTED: list[Callable[..., object]] = [
    *(getattr(geobatch, name) for name in FUNCTIONS),
    *(getattr(geobatch.Store, name) for name in METHODS),
]


@pytest.mark.parametrize("function", DOCUMENTED, ids=lambda function: function.__name__)
def test_arguments_results_and_errors_are_documented(function: Callable[..., object]) -> None:
    text = inspect.getdoc(function) or ""
    arguments = [name for name in inspect.signature(function).parameters if name != "self"]
    assert re.findall(r"^    (\w+): ", text.partition("Raises:")[0], re.MULTILINE) == arguments
    raised = re.findall(r"^    (\w+): ", text.partition("Raises:")[2], re.MULTILINE)
    assert raised or function.__name__ == "close"
    assert set(raised) <= {*ERRORS, "ValueError"}
    assert "Returns:" in text or text.startswith(("Return", "Release", "Yield"))


def test_no_folder_has_a_public_name() -> None:
    package = Path(geobatch.__file__).parent
    modules = {path.parent.name for path in package.glob("*/__init__.py")}
    modules |= {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    assert len(modules) > 10
    assert not modules & set(geobatch.__all__)


def test_nothing_is_loaded_before_it_is_used() -> None:
    code = """
import sys
before = {*sys.modules}
import geobatch
assert {*sys.modules} - before <= {"geobatch"}, {*sys.modules} - before
assert geobatch.plan.__module__ == "geobatch.workflow.plan"
import geobatch.planner, geobatch.exports.export
assert callable(geobatch.plan) and callable(geobatch.export)
from geobatch import *
assert apply is geobatch.apply and issubclass(SpecError, GeobatchError)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_types_are_shipped() -> None:
    assert files(geobatch).joinpath("py.typed").is_file()


def test_an_asset_opens_as_a_read_only_group(bench: Workbench) -> None:
    bench.apply(image("x/a", "a.tif"))
    store = geobatch.open_store(str(bench.store))
    assert store.assets() == ("x/a",)
    group = store.open("x/a")
    assert isinstance(group, zarr.Group)
    assert group.read_only
    for level in ("0", "1"):
        array = group[f"{level}/b1"]
        assert isinstance(array, zarr.Array)
        assert np.array_equal(array[...], bench.array(f"x/a/{level}/b1"))
        with pytest.raises(ValueError, match="read-only"):
            array[:1, :1] = 7
    with pytest.raises(ValueError, match="read-only"):
        group.create_group("mine")
    again = pickle.loads(pickle.dumps(group))
    assert np.array_equal(np.asarray(again["1/b1"]), bench.array("x/a/1/b1"))


def test_any_commit_opens_and_stays_as_it_is(bench: Workbench) -> None:
    first = bench.apply(image("a", "a.tif"))
    old = bench.array("a/0/b1")
    bench.apply(image("a", "b.tif"))
    bench.apply(image("b", "b.tif"))
    store = geobatch.open_store(bench.store)
    assert first.commit is not None
    for at in ("1", "HEAD~2", first.commit, first.commit[:8]):
        assert store.assets(at) == ("a",)
        assert np.array_equal(np.asarray(store.open("a", at)["0/b1"]), old)
        with pytest.raises(NotFoundError):
            store.open("b", at=at)
    assert store.assets() == store.assets("HEAD") == ("a", "b")
    assert np.array_equal(np.asarray(store.open("a")["0/b1"]), old[::-1])
    for at in ("4", "HEAD~3", "abcdef0", "", "main"):
        with pytest.raises(NotFoundError, match="no commit"):
            store.open("a", at=at)


def chunks(bench: Workbench) -> Iterator[Path]:
    """Yield the tile objects of the asset, through the links of the plain tree."""
    inodes = {path.stat().st_ino for path in (bench.tree / "a/0/b1").rglob("*") if path.is_file()}
    for path in (bench.store / "objects").rglob("*"):
        if path.is_file() and path.stat().st_ino in inodes:
            yield path


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_damage_is_an_error_and_never_pixels(bench: Workbench, how: str) -> None:
    bench.apply(image("a", "a.tif"))
    array = geobatch.open_store(bench.store).open("a")["0/b1"]
    assert isinstance(array, zarr.Array)
    whole = np.asarray(array[...])
    paths = list(chunks(bench))
    assert len(paths) == 25
    path = paths[7]
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-3])
    with pytest.raises(CorruptObjectError, match=path.name) as caught:
        array[...]
    assert caught.value.hint
    errors = 0
    for row in range(0, 300, 64):
        for col in range(0, 280, 64):
            place = (slice(row, row + 64), slice(col, col + 64))
            try:
                assert np.array_equal(array[place], whole[place])
            except CorruptObjectError:
                errors += 1
    assert errors == 1


def test_a_name_that_is_not_there_is_suggested(bench: Workbench) -> None:
    bench.apply(image("island/north", "a.tif"))
    with pytest.raises(NotFoundError, match="island/nort") as caught:
        geobatch.open_store(bench.store).open("island/nort")
    assert "island/north" in str(caught.value.hint)


def test_a_commit_by_its_number(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    bench.apply(image("a", "a.tif"))
    bench.apply(image("a", "a.tif"), image("b", "a.tif"))
    store = geobatch.open_store(bench.store)
    assert store.assets(at=1) == store.assets(at="1") == ("a",)
    assert np.asarray(store.open("a", at=1)["0/b1"][...]).max() == 4  # type: ignore[index]
    with pytest.raises(NotFoundError):
        store.open("b", at=1)


def test_a_place_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError) as caught:
        geobatch.open_store(tmp_path / "none")
    assert caught.value.hint
    assert not list(tmp_path.iterdir())
    (tmp_path / "geobatch.json").write_text("{}")
    with pytest.raises(CorruptObjectError):
        geobatch.open_store(tmp_path)


def test_paths_are_texts_or_paths_one_or_many(bench: Workbench) -> None:
    path = bench.write_spec([image("x/a", "a.tif")])
    several: list[str | Path | Iterable[str | Path]]
    several = [path, str(path), [path], [str(path)], (one for one in [path]), path.parent]
    plans = [geobatch.plan(one, store=str(bench.store)) for one in several]
    assert len(plans) == len(several)
    assert all(one == plans[0] for one in plans)
    summary = geobatch.apply(str(path), store=str(bench.store), expected=plans[0])
    assert summary.plan == plans[0]
    assert geobatch.plan(path, store=bench.store).is_empty


def test_another_plan_than_the_expected_one_does_nothing(bench: Workbench) -> None:
    path = bench.write_spec([image("x/a", "a.tif")])
    expected = geobatch.plan(path, store=bench.store)
    write_tiff(bench.folder / "a.tif", [np.zeros((300, 280), dtype=np.int16)])
    seen: list[object] = []
    with pytest.raises(geobatch.StalePlanError, match=expected.plan_id[:8]):
        geobatch.apply(path, store=bench.store, expected=expected, approve=seen.append)
    assert not seen
    assert not bench.store.exists()
    geobatch.apply(path, store=bench.store, approve=seen.append)
    assert len(seen) == 1
    with pytest.raises(geobatch.StalePlanError):
        geobatch.apply(path, store=bench.store, expected=expected)


@pytest.mark.parametrize("workers", [0, -1])
def test_wrong_arguments_are_value_errors(bench: Workbench, workers: int) -> None:
    path = bench.write_spec([image("x/a", "a.tif")])
    for function in (geobatch.plan, geobatch.apply):
        with pytest.raises(ValueError, match=f"`workers` must be at least 1, got `{workers}`"):
            function(path, store=bench.store, workers=workers)
    with pytest.raises(ValueError, match="workers"):
        geobatch.export("x/a", bench.folder / "out", format="cog", workers=workers)
    for region in ((5.0, 0.0, 1.0, 2.0), (0.0, float("nan"), 1.0, 2.0)):
        with pytest.raises(ValueError, match="region"):
            geobatch.export("x/a", bench.folder / "out", format="cog", region=region)
    with pytest.raises(ValueError, match="25%"):
        geobatch.Options(is_pruning=True, max_delete="many")
    with pytest.raises(TypeError, match=re.escape("select=('x/*',)")):
        geobatch.Options(select="x/*")  # type: ignore[arg-type]


def test_an_export_is_what_rasterio_reads(bench: Workbench) -> None:
    bench.apply(image("x/a", "a.tif"))
    made = geobatch.export("x/a", bench.folder / "out" / "a", format="cog", store=bench.store)
    (file,) = made.files
    with rasterio.open(file.path) as raster:
        assert np.array_equal(raster.read(1), bench.array("x/a/0/b1"))
    with pytest.raises(geobatch.ExportError, match="exists already"):
        geobatch.export("x/a", bench.folder / "out" / "a", format="cog", store=bench.store)
    with pytest.raises(geobatch.NotFoundError, match="x/b"):
        geobatch.export("x/b", bench.folder / "out" / "b", format="cog", store=bench.store)
    with pytest.raises(geobatch.NoStoreError):
        geobatch.export("x/a", "out", format="cog", store=bench.folder / "none")
    with pytest.raises(ValueError, match="`png`"):
        geobatch.export("x/a", "out", format="png", store=bench.store)  # type: ignore[call-overload]


def test_a_store_at_a_commit_stays_as_it_is(bench: Workbench) -> None:
    with pytest.raises(geobatch.NoStoreError):
        geobatch.open_store(bench.store)
    bench.apply(image("a", "a.tif"))
    old = bench.array("a/0/b1")
    with geobatch.open_store(bench.store) as store:
        first = store.at(1)
        bench.apply(image("a", "b.tif"), image("b", "b.tif"))
        assert store.assets() == ("a", "b")
        assert first.assets() == store.at("HEAD~1").assets() == ("a",)
        assert np.array_equal(np.asarray(first.open("a")["0/b1"]), old)
        assert not np.array_equal(np.asarray(store.open("a")["0/b1"]), old)
        assert first.assets(at="HEAD") == ("a", "b")
        entries = list(store.log())
        assert [entry.number for entry in entries] == [2, 1]
        assert list(first.log()) == entries[1:]
        assert store.at(entries[1].digest).assets() == ("a",)
        assert entries[0].time.tzinfo is not None
        assert entries[0].message == "create 1, update 1"
        assert len({entry.content_root for entry in entries}) == 2
        with pytest.raises(NotFoundError):
            store.at(3)
    store.close()


class Texts(HTMLParser):
    """The tags and the texts of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert {name for name, _ in attrs} <= ({"src", "alt"} if tag == "img" else {"style"})
        self.tags.add(tag)
        if tag not in {"br", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


PLAIN = {"div", "p", "b", "table", "thead", "tbody", "tr", "th", "td", "br"}


def test_a_notebook_shows_tables_and_no_text_becomes_a_tag(bench: Workbench) -> None:
    odd = "<script>alert(1)&amp;.tif"
    (bench.folder / "a.tif").rename(bench.folder / odd)
    path = bench.write_spec([image("x/a", odd), image("x/b", "b.tif")])
    first = geobatch.plan(path, store=bench.store)
    shown = Texts(first._repr_html_())
    assert shown.tags == PLAIN - {"br"}
    assert shown.texts[0] == f"Plan {first.plan_id[:8]}: 2 create"
    assert {"+ create", "x/a", "x/b", "NEW_ASSET x/a"} <= set(shown.texts)
    geobatch.apply(path, store=bench.store)
    write_tiff(bench.folder / odd, [np.zeros((300, 280), dtype=np.int16)])
    second = geobatch.plan(path, store=bench.store)
    shown = Texts(second._repr_html_())
    assert shown.tags == PLAIN - {"br"}
    assert repr(second) == f"<Plan {second.plan_id[:8]}: 1 unchanged, 1 update>"
    assert any(text.startswith(f"SOURCE_CHANGED {odd}") for text in shown.texts)
    assert "x/b" not in shown.texts
    with geobatch.open_store(bench.store) as store:
        assert repr(store) == f"<Store {str(bench.store)!r} at commit 1: 2 assets>"
        shown = Texts(store._repr_html_())
        assert shown.tags == PLAIN - {"br"}
        row = shown.texts.index("x/a")
        assert shown.texts[row : row + 4] == ["x/a", "image", "280 x 300", "1"]


def test_a_table_of_many_rows_says_how_many_it_omits() -> None:
    rows = [(f"<{number}>", "a\nb") for number in range(250)]
    shown = Texts(html_table("<caption>", ("x", "y"), rows, notes=["<note>"]))
    assert shown.texts[:3] == ["<caption>", "x", "y"]
    assert "<99>" in shown.texts
    assert "<100>" not in shown.texts
    assert shown.texts[-2:] == ["<note>", "and 150 more rows"]
    assert "table" not in Texts(html_table("empty", ("x",), ())).tags


def test_a_store_that_cannot_be_read_is_still_described(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    store = geobatch.open_store(bench.store)
    for path in (bench.store / "refs" / "main").iterdir():
        path.unlink()
        path.write_text("nonsense")
    with pytest.raises(CorruptObjectError):
        store.assets()
    assert repr(store).startswith(f"<Store {str(bench.store)!r}: ")
    assert str(bench.store) in "".join(Texts(store._repr_html_()).texts)


def test_a_run_is_logged_and_nothing_is_printed(
    bench: Workbench, caplog: pytest.LogCaptureFixture
) -> None:
    path = bench.write_spec([image("a", "a.tif", pyramiding_policy="MEAN")])
    with caplog.at_level(logging.INFO, logger="geobatch"):
        summary = geobatch.apply(path, store=bench.store)
    text = caplog.text
    for said in ("starts", repr(summary.plan), f"published commit 1 ({summary.commit})", "ends"):
        assert said in text
    assert {record.name.partition(".")[0] for record in caplog.records} == {"geobatch"}
    caplog.clear()
    array = bench.tree / "a/0/b1/zarr.json"
    array.unlink()
    with caplog.at_level(logging.WARNING, logger="geobatch"):
        geobatch.apply(path, store=bench.store)
    assert [record.getMessage() for record in caplog.records] == ["repaired the files that show a"]
    code = f"import geobatch; geobatch.apply({str(path)!r}, store={str(bench.folder / 'new')!r})"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == done.stderr == ""


def test_a_rehearsal_is_published_as_it_was_computed(bench: Workbench) -> None:
    path = bench.write_spec([image("x", "a.tif")])
    done = geobatch.rehearse(path, store=bench.store)
    assert done.plan.changes[0].id == "x"
    assert done.rehearsal is not None
    assert geobatch.open_store(bench.store).assets() == ()
    summary = geobatch.apply(path, store=bench.store, expected=done)
    assert summary.content_root == done.rehearsal.content_root
    assert geobatch.plan(path, store=bench.store).is_empty
    assert bench.array("x/0/b1").shape == (300, 280)


def test_what_was_rehearsed_and_has_changed_is_not_published(bench: Workbench) -> None:
    path = bench.write_spec([image("x", "a.tif")])
    done = geobatch.rehearse(path, store=bench.store)
    bench.write_spec([image("x", "b.tif")])
    with pytest.raises(errors.StalePlanError):
        geobatch.apply(path, store=bench.store, expected=done)
    sampled = geobatch.rehearse(path, store=bench.store, sample=1.0)
    assert sampled.sample is not None
    with pytest.raises(ValueError, match="nothing was kept"):
        geobatch.apply(path, store=bench.store, expected=sampled)
    assert geobatch.open_store(bench.store).assets() == ()
    for wrong in ({"sample": 0.0}, {"sample": 1.5}, {"lifetime": timedelta(0)}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            geobatch.rehearse(path, store=bench.store, **wrong)


def test_verify_says_what_differs(bench: Workbench, tmp_path: Path) -> None:
    bench.apply(image("x", "a.tif"), image("y", "b.tif"))
    found = geobatch.verify(store=bench.store)
    assert (found.is_different, [one.id for one in found.assets]) == (False, ["x", "y"])
    assert [one.id for one in geobatch.verify("y", store=bench.store).assets] == ["y"]
    other = Workbench(folder=tmp_path / "other")
    other.folder.mkdir()
    write_tiff(other.folder / "a.tif", [np.zeros((300, 280), np.int16)])
    other.apply(image("x", "a.tif"))
    compared = geobatch.verify("x", store=bench.store, against=other.store)
    assert not compared.is_equal
    assert geobatch.verify(store=bench.store, against=bench.store).is_equal
    for wrong in ({"sample": 0.0}, {"workers": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            geobatch.verify(store=bench.store, **wrong)
    with pytest.raises(ValueError, match="`seed` has no effect with `against`"):
        geobatch.verify(store=bench.store, against=bench.store, seed=1)  # type: ignore[call-overload]


def test_an_asset_is_shown_with_a_picture_its_levels_and_its_commits(bench: Workbench) -> None:
    odd = "<script>&.tif"
    (bench.folder / "a.tif").rename(bench.folder / odd)
    bench.apply(image("x/a", odd), image("y", "b.tif"))
    bench.apply(image("x/a", odd, properties={"k": "<b>"}))
    bench.apply(image("x/a", odd, properties={"k": "<b>"}), image("z", "b.tif"))
    with geobatch.open_store(bench.store) as store:
        asset = store.asset("x/a")
        assert repr(asset) == "<Asset 'x/a' image at commit 3: 1 band>"
        assert (asset.kind, asset.properties) == ("image", {"k": "<b>"})
        assert [one.number for one in asset.log()] == [2, 1]
        assert [one.number for one in store.asset("x/a", 1).log()] == [1]
        assert [one.number for one in store.asset("z").log()] == [3]
        html = asset._repr_html_()
        shown = Texts(html)
        assert shown.tags == (PLAIN | {"img"}) - {"br"}
        row = shown.texts.index("280 x 300")
        assert shown.texts[row - 2 : row + 3] == ["b1", "0", "280 x 300", "10 x 10", "5 x 5"]
        assert len(html) < 600_000
        png = asset.thumbnail()
        assert png is not None
        assert png.startswith(b"\x89PNG")
        assert struct.unpack(">II", png[16:24]) == (280, 300)
        with pytest.raises(NotFoundError):
            store.asset("gone")
        listed = Texts(store._repr_html_()).texts
        assert listed[listed.index("Last commits") + 4] == "3"


def test_a_damaged_asset_is_shown_without_its_picture(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    for path in chunks(bench):
        path.chmod(0o644)
        path.write_bytes(b"damaged")
    shown = Texts(geobatch.open_store(bench.store).asset("a")._repr_html_())
    assert "img" not in shown.tags
    assert "280 x 300" in shown.texts
