"""Commands that look at no pixel start at once: what they import is counted, not timed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rasterio
import rasterio.shutil

HEAVY = {
    "affine", "asyncio", "dask", "imagecodecs", "numpy", "pyarrow", "pyproj", "rasterio", "rich",
    "tensorflow", "xarray", "zarr",
}  # fmt: skip
SPECS = Path(__file__).parents[2] / "specs"


def imported(argv: list[str], tmp_path: Path) -> set[str]:
    """Return the modules that a process has imported at its end."""
    code = (
        "import sys\n"
        "from geobatch.cli.main import run\n"
        f"code = run({argv!r})\n"
        "print(code, *sorted(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    exit_code, *names = done.stderr.splitlines()[-1].split()
    assert exit_code == "0", done.stderr
    return set(names)


@pytest.mark.parametrize(
    "argv",
    [["--help"], ["apply", "--help"], ["export", "--help"], ["--version"], ["schema"],
     ["validate", str(SPECS)], ["fmt", "--check", str(SPECS)], ["import", str(SPECS)],
     ["new", "image", "a.tif", "--asset-id", "a"]],
    ids=lambda argv: argv[0],
)  # fmt: skip
def test_light_commands_import_no_heavy_library(argv: list[str], tmp_path: Path) -> None:
    names = imported(argv, tmp_path)
    assert "typer" in names
    assert not (HEAVY | {"click"}) & names


@pytest.mark.parametrize(
    "argv",
    [[], ["--help"], ["new", "--help"], ["new", "image", "--help"], ["plan", "--help"],
     ["export", "-h"], ["--json", "apply", "--help"]],
    ids=" ".join,
)  # fmt: skip
def test_help_imports_the_command_line_alone(argv: list[str], tmp_path: Path) -> None:
    names = imported(argv, tmp_path)
    assert not (HEAVY | {"blake3", "importlib.metadata", "pydantic", "yaml"}) & names
    rooms = {name.split(".")[1] for name in names if name.startswith("geobatch.")}
    assert rooms == {"cli", "errors", "model", "versions"}
    # Variables of the environment that set limits are checked by every command.
    # The words of counts come with the module of a command whose view needs them.
    assert {name for name in names if name.startswith("geobatch.model.")} - {
        "geobatch.model.text.words"
    } == {"geobatch.model.limits", "geobatch.model.text", "geobatch.model.text.shortened"}


def test_a_plan_without_changes_loads_no_library_that_typer_could_use(tmp_path: Path) -> None:
    spec = Path(shutil.copy(SPECS / "landcover.yaml", tmp_path))
    spec.write_text(spec.read_text().replace("data/", f"{SPECS / 'data'}/"))
    imported(["apply", str(spec)], tmp_path)
    names = imported(["plan", str(spec), "--max-delete", "3", "--prune"], tmp_path)
    assert not {"click", "pydantic", "rich", "typer.rich_utils"} & names
    loaded = {name for name in names if name.startswith("geobatch.cli.commands.")}
    build = "geobatch.cli.commands.build"
    assert loaded == {build, *(f"{build}.{name}" for name in ("plan", "plan_run", "options"))}


def test_a_plan_without_changes_loads_nothing_that_only_changes_need(tmp_path: Path) -> None:
    """No thread reads a source, no process hashes one, and no record of an export is read."""
    specs = Path(shutil.copytree(SPECS, tmp_path / "specs"))
    imported(["apply", "--init", str(specs)], tmp_path)
    names = imported(["plan", str(specs)], tmp_path)
    assert not {"concurrent.futures", "logging", "tempfile", "isal", "google_crc32c"} & names
    assert "geobatch.sources.tfrecord.shards.records" not in names


def test_listing_a_store_needs_no_raster_library(tmp_path: Path) -> None:
    imported(["init"], tmp_path)
    for argv in (["ls"], ["info"], ["log"]):
        assert not {"rasterio", "pyproj", "zarr", "tensorflow", "pyarrow"} & imported(
            argv, tmp_path
        )


def test_tensorflow_is_never_imported(tmp_path: Path) -> None:
    assert "tensorflow" not in imported(
        ["apply", "--init", str(SPECS / "landcover.yaml")], tmp_path
    )


def test_the_package_itself_is_light() -> None:
    code = "import sys, geobatch; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not (HEAVY | {"pydantic", "typer", "yaml"}) & set(done.stdout.split())


def test_explaining_opens_no_raster_and_builds_no_tree(tmp_path: Path) -> None:
    imported(["apply", "--init", str(SPECS / "landcover.yaml")], tmp_path)
    asset = geobatch_ids(tmp_path)[0]
    for argv in (["diff", "1"], ["status"], ["why", asset, str(SPECS / "landcover.yaml")]):
        assert not {"rasterio", "pyproj", "zarr", "tensorflow", "pyarrow"} & imported(
            argv, tmp_path
        ), argv
    assert "yaml" not in imported(["diff", "1"], tmp_path)


@pytest.mark.attack
def test_only_a_plan_for_machines_says_where_and_loads_what_can_tell(tmp_path: Path) -> None:
    """A policy is changed here: no source is read, and no pixel."""
    spec = tmp_path / "landcover.yaml"
    text = (SPECS / "landcover.yaml").read_text()
    spec.write_text(text.replace("data/", f"{SPECS / 'data'}/"))
    imported(["apply", str(spec)], tmp_path)
    time.sleep(0.05)
    imported(["plan", str(spec)], tmp_path)  # by now the stat of the source is evidence
    spec.write_text(spec.read_text().replace("MODE", "SAMPLE"))
    assert not {"rasterio", "pyproj"} & imported(["plan", str(spec)], tmp_path)
    assert "pyproj" in imported(["--json", "plan", str(spec)], tmp_path)
    spec.write_text(spec.read_text().replace("SAMPLE", "MODE"))
    assert not {"rasterio", "pyproj"} & imported(["--json", "plan", str(spec)], tmp_path)


def test_a_changed_source_loads_what_its_change_needs(tmp_path: Path) -> None:
    """Other pixels, nothing: the header is as it was. Other tags, GDAL: their CRS is known."""
    shutil.copytree(SPECS / "data", tmp_path / "data")
    spec = Path(shutil.copy(SPECS / "landcover.yaml", tmp_path))
    assert "pyproj" in imported(["apply", str(spec)], tmp_path)
    with (tmp_path / "data" / "landcover.tif").open("r+b") as file:
        file.seek(30_000)  # amid the pixels
        file.write(bytes(8))
    time.sleep(0.05)
    assert not {"rasterio", "pyproj", "imagecodecs"} & imported(["plan", str(spec)], tmp_path)
    with rasterio.open(tmp_path / "data" / "landcover.tif", "r+") as dataset:
        dataset.descriptions = ("other",)
    names = imported(["plan", str(spec)], tmp_path)
    assert "rasterio" in names
    assert "pyproj" not in names


def test_other_pixels_of_a_usual_file_are_applied_without_gdal(tmp_path: Path) -> None:
    spec = Path(shutil.copy(SPECS / "landcover.yaml", tmp_path))
    source = tmp_path / "data" / "landcover.tif"
    source.parent.mkdir()
    rasterio.shutil.copy(SPECS / "data" / source.name, source, driver="GTiff", COMPRESS="DEFLATE")
    assert "rasterio" in imported(["apply", str(spec)], tmp_path)
    with rasterio.open(source, "r+") as dataset:
        pixels = dataset.read(1)
        dataset.write(pixels[::-1], 1)
    time.sleep(0.05)
    assert "rasterio" not in imported(["apply", str(spec)], tmp_path)


@pytest.mark.attack
def test_specs_known_from_before_are_not_read_again(tmp_path: Path) -> None:
    spec = Path(shutil.copy(SPECS / "landcover.yaml", tmp_path))
    spec.write_text(spec.read_text().replace("data/", f"{SPECS / 'data'}/"))
    (tmp_path / "geobatch.yaml").write_text("silence: [categorical-mean]\n")
    assert "yaml" in imported(["apply", str(spec)], tmp_path)
    for argv in (["plan", str(spec)], ["apply", str(spec)], ["status", str(spec)]):
        assert "yaml" not in imported(argv, tmp_path)
    spec.write_text(f"# edited\n{spec.read_text()}")
    assert "yaml" in imported(["plan", str(spec)], tmp_path)


def geobatch_ids(folder: Path) -> list[str]:
    """Return the ids of the published assets."""
    from geobatch import open_store  # noqa: PLC0415 - the other tests of this module count imports

    return list(open_store(folder / "store").assets())
