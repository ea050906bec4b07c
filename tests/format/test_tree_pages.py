"""Trees in pages against a dictionary: equal assets give equal pages, whatever the history."""

from __future__ import annotations

import json
import pickle
import random
from collections.abc import Iterator, Mapping, Sequence

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, FormatError
from geobatch.format.documents import content_root, encode_tree
from geobatch.format.trees.building import Builder
from geobatch.format.trees.page import (
    ASSETS,
    ORIGINS,
    SHAPE,
    Branch,
    Origin,
    Page,
    Shape,
    decode_origins_page,
    decode_tree_page,
)
from geobatch.format.trees.paged import PagedTree, Pages, in_pages, pages_of
from geobatch.model.digest import Digest, canonical_json, digest_bytes, digest_json
from geobatch.model.published import Tree, TreeEntry

SMALL = Shape(most=3, bits=1)
"""Pages of two assets, so that few assets make a tree of several heights."""
IDS = st.text("ab/", min_size=1, max_size=6)
NONE: Mapping[Digest, bytes] = {}


def digest(text: str) -> Digest:
    return digest_bytes(text.encode())


def entry(asset_id: str, value: int = 0) -> TreeEntry:
    return TreeEntry(
        id=asset_id,
        kind="image",
        content=digest(f"content {asset_id} {value}"),
        stored=digest(f"stored {asset_id} {value}"),
        fingerprint=digest(f"fingerprint {asset_id} {value}"),
        is_protected=bool(value % 2),
        tiles=value,
    )


class Shelf:
    """Documents of pages, as a store keeps them; counts what is read."""

    def __init__(self) -> None:
        self.documents: dict[Digest, bytes] = {}
        self.read: list[Digest] = []

    def pages(self, branches: Sequence[Branch], *, height: int) -> Iterator[Page[TreeEntry]]:
        for branch in branches:
            data = self.documents[branch.stored]
            assert digest_bytes(data) == branch.stored
            page = decode_tree_page(data)
            assert page.height == height
            assert ASSETS.branch(page, data) == branch
            self.read.append(branch.stored)
            yield page

    def keep(self, pages: Pages[TreeEntry], *, shape: Shape = SMALL) -> Pages[TreeEntry]:
        """Put a tree, and open it again."""
        self.documents |= pages.documents
        root = decode_tree_page(self.documents[pages.stored])
        return Pages(ASSETS, root, self, shape=shape)


def at_once(assets: Mapping[str, TreeEntry]) -> Pages[TreeEntry]:
    return pages_of(ASSETS, [assets[name] for name in sorted(assets)], shape=SMALL)


STEPS = st.lists(
    st.dictionaries(IDS, st.none() | st.integers(0, 3), min_size=1, max_size=12), max_size=8
)


@given(st.dictionaries(IDS, st.integers(0, 3), max_size=60), STEPS, st.booleans())
def test_changes_give_the_pages_that_all_assets_give_at_once(
    start: dict[str, int], steps: list[dict[str, int | None]], is_put: bool
) -> None:
    shelf = Shelf()
    oracle = {name: entry(name, value) for name, value in start.items()}
    pages = shelf.keep(at_once(oracle))
    for step in steps:
        changes = {
            name: None if value is None else entry(name, value) for name, value in step.items()
        }
        pages = pages.edited(changes)
        for name, one in changes.items():
            oracle.pop(name, None) if one is None else oracle.__setitem__(name, one)
        if is_put:
            pages = shelf.keep(pages)
        whole = at_once(oracle)
        assert pages.stored == whole.stored
        assert list(pages.items()) == [oracle[name] for name in sorted(oracle)]
        # All that the tree consists of is there: put before, or among its documents.
        there = shelf.documents | dict(pages.documents)
        assert dict(there).items() >= dict(whole.documents).items()


@given(st.dictionaries(IDS, st.integers(0, 3), max_size=60), st.lists(IDS, max_size=5))
def test_lookups_and_prefixes_agree(start: dict[str, int], asked: list[str]) -> None:
    oracle = {name: entry(name, value) for name, value in start.items()}
    shelf = Shelf()
    tree = PagedTree(shelf.keep(at_once(oracle)))
    for name in (*asked, *oracle):
        assert tree.entry(name) == oracle.get(name)
        assert [one.id for one in tree.below(name)] == [
            other for other in sorted(oracle) if other.startswith(name)
        ]
    assert (tree.count, tree.tiles) == (
        len(oracle),
        sum(one.tiles for one in oracle.values()),
    )
    plain = Tree(entries=[oracle[name] for name in sorted(oracle)])
    assert tree == plain == pickle.loads(pickle.dumps(tree))
    assert plain == tree


