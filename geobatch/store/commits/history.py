"""The commits of a store: the newest, any other, and the errors of damaged ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.format.documents import decode_commit
from geobatch.model.digest import Digest
from geobatch.model.published import Commit, Head
from geobatch.store.commits.drops import Drops, dropped_error
from geobatch.store.commits.refs import FROM_COPY, Refs
from geobatch.store.commits.trees import Trees
from geobatch.store.objects import Objects
from geobatch.store.several import several

_PREFIX = re.compile("[0-9a-f]{4,64}")
_STEPS_BACK = re.compile("HEAD~([0-9]+)")
_AHEAD = 16
"""Commits of a bucket that are read at a time."""
_MOST_LOST = 8
"""Lost refs that a hint restores one by one."""


class History:
    """Reads the commits that refs name; a damaged one hinders only those who ask for it."""

    def __init__(self, refs: Refs, objects: Objects) -> None:
        self.refs = refs
        """Which commits were published under which numbers."""
        self.objects = objects
        """Where they are."""
        self.trees = Trees(objects)
        """What their trees list."""
        self.drops = Drops(refs.backend)
        """Which of them `gc` dropped."""

    def head(self) -> Head:
        """Return the newest commit: number 0 where there is none.

        Raises:
            CorruptObjectError: The ref, the commit or its tree is damaged; or the Zarr tree shows
                that there was a newer one, whose ref is missing.
        """
        top = self._top()
        shown = self.refs.shown()
        if shown is not None and shown[0] > top and not self.refs.has(shown[0]):
            raise self._lost(top, *shown)
        if not top:
            return Head()
        try:
            head = self._head(top)
        except CorruptObjectError:
            # A copy was killed after it had created the ref of a dropped commit.
            if top not in self.drops.numbers():
                raise
            return self._newest_kept()
        if shown is not None and shown[0] == top and shown[1] != head.digest:
            raise CorruptObjectError(
                f"the ref `{Refs.path(top)}` names commit `{head.digest}`, but "
                f"`{self.refs.view}` shows commit `{shown[1]}` under the same number",
                hint=self._restoring({top: shown[1]}) or FROM_COPY,
            )
        return head

    def at(self, ref: str) -> Head:
        """Return a commit by its digest, a unique prefix (4 digits or more), its number, `HEAD~n`.

        Raises:
            NotFoundError: There is no such commit, or the prefix fits several; or `gc` dropped it.
            CorruptObjectError: Its ref, the commit or its tree is damaged.
        """
        if ref in ("HEAD", "HEAD~0") and (head := self.head()).number:
            return head
        top = self._top()
        back = _STEPS_BACK.fullmatch(ref)
        if back and int(back[1]) < top:
            return self._kept(top - int(back[1]), top)
        if ref.isascii() and ref.isdigit() and 0 < int(ref) <= top:
            return self._kept(int(ref), top)
        number = self._find(ref) if _PREFIX.fullmatch(ref) else None
        if number is not None:
            return self._kept(number, top)
        raise NotFoundError(
            f"there is no commit `{ref}`",
            hint="`geobatch log` lists the commits, `geobatch pin` the pins; `HEAD`, `HEAD~1` and "
            "numbers are accepted too",
        )

    def log(self) -> Iterator[Head]:
        """Yield the commits that `gc` did not drop, newest first.

        Raises:
            CorruptObjectError: A ref, a commit or a tree is damaged.
        """
        newer: Head | None = None
        dropped: list[Commit] = []
        for _, found in self.all():
            if isinstance(found, Head) and found.is_dropped:
                dropped += [found.commit] if found.commit is not None else []
                continue
            if newer is not None:
                yield replace(newer, dropped_before=tuple(dropped)) if dropped else newer
            if isinstance(found, CorruptObjectError):
                raise found
            newer, dropped = found, []
        if newer is not None:
            yield replace(newer, dropped_before=tuple(dropped)) if dropped else newer

    def protected_since(self, asset_id: str) -> Digest | None:
        """Return the commit since which the head's asset is protected; None if it is not.

        Raises:
            CorruptObjectError: The head is damaged.
        """
        since = None
        for _, head in self.all():
            # What is damaged may say anything: it is protected at least since then.
            entry = head.tree.entry(asset_id) if isinstance(head, Head) else None
            if not isinstance(head, Head) or entry is None or not entry.is_protected:
                break
            since = head.digest
            asset_id = head.name_before(asset_id)
        return since

    def all(self) -> Iterator[tuple[int, Head | CorruptObjectError]]:
        """Yield every number, from the newest down to 1, with its commit or what is wrong there.

        Of a commit that `gc` dropped, the tree is empty.
        """
        top = self._top()
        dropped = self.drops.numbers() if top > 1 else frozenset[int]()
        shown = self.refs.shown()
        if shown is not None and shown[0] > top and not self.refs.has(shown[0]):
            yield shown[0], self._lost(top, *shown)

        def find(number: int) -> tuple[int, Head | CorruptObjectError]:
            try:
                return number, self._head(number, is_dropped=number in dropped)
            except CorruptObjectError as error:
                return number, error

        yield from several(self.refs.backend, find, range(top, 0, -1), most=_AHEAD)

    def _kept(self, number: int, top: int) -> Head:
        """Return the commit of a number, if `gc` did not drop it.

        Raises:
            NotFoundError: It did.
            CorruptObjectError: The ref, the commit or its tree is damaged.
        """
        if number != top and number in self.drops.numbers():
            raise dropped_error(number)
        return self._head(number)

    def _newest_kept(self) -> Head:
        dropped = self.drops.numbers()
        kept = [number for number in self.refs.numbers() if number not in dropped]
        return self._head(kept[-1]) if kept else Head()

    def _top(self) -> int:
        return self.refs.newest()

    def _find(self, prefix: str) -> int | None:
        """Return the number of the one commit whose digest begins so."""
        damaged: CorruptObjectError | None = None
        found = []

        def digest(number: int) -> Digest | CorruptObjectError:
            try:
                return self.refs.digest(number)
            except CorruptObjectError as error:
                return error

        numbers = self.refs.numbers()
        for number, one in zip(numbers, several(self.refs.backend, digest, numbers), strict=True):
            if isinstance(one, CorruptObjectError):
                damaged = one
            elif one.startswith(prefix):
                found.append(number)
        if len(found) > 1:
            raise NotFoundError(
                f"`{prefix}` matches {len(found)} commits", hint="give more of its digits"
            )
        if not found and damaged is not None:  # it may be the one
            raise damaged
        return found[0] if found else None

    def _head(self, number: int, *, is_dropped: bool = False) -> Head:
        """Return the commit of a number; without its tree if it was dropped.

        Raises:
            CorruptObjectError: Its ref, the commit or its tree is damaged.
        """
        try:
            digest = self.refs.digest(number)
        except CorruptObjectError as error:
            hint = self._restoring(self._published(number))
            raise error.with_hint(hint) if hint else error from None
        commit = self.read(number, digest)
        if not self._is_nth(number, commit):
            raise CorruptObjectError(
                f"the ref `{Refs.path(number)}` names commit `{digest}`, which is not the commit"
                f" {number} of this store: another number of commits came before it",
                hint=self._restoring(self._published(number)) or FROM_COPY,
            )
        if is_dropped:
            return Head(number=number, digest=digest, commit=commit, is_dropped=True)
        tree = self.trees.read(commit.tree, f"the tree of commit {number}")
        return Head(number=number, digest=digest, commit=commit, tree=tree)

    def _is_nth(self, number: int, commit: Commit) -> bool:
        """Return whether so many commits lead to one, as far as that is known."""
        try:
            if commit.parent == (self.refs.digest(number - 1) if number > 1 else None):
                return True
            # One of the two refs is wrong, and the commits themselves tell which.
            count, parent = 1, commit.parent
            while parent is not None and count <= number:
                count, parent = count + 1, self.read(number - count, parent).parent
        except CorruptObjectError:  # which matters only to readers of that commit
            return True
        return count == number

    def read(self, number: int, digest: Digest) -> Commit:
        """Return the commit of a digest.

        Args:
            number: Its number, for messages.
            digest: Its digest.

        Raises:
            CorruptObjectError: It is damaged or missing.
            FormatError: A newer geobatch wrote it.
        """
        try:
            data = self.objects.get(digest)
        except CorruptObjectError as error:
            raise _named(error, f"commit {number}") from error
        return decode_commit(data, name=f"commit `{digest}`")

    def _published(self, number: int) -> dict[int, Digest]:
        """Return what a ref said by the word of the commit after it, or of the Zarr tree."""
        shown = self.refs.shown()
        if shown is not None and shown[0] == number:
            return {number: shown[1]}
        try:
            parent = self.read(number + 1, self.refs.digest(number + 1)).parent
        except CorruptObjectError:
            parent = None
        return {} if parent is None else {number: parent}

    def _restoring(self, digests: dict[int, Digest]) -> str:
        """Return the hint that restores refs; empty where a commit is not there to be named."""
        try:
            for number, digest in digests.items():
                self.read(number, digest)
        except CorruptObjectError:
            return ""
        return f"restore the ref: `{self.refs.restoring(digests)}`" if digests else ""

    def _lost(self, top: int, number: int, digest: Digest) -> CorruptObjectError:
        """Return the error of refs that are missing above the highest that is there."""
        lost: dict[int, Digest] = {}
        following: Digest | None = digest
        at = number
        try:
            while at > top and following is not None:
                lost[at] = following
                at, following = at - 1, self.read(at, following).parent
            is_chain = at == top and following == (self.refs.digest(top) if top else None)
        except CorruptObjectError:
            is_chain = False
        name = Refs.path(number)
        newest = f"the newest ref is that of commit {top}" if top else "there is no ref"
        other = f"delete `{self.refs.view}`" + (f" to continue from commit {top}" if top else "")
        return CorruptObjectError(
            f"`{self.refs.view}` shows commit {number} (`{digest}`), but its ref `{name}` is "
            f"missing: {newest}",
            hint=f"{self._restoring(lost)}; or {other}"
            if is_chain and len(lost) <= _MOST_LOST
            else f"restore `{name}` and what it names from a copy of the store; or {other}",
        )


def _named(error: CorruptObjectError, what: str) -> CorruptObjectError:
    return CorruptObjectError(f"{what}: {error.message}", hint=error.hint)
