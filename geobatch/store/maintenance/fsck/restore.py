"""Documents of a store that can be told from others, bit for bit: refs, trees, origins.

Whatever is restored has the digest that names it, so no guess can be wrong.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.errors import CorruptObjectError, GeobatchError, StoreError
from geobatch.format.documents import (
    content_root,
    decode_asset,
    encode_commit,
    encode_tree,
)
from geobatch.format.trees.building import Builder
from geobatch.format.trees.page import ASSETS, Branch, Page, decode_tree_page
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import Commit, Tree, TreeEntry
from geobatch.store.commits.refs import Refs
from geobatch.store.commits.spec_files import SpecFiles, origins_of
from geobatch.store.commits.trees import Trees, documents_of
from geobatch.store.entries import entry_of
from geobatch.store.maintenance.fsck.line import Step
from geobatch.store.maintenance.fsck.store_check import Checked
from geobatch.store.objects import Objects

_MOST_TRIED = 4096
"""Trees that are tried at most."""
_MOST_ENCODED = 4_000_000
"""Assets of all trees that are tried."""
_BIG = 1 << 28
"""Length of an object that is no document."""


class Restored(Struct, frozen=True, kw_only=True):
    """What can be restored without any source."""

    refs: Mapping[int, Digest] = {}
    """What refs must say, by number."""
    documents: Mapping[Digest, bytes] = {}
    """Trees and origins, by digest."""
    commit: tuple[int, bytes] | None = None
    """Number and document of a commit that replaces the newest, which is lost."""


class Restorer:
    """Finds what can be restored of a store that was checked."""

    def __init__(
        self, objects: Objects, checked: Checked, declared: Callable[[], Mapping[str, str]]
    ) -> None:
        """Find nothing yet.

        Args:
            objects: The objects of the store.
            checked: What was found.
            declared: Returns which spec files declare assets now, by asset id.
        """
        self._objects = objects
        self._checked = checked
        self._find_declared = declared
        self._steps = {step.number: step for step in checked.steps}
        self._unused: dict[Digest, bytes] | None = None

    def find(self) -> Restored:
        """Return all that can be restored.

        Raises:
            StoreError: The backend failed.
        """
        refs: dict[int, Digest] = {}
        found: dict[Digest, bytes] = {}
        for step in self._checked.steps:
            for finding in step.findings:
                if finding.number and finding.known:
                    refs[finding.number] = finding.known
            if step.commit is None:
                continue
            pages = self._checked.damaged_pages.get(step.number, {})
            if step.commit.tree in self._checked.damaged:
                self._add(found, {step.commit.tree}, self._trees(step))
            for digest, page in pages.items():
                if isinstance(page, Branch) and page.content:
                    self._add(found, {digest}, self._trees(step, first=page.first))
            wanted = {step.commit.origins or ""} & self._checked.damaged
            wanted |= {d for d, page in pages.items() if isinstance(page, str) or not page.content}
            if wanted:
                self._add(found, wanted, self._all_origins(step, found))
        head = self._checked.head
        is_lost = head.number and head.commit is None
        commit = self._new_head(head) if is_lost else None
        return Restored(refs=refs, documents=found, commit=commit)

    def _add(
        self,
        found: dict[Digest, bytes],
        wanted: set[Digest],
        candidates: Iterator[Mapping[Digest, bytes]],
    ) -> None:
        """Add documents of candidates that are wanted, with all below them that is damaged."""
        wanted = wanted - found.keys()
        for documents in itertools.islice(candidates, _MOST_TRIED):
            if hits := wanted & documents.keys():
                found |= {
                    digest: documents[digest]
                    for hit in hits
                    for digest in _with_below(documents, hit)
                    if digest in hits or not self._is_whole(digest)
                }
                wanted -= hits
            if not wanted:
                return

    def _is_whole(self, digest: Digest) -> bool:
        try:
            self._objects.get(digest)
        except CorruptObjectError:
            return False
        return True

    def _trees(self, step: Step, *, first: str = "") -> Iterator[Mapping[Digest, bytes]]:
        """Yield trees that a commit may have: of unused documents, and what its neighbours have.

        Args:
            step: The commit.
            first: First asset of the page that is looked for, which is not the topmost.
        """
        unused: list[TreeEntry] = []
        for digest, data in self._documents().items():
            with suppress(GeobatchError):
                unused.append(entry_of(decode_asset(data), digest))
            with suppress(GeobatchError):  # a page below one that is lost
                unused += decode_tree_page(data).entries
        own, before, after = (self._entries(step.number + by) for by in (0, -1, 1))
        left = _MOST_ENCODED
        # What is known of the tree itself begins after the page.
        end = next((entry.id for entry in own if entry.id > first), None) if first else None
        ids = self._declared(step)
        for known in ([*unused, *before, *after], [*unused, *after, *before]):
            choices: dict[str, list[TreeEntry]] = {}
            for entry in known:
                if entry.id >= first and (end is None or entry.id < end):
                    choices.setdefault(entry.id, []).append(entry)
            for kept in itertools.chain(ids, _almost(choices)):
                some = [dict.fromkeys(choices[name]) for name in sorted(choices.keys() & kept)]
                for entries in itertools.islice(itertools.product(*some), _MOST_TRIED):
                    left -= len(entries)
                    if left < 0:
                        return
                    yield _documents_of(entries, is_part=bool(first))

    def _declared(self, step: Step) -> list[set[str]]:
        """Return the ids of a commit's assets, as far as it is known which specs declare them."""
        if step.origins is None:
            return []
        with suppress(CorruptObjectError):
            return [{one.id for one in SpecFiles(self._objects).pages(step.origins).items()}]
        return []

    def _entries(self, number: int) -> tuple[TreeEntry, ...]:
        """Return the assets of a commit, as far as its pages can be read."""
        step = self._steps.get(number)
        if step is None or step.commit is None:
            return ()
        with suppress(GeobatchError):
            return tuple(self._readable(decode_tree_page(self._objects.get(step.commit.tree))))
        return ()

    def _readable(self, page: Page[TreeEntry]) -> Iterator[TreeEntry]:
        yield from page.entries
        digests = [branch.stored for branch in page.branches]
        for digest, data in zip(digests, self._objects.try_all(digests), strict=True):
            if not isinstance(data, StoreError):
                with suppress(GeobatchError):
                    yield from self._readable(decode_tree_page(data, f"page `{digest}`"))

    def _all_origins(
        self, step: Step, found: Mapping[Digest, bytes]
    ) -> Iterator[Mapping[Digest, bytes]]:
        """Yield what may say which specs declare the assets of a commit."""
        ids = self._ids(step, found)
        known = [self._find_declared(), *self._known_origins()]
        for one in known:
            for other in known:
                both = {**one, **other}
                for new, old in self._renamed():
                    for name, twin in ((old, new), (new, old)):
                        if twin in both:
                            both.setdefault(name, both[twin])
                yield origins_of({name: both[name] for name in both.keys() & ids}, {})[1]

    def _known_origins(self) -> Iterator[Mapping[str, str]]:
        """Yield what commits say of which specs declare their assets, as far as it is whole."""
        files = SpecFiles(self._objects)
        for digest in dict.fromkeys(one.origins for one in self._checked.steps):
            if digest is not None:
                with suppress(CorruptObjectError):
                    yield {one.id: one.file for one in files.pages(digest).items()}

    def _renamed(self) -> Iterator[tuple[str, str]]:
        """Yield (id, former id) of all assets that were renamed."""
        for step in self._checked.steps:
            yield from () if step.commit is None else step.commit.renamed

    def _ids(self, step: Step, found: Mapping[Digest, bytes]) -> set[str]:
        tree = "" if step.commit is None else step.commit.tree
        with suppress(GeobatchError):
            data = found.get(tree) or self._objects.get(tree)
            root = decode_tree_page(data)
            return {entry.id for entry in self._readable(root)}
        return set()

    def _new_head(self, head: Step) -> tuple[int, bytes] | None:
        """Return a commit with the very tree of the newest one, which is lost; None without it."""
        root = _shown_root(self._objects)
        before = self._steps.get(head.number - 1)
        parent = None if before is None else before.digest
        if root is None or (head.number > 1 and parent is None):
            return None
        for digest in self._documents():
            try:
                tree = Trees(self._objects).read(digest, "a tree")
            except GeobatchError:
                continue
            if content_root(tree) == root:
                commit = Commit(
                    parent=parent,
                    tree=digest,
                    content_root=root,
                    time=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                    message=f"restore commit {head.number}, whose document was lost",
                    tools=(),
                    origins=self._origins_of(tree),
                )
                return head.number, encode_commit(commit)
        return None

    def _origins_of(self, tree: Tree) -> Digest | None:
        """Return the one unused document of origins that names assets of a tree only."""
        ids = {entry.id for entry in tree.entries}
        files = SpecFiles(self._objects)
        found = []
        for digest in self._documents():
            with suppress(GeobatchError):
                if all(one.id in ids for one in files.pages(digest).items()):
                    found.append(digest)
        return found[0] if len(found) == 1 else None

    def _documents(self) -> dict[Digest, bytes]:
        """Return the documents that no commit is known to need."""
        if self._unused is None:
            self._unused = {}
            for digest in self._checked.inventory.unused_digests():
                name = Objects.path(digest)
                if (self._objects.backend.size(name) or _BIG) < _BIG and (
                    self._objects.backend.get(name, start=0, length=1) == b"{"
                ):
                    try:
                        self._unused[digest] = self._objects.get(digest)
                    except CorruptObjectError:
                        continue
        return self._unused


