"""Published assets to Earth Engine manifests: where their files are in a bucket, and the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from geobatch import buckets
from geobatch.declare.earth_engine.bucket_rules import bucket_notes
from geobatch.declare.earth_engine.bucket_uris import BUCKETS, bucket_uris
from geobatch.declare.earth_engine.to_manifest import Exported, export_manifest
from geobatch.declare.earth_engine.to_table_manifest import export_table
from geobatch.declare.hints import listed
from geobatch.declare.loading.load import raise_all
from geobatch.declare.projects.find import Projects
from geobatch.errors import ExportError
from geobatch.model.assets.asset import Asset, Table

_MIXER = ".json"


def manifest_of(asset: Asset, *, name: str, uri_prefix: str, origin: Path | None) -> Exported:
    """Return the manifest of a published asset.

    Args:
        asset: The asset.
        name: Its name in Earth Engine.
        uri_prefix: Where relative uris start in a bucket; empty where they stay as they are.
        origin: Absolute path of the spec file that published it; None where it is not known.

    Raises:
        ExportError: A manifest cannot say where the files are.
        SpecError: The project file is wrong.
    """
    uris = _uris(asset)
    rasters = [] if isinstance(asset, Table) else uris
    if mixers := [uri for uri in rasters if uri.lower().endswith(_MIXER)]:
        raise ExportError(
            f"`{asset.id}` is made of TFRecord files, and which shards belong to "
            f"{listed(mixers)} is not"
            " recorded",
            hint="write the manifest by hand: `uris` are the shards and the mixer",
        )
    folder = Path.cwd() if origin is None else origin.parent
    projects = Projects()
    project = projects.of(folder)
    raise_all(projects.problems)
    found, left = bucket_uris(uris, project=project, folder=folder, prefix=uri_prefix)
    if left and uri_prefix:
        where = project.path or "geobatch.yaml"
        raise ExportError(
            f"{len(left)} of {len(uris)} uris of `{asset.id}` cannot be written as `{BUCKETS}` "
            "uris:"
            f" {listed(left)}",
            hint=f"map the folder to a bucket in `{where}` beside or above the spec:"
            f' `uri_map: {{"{uri_prefix.rstrip("/")}/": data/}}`',
        )
    every = [found.get(uri, uri) for uri in uris]
    is_shared = bool(uri_prefix) and all(uri.startswith(uri_prefix) for uri in every)
    prefix = uri_prefix if is_shared else ""
    mapped = _with_uris(asset, found)
    if isinstance(mapped, Table):
        made = export_table(mapped, name=name, uri_prefix=prefix)
    else:
        made = export_manifest(mapped, name=name, uri_prefix=prefix)
    # The guide has rules for the buckets of COGs alone: what is ingested is read once.
    rules = (
        []
        if isinstance(asset, Table) or not asset.is_external
        else bucket_notes(every, buckets.place_of)
    )
    return replace(made, notes=(*_local(left, uris), *made.notes, *rules))


def _local(left: Sequence[str], uris: Sequence[str]) -> list[str]:
    if not left:
        return []
    note = (
        f"Earth Engine reads only `gs://` uris, and {len(left)} of {len(uris)} uris are not, "
        "such as"
        f" `{left[0]}`; name their bucket with `--uri-prefix gs://BUCKET/` or a `uri_map`"
    )
    return [note]


def _uris(asset: Asset) -> list[str]:
    if isinstance(asset, Table):
        return [source.uri for source in asset.sources]
    return [source.uri for tileset in asset.tilesets for source in tileset.sources]


def _with_uris(asset: Asset, found: Mapping[str, str]) -> Asset:
    if isinstance(asset, Table):
        sources = (replace(s, uri=found.get(s.uri, s.uri)) for s in asset.sources)
        return replace(asset, sources=tuple(sources))
    return replace(
        asset,
        tilesets=tuple(
            replace(
                tileset,
                sources=tuple(replace(s, uri=found.get(s.uri, s.uri)) for s in tileset.sources),
            )
            for tileset in asset.tilesets
        ),
    )
