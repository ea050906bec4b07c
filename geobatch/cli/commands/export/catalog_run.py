"""What `export --format stac` does."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from geobatch.cli.progress import counting
from geobatch.cli.settings import Settings
from geobatch.cli.stores import reading
from geobatch.cli.words import byte_text, count_text
from geobatch.errors import ExportError, NotFoundError
from geobatch.exports.catalog import export_catalog


def run_catalog(settings: Settings, pattern: str, destination: str, *, overwrite: bool) -> None:
    """Write the assets that a pattern matches as a STAC catalog.

    Args:
        settings: What holds for every command.
        pattern: Asset id or pattern, with or without `@` and a commit.
        destination: The folder.
        overwrite: Whether a catalog that is there is replaced.

    Raises:
        NotFoundError: No asset matches, or there is no such commit.
        GeobatchError: It cannot be written.
    """
    ids, _, commit = pattern.partition("@")
    with reading(settings) as store:
        head = store.head()
        if commit and store.at(commit).number != head.number:
            raise ExportError(
                f"`{commit}` is not the newest commit, and only that is in `zarr/`, which items"
                " name",
                hint="leave out the commit; `geobatch checkout` writes assets of earlier ones",
            )
        entries = [entry for entry in head.tree.entries if fnmatchcase(entry.id, ids)]
        if not entries:
            raise NotFoundError(f"no asset matches `{ids}`", hint="`geobatch ls` lists the assets")
        output = settings.output
        with counting(ids, "items", is_quiet=output.is_quiet, is_json=output.is_json) as progress:
            made = export_catalog(
                store, head, entries, Path(destination), overwrite=overwrite, progress=progress
            )
    output.line(str(made.file))
    output.line(
        f"{count_text(made.items, 'item')} in {count_text(made.collections, 'collection')},"
        f" {byte_text(made.bytes)}"
    )
    output.record(
        "export", format="stac", files=[str(made.file)], items=made.items,
        collections=made.collections, bytes=made.bytes, commit=head.digest,
    )  # fmt: skip
