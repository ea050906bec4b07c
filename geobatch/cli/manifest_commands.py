"""Earth Engine's manifests and flags, and specs: `import`, `new`, `export --format manifest`."""

from __future__ import annotations

from pathlib import Path

import click

from geobatch.cli.exits import Exit
from geobatch.cli.listing import no_asset, reading
from geobatch.cli.options import keep_project_prefix_option
from geobatch.cli.settings import EPILOG, Settings


@click.command("import", epilog=EPILOG)
@click.argument(
    "paths",
    metavar="MANIFEST...",
    nargs=-1,
    required=True,
    type=Path,
    help="JSON manifests, or folders of them.",
)
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=Path,
    help="Write one spec per manifest here; existing files are never overwritten.",
)
@keep_project_prefix_option
@click.pass_obj
def import_manifests(
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    folder: Path | None,
    keep_project_prefix: bool,
) -> Exit:
    """Rewrite Earth Engine manifests as YAML specs."""
    from geobatch.cli.importing import imported_files, mirror_notes, write_new  # noqa: PLC0415

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
        uri_prefix: Where relative uris start in a bucket.

    Raises:
        click.BadParameter: The project is missing or no name, or the prefix is no bucket.
        GeobatchError: There is no such asset, or a manifest cannot say what it is.
    """
    import json  # noqa: PLC0415
    import re  # noqa: PLC0415

    from geobatch.cli.importing import write_new  # noqa: PLC0415
    from geobatch.cli.manifests import manifest_of  # noqa: PLC0415
    from geobatch.declare.earth_engine.bucket_uris import BUCKETS  # noqa: PLC0415
    from geobatch.declare.earth_engine.to_manifest import asset_name  # noqa: PLC0415
    from geobatch.store.origins import path_of  # noqa: PLC0415

    name = asset_name(asset, project)
    if name is None:
        raise click.BadParameter(
            f"the Earth Engine name of `{asset}` needs a project: add `--project PROJECT`"
        )
    if project is not None and not re.fullmatch(r"[A-Za-z0-9.:_-]+", project, re.ASCII):
        raise click.BadParameter(f"`--project {project}` is not a valid project name")
    if uri_prefix and not re.match(f"{BUCKETS}[^/]+", uri_prefix):
        raise click.BadParameter(f"`--uri-prefix {uri_prefix}`: expected `{BUCKETS}BUCKET/`")
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


def _is_text(value: str) -> bool:
    """Return whether a word of the command line was UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@click.group(no_args_is_help=False)
def new() -> None:
    """Write a new spec."""


@new.command("image", epilog=EPILOG)
@click.argument(
    "files",
    metavar="FILES...",
    nargs=-1,
    required=True,
    help="Paths, globs or uris; several files make one mosaic.",
)
@click.option("--asset-id", "--asset_id", metavar="ID", required=True, help="Id of the asset.")
@click.option("--bands", metavar="NAME,...", help="Names of the bands.")
@click.option(
    "--nodata-value",
    "--nodata_value",
    metavar="N,...",
    help="Value of masked pixels: one, or one per band.",
)
@click.option(
    "--pyramiding-policy",
    "--pyramiding_policy",
    metavar="POLICY,...",
    help="One policy, or one per band.",
)
@click.option(
    "--last-band-alpha",
    "--last_band_alpha",
    is_flag=True,
    help="Use the last band as the mask of the others.",
)
@click.option(
    "--crs", metavar="CRS", help="CRS of the files, as a code or WKT, if theirs is wrong."
)
@click.option(
    "--property",
    "-p",
    "properties",
    metavar="[(TYPE)]NAME=VALUE",
    multiple=True,
    help="Property of the asset; TYPE is string, number or date.",
)
@click.option(
    "--time-start", "--time_start", "-ts", metavar="TIME", help="Start of the asset's time."
)
@click.option(
    "--time-end", "--time_end", "-te", metavar="TIME", help="End of the asset's time, exclusive."
)
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=Path,
    help="Write to this file; an existing file is never overwritten.",
)
@click.pass_obj
def new_image(
    settings: Settings,
    files: tuple[str, ...],
    *,
    asset_id: str,
    bands: str | None,
    nodata_value: str | None,
    pyramiding_policy: str | None,
    last_band_alpha: bool,
    crs: str | None,
    properties: tuple[str, ...],
    time_start: str | None,
    time_end: str | None,
    file: Path | None,
) -> Exit:
    """Write a spec from the flags of `earthengine upload image`."""
    from geobatch.cli.importing import new_spec, write_new  # noqa: PLC0415
    from geobatch.declare.earth_engine.upload_flags import FlagError, UploadFlags  # noqa: PLC0415

    if not all(_is_text(text) for text in (asset_id, *files)):
        raise click.BadParameter("an id or a name is not UTF-8, but a spec must be")
    flags = UploadFlags(
        asset_id=asset_id,
        files=files,
        bands=bands,
        nodata_value=nodata_value,
        pyramiding_policy=pyramiding_policy,
        last_band_alpha=last_band_alpha,
        crs=crs,
        properties=properties,
        time_start=time_start,
        time_end=time_end,
    )
    try:
        text = new_spec(flags, file=file)
    except FlagError as error:
        raise click.BadParameter(str(error)) from None
    if file is not None:
        write_new({file: text})
        settings.output.line(f"wrote {file}")
    else:
        settings.output.line(text.removesuffix("\n"))
    settings.output.record("spec", file=None if file is None else str(file), text=text)
    return Exit.OK
