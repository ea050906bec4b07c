"""Documents come back as they were, and their hashes say what readers see and nothing else."""

from __future__ import annotations

import json

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, FormatError
from geobatch.format.documents import (
    asset_content,
    content_root,
    decode_asset,
    decode_commit,
    decode_tree,
    encode_asset,
    encode_commit,
    encode_tree,
)
from geobatch.model.assets.asset import Band, Codec, FileStat, Masking, MaskSource, Policy
from geobatch.model.digest import digest_bytes
from geobatch.model.published import AssetRecord, Commit, PageRef, Tree, TreeEntry
from geobatch.testing.assets import records

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
ENTRIES = st.builds(
    TreeEntry,
    id=st.text("ab/", min_size=1, max_size=4),
    kind=st.just("image"),
    content=DIGESTS,
    stored=DIGESTS,
    fingerprint=DIGESTS,
    is_protected=st.booleans(),
)
TREES = st.lists(ENTRIES, max_size=4, unique_by=lambda entry: entry.id)
PAGE = PageRef(content="0" * 64, stored="1" * 64, size=608, tiles=1)
BAND = Band(
    id="another",
    grid="g",
    tileset="t",
    index=0,
    dtype="uint8",
    policy=Policy.MEAN,
    fill=0,
    masking=Masking(source=MaskSource.NONE),
)


@settings(max_examples=examples(20, 150))
@given(records())
def test_an_asset_comes_back(record: AssetRecord) -> None:
    data = encode_asset(record)
    again = decode_asset(data)
    assert encode_asset(again) == data
    # NaN is not equal to itself: the text of a value is.
    assert str(again) == str(_with_plain_numbers(record))


def _with_plain_numbers(record: AssetRecord) -> AssetRecord:
    """Return a record whose numbers have the type that their place asks for."""
    bands = tuple(
        replace(band, fill=float(band.fill) if band.is_float else band.fill)
        for band in record.image.bands
    )
    return replace(record, asset=replace(record.asset, bands=bands))


