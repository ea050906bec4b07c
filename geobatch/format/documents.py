"""The documents of a store as canonical JSON: assets, trees and commits."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct, ValidationError, convert, structs, to_builtins

from geobatch.format.trees.page import decode_tree_page, page_content
from geobatch.format.trees.paged import PagedTree, in_pages
from geobatch.format.versions import FORMAT, TREE_FORMAT, check_format, malformed, parse_document
from geobatch.model.assets.documents.asset_json import asset_from_json, recorded_json, visible_json
from geobatch.model.assets.documents.table_json import (
    stored_from_json,
    stored_json,
    visible_rows_json,
)
from geobatch.model.assets.fingerprint import external_content
from geobatch.model.assets.image import Raster
from geobatch.model.assets.table import Table
from geobatch.model.checks.measure import Measure
from geobatch.model.digest import Digest, Json, canonical_json, digest_bytes, digest_json
from geobatch.model.provenance import CheckoutPath, Provenance
from geobatch.model.published import (
    ArrayKey,
    AssetRecord,
    BandFingerprint,
    Commit,
    PageRef,
    Tree,
    TreeEntry,
)

__all__ = ["FORMAT", "check_format"]

_CONTENT_ROOT = "geobatch content root 1"
_PAGED_CONTENT_ROOT = "geobatch content root 2"


def encode_asset(record: AssetRecord) -> bytes:
    """Return the document of a published asset."""
    return asset_document(record)[0]


def asset_document(record: AssetRecord) -> tuple[bytes, Digest]:
    """Return the document of a published asset, and the Merkle hash of `asset_content`.

    What a reader can see is encoded once for both.
    """
    recorded = recorded_json(record.asset)
    if record.table is not None:
        recorded["rows"] = stored_json(record.table)
    else:
        recorded |= _tiles_json(record)
    visible = canonical_json(_visible(record))
    start = canonical_json({"format": FORMAT, "recorded": recorded})
    return b'%s,"visible":%s}' % (start[:-1], visible), digest_bytes(visible)


def _tiles_json(record: AssetRecord) -> dict[str, Any]:
    return {
        "pages": [
            None
            if root is None
            else {"stored": root.stored, "size": root.size, "tiles": root.tiles}
            for _, root in record.arrays
        ],
        "fingerprints": {
            band: {"base": fingerprint.base, "pyramid": fingerprint.pyramid}
            for band, fingerprint in record.fingerprints
        },
        # Absent without checks, as in documents written before they existed.
        **({"measures": _measures_json(record)} if record.measures else {}),
    }


def _measures_json(record: AssetRecord) -> dict[str, Any]:
    return {
        band: {name: measure.to_json() for name, measure in measures}
        for band, measures in record.measures
    }


def decode_asset(data: bytes, *, name: str = "asset document") -> AssetRecord:
    """Return the published asset of a document.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no asset document.
    """
    document = parse_document(data, name)
    try:
        visible, recorded = document["visible"], document["recorded"]
        asset = asset_from_json(visible, recorded)
        if isinstance(asset, Table):
            rows = stored_from_json(visible, recorded["rows"])
            return AssetRecord(asset=asset, arrays=(), fingerprints=(), table=rows)
        return AssetRecord(
            asset=asset,
            arrays=tuple(
                (
                    ArrayKey(band=seen["band"], level=seen["level"], is_mask=seen["is_mask"]),
                    None if page is None else PageRef(content=seen["content"], **page),
                )
                for seen, page in zip(visible["arrays"], recorded["pages"], strict=True)
            ),
            fingerprints=tuple(
                (band, BandFingerprint(**fingerprint))
                for band, fingerprint in sorted(recorded["fingerprints"].items())
            ),
            measures=tuple(
                (band, tuple((name, Measure.from_json(one)) for name, one in sorted(found.items())))
                for band, found in sorted(recorded.get("measures", {}).items())
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise malformed(name, "asset", error) from error


class _Source(Struct, frozen=True):
    uri: str
    digest: Digest


class _Tileset(Struct, frozen=True):
    sources: tuple[_Source, ...]


class _Recorded(Struct, frozen=True):
    tilesets: tuple[_Tileset, ...]


class _Sources(Struct, frozen=True):
    """What a document says of sources; the rest of it need not be decoded."""

    recorded: _Recorded


_decode_sources = msgspec.json.Decoder(_Sources).decode


def decode_sources(data: bytes, *, name: str = "asset document") -> list[tuple[str, Digest]]:
    """Return the uri and the digest of each source of the published image of a document.

    Raises:
        CorruptObjectError: It is no document of an image.
    """
    try:
        tilesets = _decode_sources(data).recorded.tilesets
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed(name, "asset", error) from error
    return [(source.uri, source.digest) for tileset in tilesets for source in tileset.sources]


def asset_content(record: AssetRecord) -> Digest:
    """Return the Merkle hash over all that a reader can see of an asset."""
    return digest_json(_visible(record))


def encode_tree(tree: Tree) -> bytes:
    """Return the document of a tree of the format 1, which is one page; nobody writes it now."""
    return canonical_json(
        {"format": FORMAT, "assets": [structs.asdict(entry) for entry in _sorted(tree.entries)]}
    )


def decode_tree(data: bytes, *, name: str = "tree document") -> Tree:
    """Return the tree of a document, if all of it is in this document: one page, or format 1.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no tree document, or names other pages.
    """
    page = decode_tree_page(data, name)
    if page.branches:
        raise malformed(name, "tree", ValueError(f"it names {len(page.branches)} pages"))
    return Tree(entries=page.entries)


def content_root(tree: Tree) -> Digest:
    """Return the Merkle hash over what readers see of a tree, equal on every machine."""
    tree = in_pages(tree)
    if isinstance(tree, PagedTree):
        return digest_json([_PAGED_CONTENT_ROOT, page_content(tree.pages.root)])
    assets = [[entry.id, entry.content] for entry in _sorted(tree.entries)]
    return digest_json([_CONTENT_ROOT, assets])


def encode_commit(commit: Commit) -> bytes:
    """Return the document of a commit."""
    document: dict[str, Json] = {
        "format": TREE_FORMAT,
        "parent": commit.parent,
        "tree": commit.tree,
        "content_root": commit.content_root,
        "time": commit.time,
        "message": commit.message,
        "tools": dict(commit.tools),
    }
    if commit.origins is not None:
        document["origins"] = commit.origins
    if commit.renamed:
        document["renamed"] = dict(commit.renamed)
    if commit.cubes:
        document["cubes"] = list(commit.cubes)
    if commit.provenance is not None:
        document["provenance"] = {
            key: value for key, value in to_builtins(commit.provenance).items() if value
        }
    return canonical_json(document)


def decode_commit(data: bytes, *, name: str = "commit document") -> Commit:
    """Return the commit of a document.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no commit document.
    """
    document = parse_document(data, name, newest=TREE_FORMAT)
    try:
        return Commit(
            parent=document["parent"],
            tree=document["tree"],
            content_root=document["content_root"],
            time=document["time"],
            message=document["message"],
            tools=tuple(sorted(document["tools"].items())),
            origins=document.get("origins"),
            renamed=tuple(sorted(document.get("renamed", {}).items())),
            provenance=_provenance(document.get("provenance")),
            cubes=tuple(sorted(map(str, document.get("cubes", ())))),
        )
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        raise malformed(name, "commit", error) from error


def _provenance(value: Json) -> Provenance | None:
    return None if value is None else convert(value, Provenance)


def encode_origins(
    origins: Mapping[str, str], checkouts: Mapping[str, CheckoutPath] = MappingProxyType({})
) -> bytes:
    """Return the document of where assets come from.

    Args:
        origins: Spec files, by asset id.
        checkouts: Where spec files are in their repositories, by spec file.
    """
    document: dict[str, Json] = {"format": FORMAT, "origins": dict(origins)}
    if found := {file: checkouts[file] for file in origins.values() if file in checkouts}:
        document["checkouts"] = {file: [one.repository, one.path] for file, one in found.items()}
    return canonical_json(document)


def encode_origins_root(root: Digest, checkouts: Mapping[str, CheckoutPath]) -> bytes:
    """Return the document of where assets come from, if that is in pages.

    Args:
        root: Digest of the topmost page.
        checkouts: Where spec files are in their repositories, by spec file.
    """
    document: dict[str, Json] = {"format": TREE_FORMAT, "root": root}
    if checkouts:
        paths = {file: [one.repository, one.path] for file, one in checkouts.items()}
        document["checkouts"] = paths
    return canonical_json(document)


def decode_origins(data: bytes, *, name: str = "origins document") -> dict[str, str] | Digest:
    """Return where assets come from, by asset id; or the digest of the topmost of their pages.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no such document.
    """
    document = parse_document(data, name, newest=TREE_FORMAT)
    try:
        if document["format"] == TREE_FORMAT:
            return str(document["root"])
        return {str(asset_id): str(origin) for asset_id, origin in document["origins"].items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise malformed(name, "origins", error) from error


def decode_checkouts(data: bytes, *, name: str = "origins document") -> dict[str, CheckoutPath]:
    """Return where spec files are in their repositories, by spec file; see `decode_origins`."""
    found = parse_document(data, name, newest=TREE_FORMAT).get("checkouts", {})
    try:
        return {file: CheckoutPath(*convert(one, tuple[str, str])) for file, one in found.items()}
    except (TypeError, AttributeError, ValidationError) as error:
        raise malformed(name, "origins", error) from error


def _visible(record: AssetRecord) -> dict[str, Any]:
    if isinstance(record.asset, Table) and record.table is not None:
        return {**visible_json(record.asset), **visible_rows_json(record.table, record.asset)}
    asset = record.image
    return {
        **visible_json(asset),
        "arrays": [
            {
                "band": key.band,
                "level": key.level,
                "is_mask": key.is_mask,
                "content": _array_content(asset, key, root),
            }
            for key, root in record.arrays
        ],
    }


def _array_content(asset: Raster, key: ArrayKey, root: PageRef | None) -> Digest | None:
    """Return the digest for the pixels of an array: of its tiles, or of its COGs."""
    if asset.is_external:
        return external_content(asset, key.band, level=key.level, is_mask=key.is_mask)
    return None if root is None else root.content


def _sorted(entries: Iterable[TreeEntry]) -> list[TreeEntry]:
    found = sorted(entries, key=lambda entry: entry.id)
    for first, second in itertools.pairwise(found):
        if first.id == second.id:
            raise ValueError(f"asset `{first.id}` appears twice in a tree")
    return found
