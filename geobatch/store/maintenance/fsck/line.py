"""The commits of a store, newest first, whatever of their refs and documents can be read."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from msgspec import Struct

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.format.documents import decode_commit, decode_origins
from geobatch.model.digest import Digest
from geobatch.model.published import Commit, Head, Tree
from geobatch.store.commits.refs import Refs
from geobatch.store.commits.trees import Trees
from geobatch.store.maintenance.fsck.findings import Finding, Hurt, Kind
from geobatch.store.objects import Objects


class Step(Struct, frozen=True, kw_only=True):
    """What can be read of one commit."""

    number: int
    """Its number."""
    digest: Digest | None = None
    """Its digest, if that is known."""
    commit: Commit | None = None
    """The commit; None if it is damaged or missing."""
    tree: Tree | None = None
    """Its tree; None if its document is damaged or missing; other pages may be."""
    origins: Digest | None = None
    """Digest of the document of origins, if it is whole."""
    origins_root: Digest = ""
    """Digest of the topmost page of origins, if they are in pages."""
    is_dropped: bool = False
    """Whether `gc` dropped its tree."""
    findings: tuple[Finding, ...] = ()
    """What is wrong with its ref and documents."""

    @property
    def head(self) -> Head | None:
        """The commit with its tree, if both are whole."""
        if self.commit is None or self.tree is None or self.digest is None:
            return None
        return Head(number=self.number, digest=self.digest, commit=self.commit, tree=self.tree)


class Line:
    """Walks the commits of a store from the newest to the first."""

    def __init__(self, refs: Refs, objects: Objects, dropped: Collection[int] = ()) -> None:
        """Read the numbers of all refs.

        Args:
            refs: The refs.
            objects: The objects.
            dropped: Numbers of commits whose trees are not kept.
        """
        self._dropped = dropped
        self._refs = refs
        self._objects = objects
        self._trees = Trees(objects)
        self._numbers = refs.numbers()
        shown = self._refs.shown()
        self._shown = shown if shown is not None and self._commit(shown[1]) else None
        self.is_shown_wrong = self._is_shown_wrong(shown)
        """Whether the Zarr tree names a commit that cannot be the one that it shows."""

        self.foreign = tuple(self._take_foreign())
        """Numbers above the newest commit whose refs name no commit of such a number."""

    def _take_foreign(self) -> Iterator[int]:
        shown = 0 if self._shown is None or self.is_shown_wrong else self._shown[0]
        numbers = self._numbers
        while numbers and numbers[-1] > max(1, shown) and numbers[-2:-1] != [numbers[-1] - 1]:
            said = self._said(numbers[-1])
            if said is not None and self._is_nth(numbers[-1], said):
                return
            yield numbers.pop()

    @property
    def top(self) -> int:
        """The number of the newest commit."""
        top = self._numbers[-1] if self._numbers else 0
        return top if self._shown is None or self.is_shown_wrong else max(top, self._shown[0])

    def steps(self) -> Iterator[Step]:
        """Yield what can be read of each commit."""
        shown = None if self.is_shown_wrong else self._shown
        expected: Digest | None = None
        for number in range(self.top, 0, -1):
            if shown is not None and shown[0] == number:
                expected = shown[1]
            step = self._step(number, expected)
            yield step
            expected = None if step.commit is None else step.commit.parent

    def _is_shown_wrong(self, shown: tuple[int, Digest] | None) -> bool:
        """Return whether the tree names a commit that is not the one of its number."""
        if shown is None:
            return False
        number, digest = shown
        if self._shown is None:  # it may be lost: then its ref names it, too
            said = self._said(number)
            return said != digest
        return self._is_nth(number, digest) is not True

    def _step(self, number: int, expected: Digest | None) -> Step:
        said = self._said(number)
        problem, kind = self._ref_problem(number, said, expected)
        findings: list[Finding] = []
        digest = expected or said
        if problem:
            hurt = Hurt(commits=(number,))
            findings.append(
                Finding(
                    kind=kind,
                    name=Refs.path(number),
                    problem=problem,
                    hurts=(hurt,),
                    number=number,
                    known=expected or "",
                )
            )
        if digest is None:
            return Step(number=number, findings=tuple(findings))
        return self._read(number, digest, findings)

    def _read(self, number: int, digest: Digest, findings: list[Finding]) -> Step:
        """Return the documents of a commit whose digest is known."""
        commit: Commit | None = None
        tree: Tree | None = None
        origins: Digest | None = None
        root = ""
        what = "the commit"
        name = digest
        try:
            commit = decode_commit(self._objects.get(digest), name=f"commit `{digest}`")
            if commit.origins is not None and number not in self._dropped:
                what, name = "which specs declare the assets", commit.origins
                found = decode_origins(self._objects.get(name), name=f"origins `{name}`")
                origins, root = name, found if isinstance(found, str) else ""
        except CorruptObjectError as error:
            is_commit = name == digest
            hurts = (Hurt(commits=(number,)),) if is_commit else ()
            findings.append(self._document(what, name, error, hurts))
        if commit is not None and number not in self._dropped:
            try:
                tree = self._trees.read(commit.tree, "the tree")
            except CorruptObjectError as error:
                hurts = (Hurt(commits=(number,)),)
                findings.append(self._document("", commit.tree, error, hurts))
        return Step(
            number=number,
            digest=digest,
            commit=commit,
            tree=tree,
            origins=origins,
            origins_root=root,
            is_dropped=number in self._dropped,
            findings=tuple(findings),
        )

    def _document(
        self, what: str, digest: Digest, error: CorruptObjectError, hurts: tuple[Hurt, ...]
    ) -> Finding:
        return Finding(
            kind=kind_of(self._objects, digest),
            name=Objects.path(digest),
            problem=f"{what}, {error.message}" if what else error.message,
            hurts=hurts,
            digest=digest,
        )

    def _said(self, number: int) -> Digest | None:
        try:
            return self._refs.digest(number)
        except CorruptObjectError:
            return None

    def _ref_problem(
        self, number: int, said: Digest | None, expected: Digest | None
    ) -> tuple[str, Kind]:
        name = Refs.path(number)
        try:
            data = self._objects.backend.get(name)
        except StoreError:
            return f"the ref of commit {number} is missing", Kind.MISSING
        if said is None or data != f"{said}\n".encode():
            text = data[:80].decode(errors="replace")
            return f"it says `{text}`, expected a digest and a newline", Kind.DAMAGED
        if expected is not None and said != expected:
            problem = f"it names `{said}`, but commit {number} is `{expected}`"
            return problem, Kind.DAMAGED
        if expected is None and self._is_nth(number, said) is False:
            return f"it names `{said}`, which is not commit {number}", Kind.DAMAGED
        return "", Kind.DAMAGED

    def _commit(self, digest: Digest) -> Commit | None:
        try:
            return decode_commit(self._objects.get(digest))
        except CorruptObjectError:
            return None

    def _is_nth(self, number: int, digest: Digest) -> bool | None:
        """Return whether so many commits lead to one; None if that cannot be said."""
        commit = self._commit(digest)
        if commit is None:
            return None
        if commit.parent == (self._said(number - 1) if number > 1 else None):
            return True
        count = 1
        while commit.parent is not None and count <= number:
            commit = self._commit(commit.parent)
            if commit is None:
                return None
            count += 1
        return count == number


def kind_of(objects: Objects, digest: Digest) -> Kind:
    """Return in which way an object is not as it must be."""
    return Kind.DAMAGED if objects.has(digest) else Kind.MISSING
