"""Earth Engine's manifests and flags, and specs: `import`, `new`, `export --format manifest`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import KeepProjectPrefix
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import no_asset, reading

app = group()
new = group(help="Write a new spec.")
app.add_typer(new, name="new")


@app.command("import", cls=Command, epilog=EPILOG)
def import_manifests(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="JSON manifests, or folders of them."),
    ],
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Write one spec per manifest here; existing files are never overwritten.",
        ),
    ] = None,
    keep_project_prefix: KeepProjectPrefix = False,
) -> Exit:
    """Rewrite Earth Engine manifests as YAML specs."""
    from geobatch.cli.files.new_specs import imported_files, mirror_notes, write_new  # noqa: PLC0415

    settings: Settings = context.obj
    output = settings.output
    files = imported_files(paths, folder=folder, keep_project_prefix=keep_project_prefix)
    for note in mirror_notes(files):
        output.note(note)
    if folder is None:
        output.text("---\n".join(file.text for file in files).removesuffix("\n"))
    else:
        write_new({file.target: file.text for file in files})
    for file in files:
        target = None if folder is None else str(file.target)
        if target is not None:
            output.line(f"wrote {target}")
        output.record("imported", manifest=str(file.source), file=target, text=file.text)
    return Exit.OK


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
    from geobatch.cli.files.manifest import manifest_of  # noqa: PLC0415
    from geobatch.cli.files.new_specs import write_new  # noqa: PLC0415
    from geobatch.declare.earth_engine.bucket_uris import BUCKETS  # noqa: PLC0415
    from geobatch.declare.earth_engine.to_manifest import asset_name  # noqa: PLC0415
    from geobatch.store.origins import path_of  # noqa: PLC0415

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
            origin=None if origin is None else Path(path_of(origin, store=settings.store)),
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


def _is_text(value: str) -> bool:
    """Return whether a word of the command line was UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@new.command("image", cls=Command, epilog=EPILOG)
def new_image(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILES...", help="Paths, globs or uris; several files make one mosaic."
        ),
    ],
    *,
    asset_id: Annotated[
        str, typer.Option("--asset-id", "--asset_id", metavar="ID", help="Id of the asset.")
    ],
    bands: Annotated[
        str | None, typer.Option("--bands", metavar="NAME,...", help="Names of the bands.")
    ] = None,
    nodata_value: Annotated[
        str | None,
        typer.Option(
            "--nodata-value",
            "--nodata_value",
            metavar="N,...",
            help="Value of masked pixels: one, or one per band.",
        ),
    ] = None,
    pyramiding_policy: Annotated[
        str | None,
        typer.Option(
            "--pyramiding-policy",
            "--pyramiding_policy",
            metavar="POLICY,...",
            help="One policy, or one per band.",
        ),
    ] = None,
    last_band_alpha: Annotated[
        bool,
        typer.Option(
            "--last-band-alpha",
            "--last_band_alpha",
            help="Use the last band as the mask of the others.",
        ),
    ] = False,
    crs: Annotated[
        str | None,
        typer.Option(
            "--crs", metavar="CRS", help="CRS of the files, as a code or WKT, if theirs is wrong."
        ),
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            "-p",
            metavar="[(TYPE)]NAME=VALUE",
            help="Property of the asset; TYPE is string, number or date.",
        ),
    ] = None,
    time_start: Annotated[
        str | None,
        typer.Option(
            "--time-start",
            "--time_start",
            "-ts",
            metavar="TIME",
            help="Start of the asset's time.",
        ),
    ] = None,
    time_end: Annotated[
        str | None,
        typer.Option(
            "--time-end",
            "--time_end",
            "-te",
            metavar="TIME",
            help="End of the asset's time, exclusive.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write to this file; an existing file is never overwritten.",
        ),
    ] = None,
) -> Exit:
    """Write a spec from the flags of `earthengine upload image`."""
    from geobatch.cli.files.new_specs import new_spec, write_new  # noqa: PLC0415
    from geobatch.declare.earth_engine.upload_flags import FlagError, UploadFlags  # noqa: PLC0415

    settings: Settings = context.obj
    if not all(_is_text(text) for text in (asset_id, *files)):
        raise typer.BadParameter("an id or a name is not UTF-8, but a spec must be")
    flags = UploadFlags(
        asset_id=asset_id,
        files=tuple(files),
        bands=bands,
        nodata_value=nodata_value,
        pyramiding_policy=pyramiding_policy,
        last_band_alpha=last_band_alpha,
        crs=crs,
        properties=tuple(properties or ()),
        time_start=time_start,
        time_end=time_end,
    )
    try:
        text = new_spec(flags, file=file)
    except FlagError as error:
        raise typer.BadParameter(str(error)) from None
    if file is not None:
        write_new({file: text})
        settings.output.line(f"wrote {file}")
    else:
        settings.output.text(text.removesuffix("\n"))
    settings.output.record("spec", file=None if file is None else str(file), text=text)
    return Exit.OK
