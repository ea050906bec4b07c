"""The command `export`: its options."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.exits import Exit
from geobatch.cli.settings import Settings


class Format(StrEnum):
    """What an asset can be exported as."""

    TFRECORD = "tfrecord"
    COG = "cog"
    MANIFEST = "manifest"


def export(
    context: typer.Context,
    asset: Annotated[
        str, typer.Argument(metavar="ASSET[@COMMIT]", help="Asset id, of the head or of a commit.")
    ],
    destination: Annotated[
        str | None,
        typer.Argument(
            metavar="DEST",
            help="Folder and prefix of the files; a folder alone takes the asset's own name. "
            "The file of a manifest; stdout without.",
            show_default=False,
        ),
    ] = None,
    *,
    kind: Annotated[Format, typer.Option("--format", help="What to write.")],
    bands: Annotated[
        str | None,
        typer.Option(
            "--bands", metavar="A,B", help="Bands and array bands, in order.  [default: all]"
        ),
    ] = None,
    level: Annotated[int, typer.Option("--level", min=0, help="Level, 0 for the finest.")] = 0,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="XMIN,YMIN,XMAX,YMAX",
            help="Only the pixels that this box touches, in the asset's CRS.",
        ),
    ] = None,
    file_dimensions: Annotated[
        str | None,
        typer.Option(
            metavar="W,H", help="Pixels of a COG, multiples of 512.  [default: one COG for all]"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of an earlier export.")
    ] = False,
    patch_dimensions: Annotated[
        str | None,
        typer.Option(
            metavar="W,H",
            help="Pixels of a patch.  [default: 256,256]",
        ),
    ] = None,
    kernel_size: Annotated[
        str | None,
        typer.Option(
            metavar="W,H",
            help="Pixels added to a patch, half on each side, where neighbours overlap.  "
            "[default: 1,1, which adds none]",
        ),
    ] = None,
    compressed: Annotated[
        bool | None,
        typer.Option(
            "--compressed/--uncompressed",
            help="GZIP or not.  [default: compressed]",
            show_default=False,
        ),
    ] = None,
    max_file_size: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES",
            help="Most bytes of a shard before compression.  [default: 1 GiB]",
        ),
    ] = None,
    default_value: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Value of pixels that are masked, in part too, or not there.  [default: 0]",
        ),
    ] = None,
    tensor_depths: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=N",
            help="Depth of an array band.  [default: the number of its bands]",
        ),
    ] = None,
    sequence_data: Annotated[
        bool,
        typer.Option(
            "--sequence-data",
            help="A SequenceExample per pixel: array bands as sequences.",
        ),
    ] = False,
    collapse_bands: Annotated[
        bool,
        typer.Option(
            "--collapse-bands",
            help="All bands as one tensor, named after the first.",
        ),
    ] = False,
    masked_threshold: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Drop patches with a larger share of masked pixels; below 1 no mixer is written.  "
            "[default: 1]",
        ),
    ] = None,
    pad_border: Annotated[
        bool,
        typer.Option(
            "--pad-border",
            help="Keep the patches at the edges that the image fills in part.",
        ),
    ] = False,
    format_options: Annotated[
        str | None,
        typer.Option(
            metavar="JSON",
            help='The same as the guide writes them: {"patchDimensions": [256, 256]}.',
        ),
    ] = None,
    project: Annotated[
        str | None, typer.Option("--project", help="Earth Engine's project, for a manifest.")
    ] = None,
    uri_prefix: Annotated[
        str | None,
        typer.Option(
            "--uri-prefix", metavar="gs://...", help="Put before every uri of a manifest."
        ),
    ] = None,
) -> int:
    """Write an asset as TFRecord with its mixer, as a COG, or as an Earth Engine manifest."""
    settings: Settings = context.obj
    typed = {
        "patch_dimensions": patch_dimensions,
        "kernel_size": kernel_size,
        "compressed": compressed,
        "max_file_size": max_file_size,
        "default_value": default_value,
        "tensor_depths": tensor_depths or None,
        "sequence_data": sequence_data or None,
        "collapse_bands": collapse_bands or None,
        "masked_threshold": masked_threshold,
        "pad_border": pad_border or None,
    }
    typed = {name: value for name, value in typed.items() if value is not None}
    if kind is Format.MANIFEST:
        pixels = {"bands": bands, "level": level, "region": region, "overwrite": overwrite}
        pixels |= {"file_dimensions": file_dimensions, "format_options": format_options}
        _refuse(kind, {**pixels, **typed})
        from geobatch.cli.manifest_commands import export_manifest  # noqa: PLC0415

        asset_id, _, commit = asset.partition("@")
        file = None if destination is None else Path(destination)
        export_manifest(
            settings,
            asset_id,
            file=file,
            at=commit or None,
            project=project,
            uri_prefix=uri_prefix or "",
        )
        return Exit.OK
    _refuse(kind, {"project": project, "uri_prefix": uri_prefix})
    if destination is None:
        raise typer.BadParameter("DEST is missing: a folder, and the prefix of the files")
    from geobatch.cli.exporting import Asked, run_export  # noqa: PLC0415

    asked = Asked(
        asset=asset,
        destination=destination,
        bands=bands,
        level=level,
        region=region,
        file_dimensions=file_dimensions,
        overwrite=overwrite,
        options=typed,
        format_options=format_options,
    )
    return run_export(settings, asked, is_cog=kind is Format.COG)


def _refuse(kind: Format, options: Mapping[str, object]) -> None:
    """Refuse options that were given and have no effect on a format."""
    for name, value in options.items():
        if value:
            raise typer.BadParameter(
                f"`--{name.replace('_', '-')}` has no effect on `--format {kind}`"
            )
