"""What `export --format manifest` does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typer

from geobatch.cli.settings import Settings
from geobatch.cli.stores import no_asset, reading


def export_manifest(
    settings: Settings,
    asset: str,
    *,
    file: Path | None,
    at: str | None,
    project: str | None,
    uri_prefix: str,
) -> None:
    """Write the Earth Engine manifest of a published asset.

    Args:
        settings: The global options.
        asset: Id of the asset.
        file: Where to write it; None for stdout.
        at: The commit; None for the head.
        project: Earth Engine's project of the asset.
        uri_prefix: Where relative uris start in a bucket.

    Raises:
        typer.BadParameter: The project is missing or no name, or the prefix is no bucket.
        GeobatchError: There is no such asset, or a manifest cannot say what it is.
    """
    from geobatch.cli.files.manifest import manifest_of
    from geobatch.cli.files.new_specs import write_new
    from geobatch.declare.earth_engine.bucket_uris import BUCKETS
    from geobatch.declare.earth_engine.to_manifest import asset_name
    from geobatch.store.origins import path_of

    name = asset_name(asset, project)
    if name is None:
        raise typer.BadParameter(
            f"the Earth Engine name of `{asset}` needs a project: add `--project PROJECT`"
        )
    if project is not None and not re.fullmatch(r"[A-Za-z0-9.:_-]+", project, re.ASCII):
        raise typer.BadParameter(f"`--project {project}` is not a valid project name")
    if uri_prefix and not re.match(f"{BUCKETS}[^/]+", uri_prefix):
        raise typer.BadParameter(f"`--uri-prefix {uri_prefix}`: expected `{BUCKETS}BUCKET/`")
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        entry = head.tree.entry(asset)
        if entry is None:
            raise no_asset(asset, [entry.id for entry in head.tree.entries])
        origin = store.origins(head).get(asset)
        made = manifest_of(
            store.record(entry).asset,
            name=name,
            uri_prefix=uri_prefix,
            origin=None if origin is None else Path(path_of(origin, store=settings.store.base)),
        )
    for note in made.notes:
        settings.output.note(f"note: {note}")
    text = json.dumps(made.manifest, indent=2, ensure_ascii=False)
    if file is None:
        settings.output.text(text)
    else:
        write_new({file: text + "\n"})
        settings.output.line(f"wrote {file}")
    settings.output.record(
        "manifest",
        asset=asset,
        file=None if file is None else str(file),
        manifest=made.manifest,
        notes=list(made.notes),
    )