@given(
    st.dictionaries(IDS, st.integers(0, 3), max_size=60),
    st.dictionaries(IDS, st.none() | st.integers(0, 3), max_size=20),
)
def test_differences_are_those_of_dictionaries(
    start: dict[str, int], step: dict[str, int | None]
) -> None:
    old = {name: entry(name, value) for name, value in start.items()}
    new = dict(old)
    for name, value in step.items():
        new.pop(name, None) if value is None else new.__setitem__(name, entry(name, value))
    shelf = Shelf()
    a, b = (PagedTree(shelf.keep(at_once(one))) for one in (old, new))
    expected = {
        name: (old.get(name), new.get(name))
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    }
    shelf.read.clear()
    assert a.differences(b) == expected
    common = at_once(old).documents.keys() & at_once(new).documents.keys()
    if a.pages.root.height == b.pages.root.height:
        assert not common & set(shelf.read), "pages that both have are not read"
    plain = Tree(entries=[new[name] for name in sorted(new)])
    assert a.differences(plain) == expected
    assert plain.differences(a) == {name: (b, a) for name, (a, b) in expected.items()}


def many(count: int) -> dict[str, TreeEntry]:
    return {f"year/{number % 7}/{number:06}": entry(f"year/{number % 7}/{number:06}") for number in
            range(count)}  # fmt: skip


def opened(assets: Mapping[str, TreeEntry]) -> tuple[Shelf, PagedTree]:
    shelf = Shelf()
    pages = pages_of(ASSETS, [assets[name] for name in sorted(assets)])
    return shelf, PagedTree(shelf.keep(pages, shape=SHAPE))


def test_one_changed_asset_reads_and_makes_one_page_of_each_height() -> None:
    assets = many(20_000)
    shelf, tree = opened(assets)
    height = tree.pages.root.height
    assert height > 2
    name = random.Random(1).choice(sorted(assets))
    after = tree.changed({name: entry(name, 1)})
    assert isinstance(after, PagedTree)
    assert len(shelf.read) == height - 1
    assert len(after.pages.documents) == height
    shelf.read.clear()
    assert list(tree.differences(PagedTree(shelf.keep(after.pages, shape=SHAPE)))) == [name]
    assert len(shelf.read) == 2 * (height - 1)


def test_the_content_root_is_that_of_the_ids_and_contents_alone() -> None:
    """Of few assets it is as it was before there were pages; of many that of their pages."""
    few = [one for _, one in sorted(many(SHAPE.most).items())]
    pairs = [[one.id, one.content] for one in few]
    assert content_root(Tree(entries=few)) == digest_json(["geobatch content root 1", pairs])
    assets = many(SHAPE.most + 1000)
    _, tree = opened(assets)
    plain = Tree(entries=[one for _, one in sorted(assets.items())])
    assert content_root(tree) == content_root(plain) == expected_root(plain.entries)
    others = [replace(one, stored="0" * 64, fingerprint="1" * 64) for one in plain.entries]
    assert content_root(Tree(entries=others)) == content_root(tree)
    name = sorted(assets)[1234]
    changed = replace(assets[name], content="0" * 64)
    assert content_root(tree.changed({name: changed})) != content_root(tree)
    assert content_root(tree.changed({name: None})) != content_root(tree)


def expected_root(entries: Sequence[TreeEntry]) -> Digest:
    """Return the content root as docs/format.md says it, without any code of geobatch."""

    def zeros(name: str) -> int:
        bits = "".join(f"{byte:08b}" for byte in blake3(name.encode()).digest())
        return len(bits) - len(bits.lstrip("0"))

    pages: list[tuple[str, list[object]]] = []
    for one in entries:
        if not pages or zeros(one.id) >= 8:
            pages.append((one.id, []))
        pages[-1][1].append([one.id, one.content])
    height = 1
    while True:
        made = [
            (first, digest_json(["geobatch tree page 1", height, rows])) for first, rows in pages
        ]
        if len(made) == 1:
            return digest_json(["geobatch content root 2", made[0][1]])
        height += 1
        pages = []
        for first, content in made:
            if not pages or zeros(first) >= 8 * height:
                pages.append((first, []))
            pages[-1][1].append(content)


