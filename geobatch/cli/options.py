"""Arguments and options that several commands take, each declared once."""

from __future__ import annotations

from pathlib import Path

import click

LONGITUDE_LATITUDE = "EPSG:4326"

# No path is checked here: loading says what is wrong of every file, with its place.
paths_argument = click.argument(
    "paths",
    metavar="SPECS...",
    nargs=-1,
    required=True,
    type=Path,
    help="Spec files or folders.",
)
keep_project_prefix_option = click.option(
    "--keep-project-prefix",
    is_flag=True,
    help="Keep `projects/P/assets/` in the ids of Earth Engine manifests.",
)

# What `plan` and `apply` cover.
rehash_option = click.option(
    "--rehash",
    is_flag=True,
    help="Read every source again, even if its size and time are unchanged.",
)
select_option = click.option(
    "--select",
    metavar="GLOB",
    multiple=True,
    help="Only assets whose id matches; also state:new and state:modified.",
)
replace_option = click.option(
    "--replace",
    metavar="GLOB",
    multiple=True,
    help="Compute these assets again, even if nothing changed.",
)
init_option = click.option(
    "--init",
    "is_new_store",
    is_flag=True,
    help="Allow a store that does not exist yet; apply creates it.",
)
prune_option = click.option(
    "--prune", is_flag=True, help="Delete assets that these specs no longer declare."
)
max_delete_option = click.option(
    "--max-delete",
    metavar="N",
    help="Refuse to delete more than N assets: 3 or 25%.  [default: 20%]",
)

# What is listed, and of which commit.
since_option = click.option("--since", metavar="TIME", help="Only assets that end after this time.")
until_option = click.option("--until", metavar="TIME", help="Only assets that start before it.")
property_option = click.option(
    "--property",
    "properties",
    metavar="TEST",
    multiple=True,
    help="KEY=VALUE, also with != < <= > >=; all must be true. "
    "Quote it for the shell: 'cloud < 20'.",
)
bounds_option = click.option(
    "--bounds", metavar="L,B,R,T", help="Only assets that intersect this box."
)
bounds_crs_option = click.option(
    "--bounds-crs",
    metavar="CRS",
    default=LONGITUDE_LATITUDE,
    show_default=True,
    help="CRS of --bounds; x comes first.",
)
at_option = click.option("--at", metavar="COMMIT", help="A commit: digest, number, HEAD or HEAD~N.")
