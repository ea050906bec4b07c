"""The command `export`: its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

FORMATS = ("tfrecord", "cog", "manifest")
"""What an asset can be exported as."""


@click.command(epilog=EPILOG)
@click.argument(
    "asset", metavar="ASSET[@COMMIT]", help="Asset id, in the newest commit or in COMMIT."
)
@click.argument(
    "destination",
    metavar="[DEST]",
    required=False,
    help="Folder and prefix of the files; with a folder alone, the prefix is the asset's name. "
    "For a manifest: a file; stdout by default.",
)
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True, help="What to write.")
@click.option(
    "--bands", metavar="A,B", help="Bands and array bands to write, in this order.  [default: all]"
)
@click.option(
    "--level",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Level; 0 is the finest.",
)
@click.option(
    "--region",
    metavar="XMIN,YMIN,XMAX,YMAX",
    help="Only the pixels that this box touches, in the asset's CRS.",
)
@click.option(
    "--file-dimensions",
    metavar="W,H",
    help="Size of each COG in pixels, multiples of 512.  [default: one COG for all]",
)
@click.option("--overwrite", is_flag=True, help="Replace the files of an earlier export.")
@click.option(
    "--patch-dimensions", metavar="W,H", help="Size of a patch in pixels.  [default: 256,256]"
)
@click.option(
    "--kernel-size",
    metavar="W,H",
    help="Pixels added to a patch, half on each side, so that neighbours overlap.  "
    "[default: 1,1, which adds nothing]",
)
@click.option(
    "--compressed/--uncompressed", default=None, help="Whether to use GZIP.  [default: compressed]"
)
@click.option(
    "--max-file-size",
    metavar="BYTES",
    type=int,
    help="Largest size of a shard before compression.  [default: 1 GiB]",
)
@click.option(
    "--default-value",
    metavar="X",
    type=float,
    help="Value of pixels that are fully or partly masked, or outside the image.  [default: 0]",
)
@click.option(
    "--tensor-depths",
    metavar="NAME=N",
    multiple=True,
    help="Depth of an array band.  [default: the number of its bands]",
)
@click.option(
    "--sequence-data",
    is_flag=True,
    help="Write a SequenceExample per pixel, with array bands as sequences.",
)
@click.option(
    "--collapse-bands",
    is_flag=True,
    help="Write all bands as one tensor, named after the first band.",
)
@click.option(
    "--masked-threshold",
    metavar="SHARE",
    type=float,
    help="Drop patches with a larger share of masked pixels; below 1, no mixer is written.  "
    "[default: 1]",
)
@click.option(
    "--pad-border",
    is_flag=True,
    help="Keep patches at the edges that the image fills only partly.",
)
@click.option(
    "--format-options",
    metavar="JSON",
    help='The same options as JSON, in Earth Engine form: {"patchDimensions": [256, 256]}.',
)
@click.option("--project", metavar="NAME", help="Earth Engine project of a manifest.")
@click.option(
    "--uri-prefix",
    metavar="gs://...",
    help="Bucket of a manifest's local files, if no `uri_map` names one.",
)
@click.pass_obj
def export(
    settings: Settings,
    asset: str,
    destination: str | None,
    *,
    kind: str,
    bands: str | None,
    level: int,
    region: str | None,
    file_dimensions: str | None,
    overwrite: bool,
    patch_dimensions: str | None,
    kernel_size: str | None,
    compressed: bool | None,
    max_file_size: int | None,
    default_value: float | None,
    tensor_depths: tuple[str, ...],
    sequence_data: bool,
    collapse_bands: bool,
    masked_threshold: float | None,
    pad_border: bool,
    format_options: str | None,
    project: str | None,
    uri_prefix: str | None,
) -> Exit:
    """Write an asset as TFRecord with its mixer, as a COG, or as an Earth Engine manifest."""
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
    if kind == "manifest":
        pixels = {"bands": bands, "level": level, "region": region, "overwrite": overwrite}
        pixels |= {"file_dimensions": file_dimensions, "format_options": format_options}
        _refuse(kind, {**pixels, **typed})
        from geobatch.cli.commands.earth_engine import export_manifest  # noqa: PLC0415

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
        raise click.BadParameter("DEST is missing: name a folder and the prefix of the files")
    from geobatch.cli.commands.export_run import Asked, run_export  # noqa: PLC0415

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
    return run_export(settings, asked, is_cog=kind == "cog")


def _refuse(kind: str, options: Mapping[str, object]) -> None:
    """Refuse options that were given and have no effect on a format."""
    for name, value in options.items():
        if value:
            raise click.BadParameter(
                f"`--{name.replace('_', '-')}` has no effect with `--format {kind}`"
            )
