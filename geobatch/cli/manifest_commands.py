"""Earth Engine's manifests and flags, and specs: `import`, `new`, `export --format manifest`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.exits import Exit
from geobatch.cli.listing import no_asset, reading
from geobatch.cli.plan_commands import KeepProjectPrefix
from geobatch.cli.settings import Settings

OutputFile = Annotated[
    Path | None,
    typer.Option("-o", "--output", metavar="FILE", help="Write here, and not over a file."),
]


def import_manifests(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST",
            help="Manifests in JSON, or folders of them.",
            show_default=False,
            readable=False,
        ),
    ],
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Write a file per manifest here, over none."
        ),
    ] = None,
    keep_project_prefix: KeepProjectPrefix = False,
) -> int:
    """Rewrite Earth Engine manifests as YAML specs."""
    from geobatch.cli.importing import imported_files, mirror_notes, write_new  # noqa: PLC0415

    settings: Settings = context.obj
    output = settings.output
    files = imported_files(paths, folder=folder, keep_project_prefix=keep_project_prefix)
    for note in mirror_notes(files):
        output.note(note)
    if folder is None:
        output.line("---\n".join(file.text for file in files).removesuffix("\n"))
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
        uri_prefix: Put before every uri.

    Raises:
        typer.BadParameter: The project is missing.
        GeobatchError: There is no such asset.
    """
    import json  # noqa: PLC0415

    from geobatch.cli.importing import write_new  # noqa: PLC0415
    from geobatch.spec.exported import asset_name  # noqa: PLC0415
    from geobatch.spec.exported import export_manifest as make  # noqa: PLC0415

    name = asset_name(asset, project)
    if name is None:
        raise typer.BadParameter(
            f"Earth Engine's name of `{asset}` has a project: give `--project PROJECT`"
        )
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        entry = head.tree.entry(asset)
        if entry is None:
            raise no_asset(asset, [entry.id for entry in head.tree.entries])
        made = make(store.record(entry).asset, name=name, uri_prefix=uri_prefix)
    for note in made.notes:
        settings.output.note(f"note: {note}")
    text = json.dumps(made.manifest, indent=2, ensure_ascii=False)
    if file is None:
        settings.output.line(text)
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


def new_image(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILES", help="Paths, globs or uris; several are one mosaic."),
    ],
    *,
    asset_id: Annotated[str, typer.Option("--asset-id", "--asset_id", help="Id of the asset.")],
    bands: Annotated[
        str | None, typer.Option("--bands", metavar="NAME,...", help="Names of the bands.")
    ] = None,
    nodata_value: Annotated[
        str | None,
        typer.Option(
            "--nodata-value", "--nodata_value", metavar="N,...", help="One, or one per band."
        ),
    ] = None,
    pyramiding_policy: Annotated[
        str | None,
        typer.Option(
            "--pyramiding-policy",
            "--pyramiding_policy",
            metavar="POLICY,...",
            help="One, or one per band.",
        ),
    ] = None,
    last_band_alpha: Annotated[
        bool,
        typer.Option(
            "--last-band-alpha", "--last_band_alpha", help="The last band masks the others."
        ),
    ] = False,
    crs: Annotated[
        str | None, typer.Option("--crs", help="Code or WKT in place of the files'.")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option("--property", "-p", metavar="[(TYPE)]NAME=VALUE", help="string, number, date"),
    ] = None,
    time_start: Annotated[
        str | None, typer.Option("--time-start", "--time_start", "-ts", metavar="TIME")
    ] = None,
    time_end: Annotated[
        str | None, typer.Option("--time-end", "--time_end", "-te", metavar="TIME")
    ] = None,
    file: OutputFile = None,
) -> int:
    """Write a spec by the flags of `earthengine upload image`."""
    from geobatch.cli.importing import new_spec, write_new  # noqa: PLC0415
    from geobatch.spec.upload import FlagError, UploadFlags  # noqa: PLC0415

    settings: Settings = context.obj
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
        settings.output.line(text.removesuffix("\n"))
    settings.output.record("spec", file=None if file is None else str(file), text=text)
    return Exit.OK
