"""What is drawn while a run works: how many assets are done of all, and bars of those at work."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn
from workbench import Workbench, image, write_tiff

from geobatch.cli.bars import Bars, RunBars
from geobatch.errors import SourceError
from geobatch.workflow.apply import apply


class Drawn(RunBars):
    """Keeps each state of the lines."""

    def __init__(self, progress: Progress) -> None:
        super().__init__(progress)
        self.lines: list[list[str]] = []

    def asset_started(self, asset_id: str, *, tiles: int) -> None:
        super().asset_started(asset_id, tiles=tiles)
        self._keep()

    def asset_finished(self, asset_id: str) -> None:
        super().asset_finished(asset_id)
        self._keep()

    def _keep(self) -> None:
        self.lines.append([task.description for task in self._progress.tasks])


@pytest.fixture
def drawn() -> Drawn:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    return Drawn(Progress(TextColumn("{task.description}"), console=console))


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    pixels = np.random.default_rng(1).integers(1, 9, (200, 200), dtype=np.uint8)
    for number in range(3):
        write_tiff(tmp_path / f"{number}.tif", [pixels + np.uint8(number)])
    return Workbench(folder=tmp_path)


def test_assets_that_are_done_add_up_to_all(bench: Workbench, drawn: Drawn) -> None:
    spec = bench.write_spec([image(f"i{n}", f"{n}.tif", tile=32) for n in range(3)])
    apply([spec], store=bench.store, workers=2, observer=drawn)
    totals = [lines[0] for lines in drawn.lines]
    assert totals[0] == "0 of 3 assets"
    assert totals[-1] == "3 of 3 assets"
    assert totals == sorted(totals)
    assert any("i1" in lines for lines in drawn.lines), "an asset of many tiles has a line"
    assert drawn.lines[-1] == ["3 of 3 assets"], "and loses it when it is done"


def test_a_failed_asset_is_done(bench: Workbench, drawn: Drawn) -> None:
    spec = bench.write_spec([image(f"i{n}", f"{n}.tif", tile=32) for n in range(3)])

    def spoil(_: object) -> None:
        (bench.folder / "1.tif").unlink()

    done = apply(
        [spec], store=bench.store, workers=1, observer=drawn, approve=spoil, keep_going=True
    )
    assert [failure.id for failure in done.failures] == ["i1"]
    assert drawn.lines[-1] == ["3 of 3 assets"]


def test_a_single_asset_has_the_only_line(bench: Workbench, drawn: Drawn) -> None:
    long = "/".join(["folder"] * 9)
    apply([bench.write_spec([image(long, "0.tif")])], store=bench.store, observer=drawn)
    ((line,), rest) = drawn.lines
    assert line.startswith("folder/")
    assert "..." in line
    assert line.endswith("/folder")
    assert rest == []


def test_without_keep_going_the_other_assets_are_drawn_too(bench: Workbench, drawn: Drawn) -> None:
    spec = bench.write_spec([image(f"i{n}", f"{n}.tif", tile=32) for n in range(3)])
    with pytest.raises(SourceError):
        apply(
            [spec], store=bench.store, workers=1, observer=drawn,
            approve=lambda _: (bench.folder / "1.tif").unlink(),
        )  # fmt: skip
    assert drawn.lines[-1][0] == "3 of 3 assets"


def lines_of(width: int, *, assets: int, tiles: int, is_coloured: bool = False) -> list[str]:
    """Return the lines of a run in the middle of its work."""
    colours = "standard" if is_coloured else None
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        width=width,
        color_system=colours,  # type: ignore[arg-type]
    )
    progress = Bars("tiles", console)
    run = RunBars(progress)
    run.run_started(assets=assets, tiles=tiles)
    for number in range(min(assets, 3)):
        name = f"europe/alps/sentinel2/2025/scene_with_a_long_name_{number}"
        run.asset_started(name, tiles=tiles // assets)
        run.tiles_done(name, tiles=tiles // assets // 2, bytes_read=612_345_678)
    progress.stop()
    assert isinstance(console.file, io.StringIO)
    console.file.seek(0)
    console.file.truncate()
    console.print(progress.make_tasks_table(progress.tasks))
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 48, 60, 80, 100, 132, 200])
@pytest.mark.parametrize(("assets", "tiles"), [(1, 3312), (5, 765), (2000, 76_500)])
def test_counts_and_times_are_whole_at_any_width(width: int, assets: int, tiles: int) -> None:
    """Also in a terminal of 40 columns, whatever is left out."""
    lines = lines_of(width, assets=assets, tiles=tiles)
    assert len(lines) == 1 + (min(assets, 3) if assets > 1 and tiles // assets > 16 else 0)
    for line in lines:
        assert len(line) <= width
        assert "\u2026" not in line
        assert re.search(r" [0-9,]+/[0-9,]+( tiles)? ", line)
        assert re.search(r"([0-9]+|-):([0-9]{2}|--):([0-9]{2}|--)$", line.rstrip())
    if assets > 1:
        assert lines[0].startswith(f"0 of {assets:,} assets")
    if width >= 60:
        assert "tiles/s" in "".join(lines)
    assert any("read" in line for line in lines) == (width >= 80)


def test_lines_are_coloured() -> None:
    assert all("\x1b[" in line for line in lines_of(40, assets=5, tiles=765, is_coloured=True))


def test_an_asset_keeps_both_ends_of_its_name() -> None:
    for line in lines_of(40, assets=5, tiles=765)[1:]:
        assert re.match(r"europe.*\.\.\..*name_[0-9] ", line)


def test_a_terminal_of_few_columns_is_no_error() -> None:
    for width in range(1, 40):
        assert lines_of(width, assets=5, tiles=765)
