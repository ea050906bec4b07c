"""The command `export`: its options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, BadParameter, Context, Option

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

Format = Literal["tfrecord", "cog", "parquet", "csv", "stac", "manifest"]
"""What an asset can be exported as."""

app = group()


@app.command(cls=Command, epilog=EPILOG)
def export(
    context: Context,
    asset: Annotated[
        str,
        Argument(
            metavar="ASSET[@COMMIT]",
            help="Asset id, in the newest commit or in COMMIT; a pattern such as 's2/*' for many.",
        ),
    ],
    destination: Annotated[
        str | None,
        Argument(
            metavar="[DEST]",
            help="Folder and prefix of the files; with a folder alone, the prefix is the asset's "
            "name. For STAC: a folder. For a manifest: a file; stdout by default.",
        ),
    ] = None,
    *,
    kind: Annotated[
        Format,
        Option(
            "--format", metavar="[tfrecord|cog|parquet|csv|stac|manifest]", help="What to write."
        ),
    ],
    bands: Annotated[
        str | None,
        Option(
            "--bands",
            metavar="A,B",
            help="Bands and array bands to write, in this order.  [default: all]",
        ),
    ] = None,
    level: Annotated[
        int, Option("--level", metavar="N", min=0, help="Level; 0 is the finest.")
    ] = 0,
    region: Annotated[
        str | None,
        Option(
            "--region",
            metavar="XMIN,YMIN,XMAX,YMAX",
            help="Only the pixels that this box touches, in the asset's CRS.",
        ),
    ] = None,
    file_dimensions: Annotated[
        str | None,
        Option(
            "--file-dimensions",
            metavar="W,H",
            help="Size of each COG in pixels, multiples of 512.  [default: one COG for all]",
        ),
    ] = None,
    compress: Annotated[
        str | None,
        Option(
            "--compress",
            metavar="[zstd|deflate|lzw|none]",
            help="How a COG is compressed; each keeps every bit.  [default: zstd]",
        ),
    ] = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Replace the files of an earlier export.")
    ] = False,
    patch_dimensions: Annotated[
        str | None,
        Option(
            "--patch-dimensions",
            metavar="W,H",
            help="Size of a patch in pixels.  [default: 256,256]",
        ),
    ] = None,
    kernel_size: Annotated[
        str | None,
        Option(
            "--kernel-size",
            metavar="W,H",
            help="Pixels added to a patch, half on each side, so that neighbours overlap.  "
            "[default: 1,1, which adds nothing]",
        ),
    ] = None,
    compressed: Annotated[
        bool | None,
        Option("--compressed/--uncompressed", help="Whether to use GZIP.  [default: compressed]"),
    ] = None,
    max_file_size: Annotated[
        int | None,
        Option(
            "--max-file-size",
            metavar="BYTES",
            help="Largest size of a shard before compression.  [default: 1 GiB]",
        ),
    ] = None,
    default_value: Annotated[
        float | None,
        Option(
            "--default-value",
            metavar="X",
            help="Value of pixels that are fully or partly masked, or outside the image.  "
            "[default: 0]",
        ),
    ] = None,
    tensor_depths: Annotated[
        list[str] | None,
        Option(
            "--tensor-depths",
            metavar="NAME=N",
            help="Depth of an array band.  [default: the number of its bands]",
        ),
    ] = None,
    sequence_data: Annotated[
        bool,
        Option(
            "--sequence-data",
            help="Write a SequenceExample per pixel, with array bands as sequences.",
        ),
    ] = False,
    collapse_bands: Annotated[
        bool,
        Option(
            "--collapse-bands", help="Write all bands as one tensor, named after the first band."
        ),
    ] = False,
    masked_threshold: Annotated[
        float | None,
        Option(
            "--masked-threshold",
            metavar="SHARE",
            help="Drop patches with a larger share of masked pixels; below 1, no mixer is "
            "written.  [default: 1]",
        ),
    ] = None,
    pad_border: Annotated[
        bool,
        Option("--pad-border", help="Keep patches at the edges that the image fills only partly."),
    ] = False,
    format_options: Annotated[
        str | None,
        Option(
            "--format-options",
            metavar="JSON",
            help='The same options as JSON, in Earth Engine form: {"patchDimensions": [256, 256]}.',
        ),
    ] = None,
    project: Annotated[
        str | None, Option("--project", metavar="NAME", help="Earth Engine project of a manifest.")
    ] = None,
    uri_prefix: Annotated[
        str | None,
        Option(
            "--uri-prefix",
            metavar="gs://...",
            help="Bucket of a manifest's local files, if no `uri_map` names one.",
        ),
    ] = None,
) -> Exit:
    """Write assets as TFRecord, COG, GeoParquet or CSV, a STAC catalog, or a manifest."""
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
    if kind == "manifest":
        pixels = {"bands": bands, "level": level, "region": region, "overwrite": overwrite}
        pixels |= {"file_dimensions": file_dimensions, "format_options": format_options}
        pixels |= {"compress": compress}
        _refuse(kind, {**pixels, **typed})
        from geobatch.cli.commands.export.manifest_run import export_manifest

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
    if kind == "stac":
        pixels = {"bands": bands, "level": level, "region": region, "compress": compress}
        pixels |= {"file_dimensions": file_dimensions, "format_options": format_options}
        _refuse(kind, {**pixels, **typed})
    if destination is None:
        raise BadParameter("DEST is missing: name a folder and the prefix of the files")
    if kind == "stac":
        from geobatch.cli.commands.export.catalog_run import run_catalog

        run_catalog(settings, asset, destination, overwrite=overwrite)
        return Exit.OK
    from geobatch.cli.commands.export.export_run import Asked, run_export

    asked = Asked(
        asset=asset,
        destination=destination,
        bands=bands,
        level=level,
        region=region,
        file_dimensions=file_dimensions,
        compress=compress,
        overwrite=overwrite,
        options=typed,
        format_options=format_options,
    )
    return run_export(settings, asked, kind=kind)


def _refuse(kind: str, options: Mapping[str, object]) -> None:
    """Refuse options that were given and have no effect on a format."""
    for name, value in options.items():
        if value:
            raise BadParameter(f"`--{name.replace('_', '-')}` has no effect with `--format {kind}`")