@settings(max_examples=examples(20, 150))
@given(records())
def test_an_asset_document_is_canonical(record: AssetRecord) -> None:
    data = encode_asset(record)
    document = json.loads(data)
    assert document["format"] == 1
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert plain.encode() == data
    visible = json.dumps(
        document["visible"], sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert asset_content(record) == digest_bytes(visible.encode())


@settings(max_examples=examples(20, 150))
@given(records(), DIGESTS)
def test_what_no_reader_sees_stays_out_of_the_content(record: AssetRecord, digest: str) -> None:
    asset = record.image
    stat = FileStat(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)
    tilesets = tuple(
        replace(
            tileset,
            sources=tuple(
                replace(
                    source,
                    uri="elsewhere",
                    # What an external image shows is known by its COGs and footprint alone.
                    digest=source.digest if asset.is_external else digest,
                    path="/p",
                    stat=stat,
                    pin=None,
                )
                for source in tileset.sources
            ),
        )
        for tileset in asset.tilesets
    )
    other = replace(
        record,
        asset=replace(
            asset,
            tilesets=tilesets,
            codec=Codec(name="none", level=0),
            memo="other",
            is_protected=not asset.is_protected,
            footprint=asset.footprint if asset.is_external else None,
            origin="specs/a.yaml:3",
        ),
        arrays=tuple(
            (key, None if root is None else replace(root, stored=digest, size=1))
            for key, root in record.arrays
        ),
        fingerprints=(),
    )
    assert asset_content(other) == asset_content(record)


@settings(max_examples=examples(20, 150))
@given(records())
def test_the_machine_stays_out_of_the_document(record: AssetRecord) -> None:
    stat = FileStat(device=1, inode=2, size=3, mtime_ns=4, ctime_ns=5)
    tilesets = tuple(
        replace(
            tileset,
            sources=tuple(
                replace(source, path="/p", stat=stat, block=(7, 9)) for source in tileset.sources
            ),
        )
        for tileset in record.image.tilesets
    )
    here = replace(record, asset=replace(record.asset, tilesets=tilesets, origin="here:1"))
    assert encode_asset(here) == encode_asset(record)


@settings(max_examples=examples(20, 150))
@given(records(), DIGESTS)
def test_what_readers_see_moves_the_content(record: AssetRecord, digest: str) -> None:
    asset = record.image
    seen = asset_content(record)
    others = [
        replace(asset, id=f"{asset.id}x"),
        replace(asset, properties=(*asset.properties, ("zzzzzzz", 1))),
        replace(asset, start_time="2024-01-01T00:00:00Z"),
        replace(asset, end_time="2024-01-01T00:00:00Z"),
        replace(asset, tile=asset.tile * 2),
        replace(asset, bands=asset.bands[::-1] if len(asset.bands) > 1 else (*asset.bands, BAND)),
    ]
    for other in others:
        assert asset_content(replace(record, asset=other)) != seen
    if asset.is_external:
        by_id = {tileset.id: tileset for tileset in asset.tilesets}
        for band in asset.bands:
            used = by_id[band.tileset]
            moved_cogs = tuple(replace(s, digest=digest) for s in used.sources)
            tilesets = {**by_id, used.id: replace(used, sources=moved_cogs)}
            other = replace(asset, tilesets=tuple(tilesets.values()))
            is_moved = any(s.digest != digest for s in used.sources)
            assert (asset_content(replace(record, asset=other)) != seen) is is_moved
        return
    for at, (key, root) in enumerate(record.arrays):
        changed = None if root is not None else PAGE
        moved = (*record.arrays[:at], (key, changed), *record.arrays[at + 1 :])
        assert asset_content(replace(record, arrays=moved)) != seen
        if root is not None and root.content != digest:
            moved = (*record.arrays[:at], (key, replace(root, content=digest)))
            assert asset_content(replace(record, arrays=moved)) != seen


@given(TREES)
def test_a_tree_comes_back_sorted(entries: list[TreeEntry]) -> None:
    tree = Tree(entries=tuple(sorted(entries, key=lambda entry: entry.id)))
    unsorted = Tree(entries=tuple(entries))
    assert decode_tree(encode_tree(tree)) == tree
    assert encode_tree(unsorted) == encode_tree(tree)
    assert content_root(unsorted) == content_root(tree)


@given(TREES, DIGESTS)
def test_the_content_root_says_ids_and_contents(entries: list[TreeEntry], digest: str) -> None:
    root = content_root(Tree(entries=tuple(entries)))
    recorded = [replace(e, stored=digest, fingerprint=digest, is_protected=True) for e in entries]
    assert content_root(Tree(entries=tuple(recorded))) == root
    for at, entry in enumerate(entries):
        others = [*entries[:at], *entries[at + 1 :]]
        assert content_root(Tree(entries=tuple(others))) != root
        renamed = (*others, replace(entry, id=f"{entry.id}c"))
        assert content_root(Tree(entries=renamed)) != root
        if entry.content != digest:
            changed = (*others, replace(entry, content=digest))
            assert content_root(Tree(entries=changed)) != root


@given(
    st.builds(
        Commit,
        parent=st.none() | DIGESTS,
        tree=DIGESTS,
        content_root=DIGESTS,
        time=st.just("2026-01-01T00:00:00Z"),
        message=st.text(st.characters(codec="utf-8")),
        tools=st.dictionaries(st.text("ab"), st.text("12.")).map(
            lambda d: tuple(sorted(d.items()))
        ),
    )
)
def test_a_commit_comes_back(commit: Commit) -> None:
    assert decode_commit(encode_commit(commit)) == commit


@pytest.mark.parametrize(
    ("decode", "newest"), [(decode_asset, 1), (decode_tree, 2), (decode_commit, 2)]
)
def test_what_is_no_document_is_refused(decode: object, newest: int) -> None:
    assert callable(decode)
    with pytest.raises(FormatError, match=f"format {newest + 1}, .* reads {newest}"):
        decode(b'{"format":%d}' % (newest + 1))
    for version in (b"0", b'"1"', b"null", b"true"):
        with pytest.raises(FormatError, match=f"expected {newest}"):
            decode(b'{"format":%s}' % version)
    for data in (b"", b"\xff", b"[]", b'{"format":1}', b'{"format":1,"assets":[{"id":1}]}'):
        with pytest.raises(CorruptObjectError, match="document"):
            decode(data)