def _almost(entries: Mapping[str, object]) -> Iterator[set[str]]:
    """Yield all ids, then without one of them, then without two."""
    for count in range(3):
        for left_out in itertools.combinations(sorted(entries), count):
            yield entries.keys() - set(left_out)


def _documents_of(entries: Sequence[TreeEntry], *, is_part: bool) -> Mapping[Digest, bytes]:
    """Return the documents of some assets: of all of a tree in either format, or of a part."""
    if is_part:
        return Builder(ASSETS).layers(entries)
    tree = Tree(entries=entries)
    old = encode_tree(tree)
    return {digest_bytes(old): old, **documents_of(tree)[1]}


def _with_below(documents: Mapping[Digest, bytes], digest: Digest) -> Iterator[Digest]:
    """Yield a document and those of the pages below it, as far as they are given."""
    yield digest
    document = json.loads(documents[digest])
    below = [page["stored"] for page in document.get("pages", ())]
    for one in (*below, document.get("root")):
        if one in documents:
            yield from _with_below(documents, one)


def _shown_root(objects: Objects) -> Digest | None:
    """Return the content root of the commit that the views show, as far as they say so."""
    try:
        root = json.loads(Refs(objects.backend).read_view())["attributes"]["geobatch"][
            "content_root"
        ]
    except (StoreError, ValueError, KeyError, TypeError):
        return None
    return root if isinstance(root, str) else None


def write(objects: Objects, restored: Restored) -> None:
    """Write what can be restored, durably; damaged files of the same names are moved away before.

    Args:
        objects: The objects of the store.
        restored: What is written.

    Raises:
        StoreError: The backend failed.
    """
    refs = Refs(objects.backend)
    for data in restored.documents.values():
        objects.put(data)
    digests = dict(restored.refs)
    if restored.commit is not None:
        number, data = restored.commit
        digests[number], _ = objects.put(data)
    objects.backend.sync()
    for number, digest in sorted(digests.items()):
        refs.create(number, digest)  # another process may have restored it
