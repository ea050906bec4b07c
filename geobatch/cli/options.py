"""Arguments and options that several commands take, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Option

if TYPE_CHECKING:
    from geobatch.store.identity import ZarrView

LONGITUDE_LATITUDE = "EPSG:4326"

# No path is checked here: loading says what is wrong of every file, with its place.
Specs = Annotated[list[Path], Argument(metavar="SPECS...", help="Spec files or folders.")]
KeepProjectPrefix = Annotated[
    bool,
    Option(
        "--keep-project-prefix",
        help="Keep `projects/P/assets/` in the ids of Earth Engine manifests.",
    ),
]
Confined = Annotated[
    bool,
    Option(
        "--confine",
        help="Read only files in the project's folder, and what `allow` in geobatch.yaml names.",
    ),
]
AllowFrom = Annotated[
    Path | None,
    Option(
        "--allow-from",
        metavar="FILE",
        help="Confine, and take `allow` from this file, not from the project's geobatch.yaml.",
    ),
]

# What `plan` and `apply` cover.
Rehash = Annotated[
    bool,
    Option("--rehash", help="Read every source again, even if its size and time are unchanged."),
]
Select = Annotated[
    list[str] | None,
    Option(
        "--select",
        metavar="GLOB",
        help="Only assets whose id matches; also state:new and state:modified.",
    ),
]
Replace = Annotated[
    list[str] | None,
    Option(
        "--replace",
        metavar="GLOB",
        help="Compute these assets again, even if nothing changed.",
    ),
]
IsNewStore = Annotated[
    bool, Option("--init", help="Allow a store that does not exist yet; apply creates it.")
]
Prune = Annotated[bool, Option("--prune", help="Delete assets that these specs no longer declare.")]
MaxDelete = Annotated[
    str | None,
    Option(
        "--max-delete",
        metavar="N",
        help="Refuse to delete more than N assets: 3 or 25%.  [default: 20%]",
    ),
]

ExecutorText = Annotated[
    str | None,
    Option(
        "--executor",
        metavar="NAME",
        help="How tasks are run: threads, processes, serial, dask://local, dask://tcp://HOST:PORT.",
    ),
]
Views = Annotated[
    str | None,
    Option(
        "--views",
        metavar="VIEW=KIND,...",
        help="What a store keeps for other readers. stac=files: a STAC catalog; stac=none: none."
        " In a bucket, and for a new store only, zarr=copy: a plain Zarr tree; zarr=none: documents"
        " that refer to its objects.  [default: zarr=none,stac=none]",
    ),
]


def read_views_option(text: str | None, *, is_bucket: bool) -> tuple[ZarrView | None, bool | None]:
    """Return what `--views` says of `zarr`, and whether there is a catalog; None if nothing.

    Raises:
        BadParameter: It says something else, or the store is a folder and `zarr` is named.
    """
    from geobatch.store.identity import ZarrView  # noqa: PLC0415 - help needs none

    zarr = {f"zarr={kind.value}": kind for kind in ZarrView}
    stac = {"stac=files": True, "stac=none": False}
    found: dict[str, str] = {}
    for part in () if text is None else text.split(","):
        view = part.partition("=")[0]
        if part not in zarr and part not in stac:
            kinds = " or ".join((*zarr, *stac))
            raise BadParameter(f"`{part}` is not {kinds}.", param_hint="'--views'")
        if view in found:
            raise BadParameter(f"`{view}` is named twice.", param_hint="'--views'")
        found[view] = part
    if "zarr" in found and not is_bucket:
        raise BadParameter(
            "`zarr` is for stores in buckets; in a folder, `zarr/` consists of hard links.",
            param_hint="'--views'",
        )
    return zarr.get(found.get("zarr", "")), stac.get(found.get("stac", ""))


Yes = Annotated[bool, Option("-y", "--yes", help="Do not ask on a terminal.")]

# What is listed, and of which commit.
Since = Annotated[
    str | None, Option("--since", metavar="TIME", help="Only assets that end after this time.")
]
Until = Annotated[
    str | None, Option("--until", metavar="TIME", help="Only assets that start before it.")
]
Properties = Annotated[
    list[str] | None,
    Option(
        "--property",
        metavar="TEST",
        help="KEY=VALUE, also with != < <= > >=; all must be true. "
        "Quote it for the shell: 'cloud < 20'.",
    ),
]
Bounds = Annotated[
    str | None,
    Option("--bounds", metavar="L,B,R,T", help="Only assets that intersect this box."),
]
BoundsCrs = Annotated[
    str, Option("--bounds-crs", metavar="CRS", help="CRS of --bounds; x comes first.")
]
At = Annotated[
    str | None,
    Option("--at", metavar="COMMIT", help="A commit: digest, number, HEAD, HEAD~N or a pin."),
]
