"""What `review` does: it reads a saved plan, and writes reports of it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import SavedPlan, find_plan, tiles_of
from geobatch.cli.settings import Settings
from geobatch.cli.stores import reading
from geobatch.errors import NoStoreError, PlanError
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links, links_of
from geobatch.review.markdown import markdown
from geobatch.review.text import text_lines

if TYPE_CHECKING:
    from geobatch.review.pictures.album import Album
    from geobatch.review.tiles import ChangedTiles

FILES = {
    "markdown": "review.md",
    "html": "review.html",
    "geojson": "tiles.geojson",
    "json": "review.json",
}
"""The file of each form in the folder of `-o`."""
PICTURES = "pictures"
"""The folder of PNG files in it."""
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def run_review(
    settings: Settings, path: Path, *, form: str | None, folder: Path | None, base_url: str
) -> Exit:
    """Print a report, or write the files of one."""
    saved = require_plan(path)
    review = read_review(settings, saved, base_url=base_url)
    output = settings.output
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        for file in review.write(form, folder):
            output.note(f"wrote {file}")
    elif output.is_json:
        output.record("review", **review.json())
    elif form in {None, "text"}:
        for line in text_lines(review.report):
            output.line(line)
    else:
        sys.stdout.write(review.document(str(form)))
    return Exit.OK


class Review:
    """A saved plan with its report, in all forms."""

    def __init__(
        self, settings: Settings, saved: SavedPlan, plan: PlanDocument, links: Links
    ) -> None:
        self.report = report_of(plan, links)
        """What the report says."""
        self._settings, self._saved, self._plan = settings, saved, plan

    def json(self) -> dict[str, Any]:
        """Return the numbers of the report as JSON."""
        document: dict[str, Any] = msgspec.to_builtins(self.report)
        return document

    def document(self, form: str) -> str:
        """Return a form of the report."""
        if form == "markdown":
            return markdown(self.report)
        if form == "geojson":
            from geobatch.review.geojson import geojson

            return geojson(self.report, tiles_of(self._saved))
        if form == "html":
            from geobatch.review.page.html import html

            return html(self.report, self.album, self.tiles)
        return json.dumps(self.json(), indent=2, allow_nan=False) + "\n"

    def write(self, form: str | None, folder: Path) -> Iterator[Path]:
        """Write a form of the report, or all forms with the pictures; yield each file."""
        if form == "text":
            raise typer.BadParameter("`--format text` is for the terminal: omit `-o`")
        for one in (form,) if form else FILES:
            file = folder / FILES[one]
            text = self.document(one)
            file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
            yield file
        if form in {None, "html"}:
            yield from self._write_pictures(folder / PICTURES)

    def _write_pictures(self, folder: Path) -> Iterator[Path]:
        """Write the pictures as PNG files."""
        for number, (asset, shown) in enumerate(self.album.assets.items(), start=1):
            for one in shown:
                for title, png in one.pictures:
                    name = _UNSAFE.sub(".", f"{asset}.{one.name}".replace(", ", "-"))[:100]
                    file = folder / f"{number:02}-{name}-{title}.png"
                    folder.mkdir(exist_ok=True)
                    file.write_bytes(png)
                    yield file

    @cached_property
    def tiles(self) -> Mapping[str, ChangedTiles]:
        """Changed tiles of the assets that have maps."""
        from geobatch.review.pictures.album import pictured
        from geobatch.review.tiles import changed_tiles

        grids = {asset.id: asset.grids for asset in pictured(self.report.assets)}
        return changed_tiles(tiles_of(self._saved), grids)

    @cached_property
    def album(self) -> Album:
        """The pictures; a report without the store has none, and says so."""
        from geobatch.review.pictures.album import Album, album_of, pictured
        from geobatch.review.pictures.states import states_of

        try:
            with reading(self._settings) as store:
                states = states_of(store, self._plan)
                return album_of(pictured(self.report.assets), states, self.tiles)
        except NoStoreError as error:
            return Album(note=f"There are no pictures: {error.message}.")


def require_plan(path: Path) -> SavedPlan:
    """Return a saved plan.

    Raises:
        PlanError: The file is not a plan, or a damaged one.
        FormatError: A newer geobatch wrote it.
    """
    saved = find_plan(path)
    if saved is None:
        what = "is not a saved plan" if path.is_file() else "does not exist"
        raise PlanError(
            f"`{path}` {what}", hint=f"`geobatch plan SPECS -o {path}` saves a plan for review"
        )
    return saved


def read_review(settings: Settings, saved: SavedPlan, *, base_url: str = "") -> Review:
    """Return the review of a saved plan, with links to the lines of its specs."""
    try:
        links = links_of(os.environ, base=base_url, folder=str(Path.cwd()))
    except ValueError as error:
        raise typer.BadParameter(f"--base-url: {error}") from None
    return Review(settings, saved, msgspec.convert(saved.document, PlanDocument), links)
