"""A check of a store on any backend: refs, commits, documents, pages, objects, foreign names.

First all objects are listed, and read as far as that is asked for. Then every commit is followed,
each document and page once. What is damaged is collected with all that needs it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.format.trees.page import ASSETS, ORIGINS, Branch, Item, Listing, Page
from geobatch.format.trees.paged import PagedTree
from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey, Tree, TreeEntry
from geobatch.store.backends.protocol import Backend
from geobatch.store.commits.refs import Refs
from geobatch.store.commits.trees import Trees
from geobatch.store.maintenance.check import Below, Checker, Damage
from geobatch.store.maintenance.fsck.contents import (
    NOTHING,
    Progress,
    Reading,
    Subset,
    no_progress,
    read_all,
)
from geobatch.store.maintenance.fsck.findings import Finding, Hurt, Kind, Totals
from geobatch.store.maintenance.fsck.inventory import Inventory
from geobatch.store.maintenance.fsck.line import Line, Step, kind_of
from geobatch.store.maintenance.fsck.names import (
    Names,
    check_drops,
    check_identity,
    check_pins,
    dropped_of,
    find_rehearsals,
    foreign,
    notes_of,
    objects_of,
)
from geobatch.store.objects import Objects
from geobatch.store.rehearsals.records import Rehearsal, Rehearsals

_PAGES = 64
"""Pages that are in memory at a time, at each height."""
_WHAT = {"assets": "the tree", "origins": "which specs declare the assets"}
_REQUESTS = 32
"""Objects of a bucket that are read at a time, at least."""


class HurtAsset(Struct, frozen=True, kw_only=True):
    """A published state of an asset of which something is damaged."""

    entry: TreeEntry
    """Its entry."""
    number: int
    """Number of the newest commit that has it."""
    damages: tuple[Damage, ...]
    """What is damaged."""


class Checked(Struct, frozen=True, kw_only=True, eq=False):
    """What a check of a store found, without its views."""

    findings: tuple[Finding, ...]
    """Every file that is not as it must be, sorted by name."""
    notes: tuple[str, ...]
    """What is odd and harms nothing."""
    totals: Totals
    """What was checked."""
    steps: tuple[Step, ...]
    """The commits, newest first, without the trees of those that are whole."""
    head: Step
    """The newest commit; number 0 if there is none."""
    damaged: frozenset[Digest]
    """Objects that are damaged or missing."""
    hurt: tuple[HurtAsset, ...]
    """Assets that are damaged."""
    inventory: Inventory
    """All objects."""
    damaged_pages: Mapping[int, Mapping[Digest, Branch | Digest]]
    """Damaged pages below the documents of trees and origins, by number of the commit: how the
    page above lists each, or its digest if it is the topmost."""
    is_shown_wrong: bool
    """Whether the Zarr tree names a commit that cannot be the one that it shows."""


def check_store(
    backend: Backend,
    *,
    subset: Subset = NOTHING,
    workers: int = 1,
    progress: Progress = no_progress,
    reading: Reading | None = None,
) -> Checked:
    """Check a store; nothing is changed.

    Args:
        backend: The store.
        subset: Objects of which every byte is read; of the others, existence and length.
        workers: How many threads read.
        progress: Notified while objects are read.
        reading: What reads objects in place of these threads.

    Raises:
        FormatError: A newer geobatch wrote it.
        StoreError: The backend failed.
    """
    objects = Objects(backend, is_strict=True)
    line = Line(
        Refs(backend), objects, dropped_of(backend)
    )  # what is published later is not looked for
    names = Names()
    inventory = Inventory.of(objects_of(backend, names))
    threads = max(workers, _REQUESTS) if backend.is_remote else workers
    read = (reading or partial(read_all, workers=threads))(
        objects, inventory.all(), subset=subset, progress=progress, total=len(inventory)
    )
    inventory.damaged = read.damaged
    walk = _Walk(objects, inventory)
    for step in line.steps():
        walk.take(step)
    for rehearsal in find_rehearsals(backend, names):
        walk.take_rehearsal(rehearsal)
    walk.add_unused(read.damaged)
    commits = {step.number: step.digest for step in walk.steps}
    findings = [
        *check_identity(backend),
        *names.foreign,
        *(foreign(Refs.path(number)) for number in line.foreign),
        *check_pins(backend, names, commits),
        *check_drops(backend, names),
        *walk.findings(),
    ]
    return Checked(
        findings=tuple(sorted(findings, key=lambda one: one.order)),
        notes=(*notes_of(backend, names), *read.doubts()),
        totals=Totals(
            objects=len(inventory),
            bytes=inventory.bytes,
            read=read.objects,
            read_bytes=read.bytes,
            commits=walk.commits,
            assets=len(walk.assets),
            unused=None if walk.is_blind else inventory.unused,
        ),
        steps=tuple(walk.steps),
        head=walk.head,
        damaged=frozenset(walk.objects),
        hurt=tuple(walk.hurt.values()),
        inventory=inventory,
        damaged_pages=walk.damaged_pages,
        is_shown_wrong=line.is_shown_wrong,
    )


class _Noted(Objects):
    """Notes in an inventory which documents and pages are needed."""

    def __init__(self, objects: Objects, inventory: Inventory) -> None:
        super().__init__(objects.backend, is_strict=True)
        self._inventory = inventory

    def get(self, digest: Digest) -> bytes:
        """Return the bytes of a digest, verified."""
        self._inventory.use(digest)
        return super().get(digest)

    def try_all(self, digests: Sequence[Digest]) -> Iterator[bytes | StoreError]:
        """Yield the bytes of several digests, verified, or what is wrong with them."""
        for digest in digests:
            self._inventory.use(digest)
        yield from super().try_all(digests)


class _Object(Struct, kw_only=True):
    """A damaged object, and what needs it."""

    problem: str
    hurts: dict[tuple[str, ArrayKey | None], _Hurts] = {}


class _Hurts(Struct, kw_only=True):
    commits: set[int] = set()
    tiles: set[tuple[int, int]] = set()
    below: set[Below] = set()


class _Walk:
    """Follows commits, and collects what is damaged."""

    def __init__(self, objects: Objects, inventory: Inventory) -> None:
        self._store = objects
        self._inventory = inventory
        self._noted = _Noted(objects, inventory)
        self._checker = Checker(self._noted, inventory)
        self._whole: set[Digest] = set()
        self.damaged_pages: dict[int, dict[Digest, Branch | Digest]] = {}
        self._findings: list[Finding] = []
        self.steps: list[Step] = []
        self.head = Step(number=0)
        self.objects: dict[Digest, _Object] = {}
        self.assets: dict[Digest, tuple[Damage, ...]] = {}
        self.hurt: dict[tuple[str, Digest], HurtAsset] = {}
        self.commits = 0
        self.is_blind = False
        """Whether something could not be followed, so that more objects may be needed."""

    def take(self, step: Step) -> None:
        """Check a commit and its assets."""
        if not self.head.number:
            self.head = step
        self.steps.append(
            Step(
                number=step.number,
                digest=step.digest,
                commit=step.commit,
                origins=step.origins,
                origins_root=step.origins_root,
                findings=step.findings,
            )
        )
        for finding in step.findings:
            if finding.digest:
                self.is_blind = True
                self._add(finding.digest, finding.problem, finding.hurts)
            else:
                self._findings.append(finding)
        if step.digest is not None:
            self._inventory.use(step.digest)
        if step.is_dropped and step.commit is not None:
            return
        if step.commit is not None:
            self._inventory.use(step.commit.tree)
            if step.commit.origins is not None:
                self._inventory.use(step.commit.origins)
        if step.tree is None:
            self.is_blind = True
            return
        self.commits += 1
        self._take_tree(step, step.tree)

    def _take_tree(self, step: Step, tree: Tree) -> None:
        if step.origins_root:
            self._take_pages(ORIGINS, [step.origins_root], step.number)
        if not isinstance(tree, PagedTree):
            for entry in tree.entries:
                self._take_asset(entry, step.number)
            return
        self._take_page(ASSETS, tree.pages.root, step.number)
        if self.damaged_pages.get(step.number) and self.head is step:
            self.head = replace(step, tree=None)  # nobody can list its assets

    def _take_pages(
        self, kind: Listing[Item], wanted: Sequence[Branch | Digest], number: int
    ) -> bool:
        """Check pages with all below them; return whether all is whole."""
        new = [one for one in wanted if _stored(one) not in self._whole]
        digests = [_stored(one) for one in new]
        is_whole = True
        for one, found in zip(new, self._noted.try_all(digests), strict=True):
            digest = _stored(one)
            try:
                page = _page(kind, found, one)
            except StoreError as error:
                self.is_blind, is_whole = True, False
                self.damaged_pages.setdefault(number, {})[digest] = one
                hurts = (Hurt(commits=(number,)),)
                self._add(digest, f"a page of {_WHAT[kind.member]}, {error.message}", hurts)
                continue
            if self._take_page(kind, page, number):
                self._whole.add(digest)
            else:
                is_whole = False
        return is_whole

    def _take_page(self, kind: Listing[Item], page: Page[Item], number: int) -> bool:
        """Check all that is at and below a page; return whether it is whole."""
        is_whole = True
        for entry in page.entries:
            if isinstance(entry, TreeEntry):
                is_whole &= self._take_asset(entry, number)
        for first in range(0, len(page.branches), _PAGES):
            some = page.branches[first : first + _PAGES]
            is_whole &= self._take_pages(kind, some, number)
        return is_whole

    def take_rehearsal(self, found: Rehearsal | Finding) -> None:
        """Check what a rehearsal keeps: no reader needs it, and `apply` can compute it again."""
        if isinstance(found, Finding):
            self._findings.append(found)
            self.is_blind = True
            return
        damaged = ""
        try:
            self._noted.get(found.findings)
            entries = Trees(self._noted).read(found.tree, "its tree").entries
        except StoreError as error:
            damaged, entries = error.message, ()
            self.is_blind = True
        for entry in entries:
            damages = self.assets.get(entry.stored)
            if damages is None:
                damages = self.assets[entry.stored] = tuple(self._checker.asset(entry))
            damaged = damaged or next((str(damage) for damage in damages), "")
        if damaged:
            name = Rehearsals.path(found.id)
            problem = f"what it keeps is damaged; `geobatch apply` computes it again: {damaged}"
            self._findings.append(Finding(kind=Kind.DAMAGED, name=name, problem=problem))

    def _take_asset(self, entry: TreeEntry, number: int) -> bool:
        damages = self.assets.get(entry.stored)
        if damages is None:
            damages = self.assets[entry.stored] = tuple(self._checker.asset(entry))
        if damages:
            state = HurtAsset(entry=entry, number=number, damages=damages)
            self.hurt.setdefault((entry.id, entry.stored), state)
        for damage in damages:
            self.is_blind |= damage.tile is None
            hurt = Hurt(
                asset=entry.id,
                commits=(number,),
                array=damage.array,
                tiles=() if damage.tile is None else (damage.tile,),
                below=() if damage.below is None else (damage.below,),
            )
            self._add(damage.digest, damage.message, (hurt,))
        return not damages

    def add_unused(self, damaged: Iterable[Digest]) -> None:
        """Add damaged objects that no commit needs."""
        for digest in damaged:
            if digest not in self.objects:
                self._add(digest, self._inventory.damaged[digest], ())

    def _add(self, digest: Digest, problem: str, hurts: tuple[Hurt, ...]) -> None:
        known = self.objects.setdefault(digest, _Object(problem=problem))
        for hurt in hurts:
            found = known.hurts.setdefault((hurt.asset, hurt.array), _Hurts())
            found.commits.update(hurt.commits)
            found.tiles.update(hurt.tiles)
            found.below.update(hurt.below)

    def findings(self) -> Iterable[Finding]:
        """Return what was found, with all that needs it."""
        yield from self._findings
        for digest, one in self.objects.items():
            yield Finding(
                kind=kind_of(self._store, digest),
                name=Objects.path(digest),
                problem=one.problem,
                digest=digest,
                hurts=tuple(
                    Hurt(
                        asset=asset,
                        commits=tuple(sorted(found.commits)),
                        array=array,
                        tiles=tuple(sorted(found.tiles)),
                        below=tuple(sorted(found.below)),
                    )
                    for (asset, array), found in sorted(one.hurts.items(), key=_hurt_order)
                ),
            )


def _stored(one: Branch | Digest) -> Digest:
    return one if isinstance(one, str) else one.stored


def _page(kind: Listing[Item], found: bytes | StoreError, one: Branch | Digest) -> Page[Item]:
    """Return a page that was read.

    Raises:
        StoreError: It is damaged, or is not what the page above lists.
    """
    if isinstance(found, StoreError):
        raise found
    name = f"page `{Objects.path(_stored(one))}`"
    page = kind.decode(found, name)
    if isinstance(one, Branch) and (got := kind.branch(page, found)) != one:
        raise CorruptObjectError(f"{name} is listed as {one}, but is {got}")
    return page


def _hurt_order(item: tuple[tuple[str, ArrayKey | None], object]) -> tuple[str, str, int, bool]:
    asset, array = item[0]
    return (
        (asset, "", -1, False) if array is None else (asset, array.band, array.level, array.is_mask)
    )