@pytest.mark.parametrize("count", [0, 1, SHAPE.most])
def test_few_assets_are_one_page(count: int) -> None:
    entries = [one for _, one in sorted(many(count).items())]
    assert in_pages(Tree(entries=entries)) == Tree(entries=entries)
    pages = pages_of(ASSETS, entries)
    (data,) = pages.documents.values()
    assert json.loads(data) == {
        "format": 2,
        "height": 1,
        "assets": [json.loads(encode_tree(Tree(entries=[one])))["assets"][0] for one in entries],
    }
    # Neither growth beyond one page nor the way back leaves a trace.
    grown = pages.edited({f"z{n}": entry(f"z{n}") for n in range(SHAPE.most + 1)})
    assert grown.root.height > 1
    back = grown.edited({f"z{n}": None for n in range(SHAPE.most + 1)})
    assert back.stored == pages.stored


def test_a_tree_of_format_1_is_one_page_of_any_size() -> None:
    entries = [one for _, one in sorted(many(5000).items())]
    page = decode_tree_page(encode_tree(Tree(entries=entries)))
    assert (page.height, list(page.entries)) == (1, entries)


@given(st.dictionaries(IDS, st.integers(0, 3), max_size=40), STEPS)
def test_origins_in_pages(start: dict[str, int], steps: list[dict[str, int | None]]) -> None:
    oracle = {name: f"specs/{value}.yaml" for name, value in start.items()}

    def whole() -> Pages[Origin]:
        return pages_of(ORIGINS, [Origin(*one) for one in sorted(oracle.items())], shape=SMALL)

    pages = whole()
    for step in steps:
        changes = {
            name: None if value is None else Origin(name, f"specs/{value}.yaml")
            for name, value in step.items()
        }
        for name, one in changes.items():
            oracle.pop(name, None) if one is None else oracle.__setitem__(name, one.file)
        pages = pages.edited(changes)
        assert pages.stored == whole().stored
        assert {one.id: one.file for one in pages.items()} == oracle
    for data in pages.documents.values():
        page = decode_origins_page(data, "a page")
        assert ORIGINS.encode(page) == data


def test_all_heights_are_there_to_restore_a_page_of_any() -> None:
    entries = [one for _, one in sorted(many(20_000).items())]
    pages = pages_of(ASSETS, entries)
    assert Builder(ASSETS).layers(entries).keys() >= pages.documents.keys()


LEAF = {"format": 2, "height": 1, "assets": []}
INNER = {"first": "a", "stored": "0" * 64, "assets": 1, "tiles": 0, "content": "0" * 64}


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"height": 2},
        {"height": "1"},
        {"assets": None},
        {"pages": [INNER]},
        {"height": 2, "pages": []},
        {"height": 2, "pages": [INNER], "assets": [{"id": 1}]},
        {"assets": [{"id": "a"}]},
        {"height": 2, "assets": None, "pages": [INNER, INNER]},
        {"assets": [json.loads(encode_tree(Tree(entries=[entry("a")])))["assets"][0]] * 2},
    ],
)
@pytest.mark.parametrize("decode", [decode_tree_page, decode_origins_page])
def test_what_is_no_page_is_refused(change: dict[str, object], decode: object) -> None:
    assert callable(decode)
    document = {k: v for k, v in (LEAF | change).items() if v is not None}
    if decode is decode_origins_page:
        document["origins"] = document.pop("assets", None)
    with pytest.raises(CorruptObjectError, match="a page"):
        decode(canonical_json(document), "a page")


@pytest.mark.parametrize("decode", [decode_tree_page, decode_origins_page])
def test_a_page_of_a_newer_geobatch_is_refused(decode: object) -> None:
    assert callable(decode)
    with pytest.raises(FormatError, match=r"a page has format 3, but this geobatch reads 2"):
        decode(canonical_json(LEAF | {"format": 3, "assets": "else"}), "a page")


@given(st.lists(st.text(min_size=1), unique=True, max_size=9), st.booleans())
def test_pages_are_canonical_json(names: list[str], is_protected: bool) -> None:
    """Whatever characters ids have; the encoder of pages is another one."""
    entries = [replace(entry(name), is_protected=is_protected) for name in sorted(names)]
    data = ASSETS.encode(Page(height=1, entries=tuple(entries)))
    assert data == canonical_json(json.loads(data))
    origins = ORIGINS.encode(Page(height=1, entries=tuple(Origin(one, one) for one in names)))
    assert origins == canonical_json(json.loads(origins))
    above: Page[TreeEntry] = Page(
        height=2, branches=tuple(Branch(first=one, stored=one, assets=1) for one in names)
    )
    data = ASSETS.encode(above)
    assert data == canonical_json(json.loads(data))
