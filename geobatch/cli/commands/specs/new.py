"""The command `new`, with a command per kind of asset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

app = group()


new = group(help="Write a new spec.")
app.add_typer(new, name="new")


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
    from geobatch.cli.files.new_specs import new_spec, write_new
    from geobatch.declare.earth_engine.upload_flags import FlagError, UploadFlags

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
