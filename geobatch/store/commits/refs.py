"""Refs: which commit was published under which number, and which one the Zarr tree shows."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from shlex import quote

from geobatch.errors import CorruptObjectError, NotFoundError, StoreError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.value_cache import ValueCache

REFS = "refs/main/"
TREE = "zarr/zarr.json"
"""Document of the Zarr tree, which names the commit that the tree shows."""
REFERENCES = "references/.shown.json"
"""Document of the references in a bucket; it says the same of them."""
CUBES = "cubes/.shown.json"
"""Document of the cubes; it says the same of them."""
SHOWN_BY = (TREE, REFERENCES, CUBES)

_HINTS = "cache/"
_HINT = "head"
_REF = re.compile(re.escape(REFS) + "([0-9a-f]{16})")
_DIGEST = re.compile("[0-9a-f]{64}")
FROM_COPY = "restore it from a copy of the store"


class Refs:
    """The refs of a store."""

    def __init__(self, backend: Backend, *, caches: Backend | None = None) -> None:
        """Read nothing yet.

        Args:
            backend: Where they are.
            caches: Where the number of the newest is noted if they are in a bucket; without
                them, it is kept in memory.
        """
        self.backend = backend
        """Where they are."""
        self.view = TREE
        """Name of the document that said which commit is shown."""
        self._newest = 0
        self._digests: dict[int, Digest] = {}
        self._hints = None if caches is None else ValueCache(caches, _HINTS)

    @staticmethod
    def path(number: int) -> str:
        """Return the name of a ref in its store."""
        return f"{REFS}{number:016x}"

    def numbers(self) -> list[int]:
        """Return the numbers of all refs, sorted."""
        names = (_REF.fullmatch(name) for name in self.backend.list(REFS))
        return [int(match[1], 16) for match in names if match]

    def newest(self) -> int:
        """Return the number of the newest ref; 0 without any.

        In a bucket, they are not listed if one that was the newest before is known: numbers follow
        one another, so those after it are found by few requests, of which the first is the last if
        there is none.
        """
        if not self.backend.is_remote:
            return max(self.numbers(), default=0)
        low = self._newest or self._hinted() or max(self.numbers(), default=0)
        step = 1
        while self.has(low + step):
            low, step = low + step, 2 * step
        missing = low + step
        while missing - low > 1:
            middle = (low + missing) // 2
            if self.has(middle):
                low = middle
            else:
                missing = middle
        self._note(low)
        return low

    def digest(self, number: int) -> Digest:
        """Return the digest of the commit that was published under a number.

        Raises:
            CorruptObjectError: The ref is missing, or says something else.
        """
        if number in self._digests:
            return self._digests[number]
        name = self.path(number)
        try:
            data = self.backend.get(name)
        except NotFoundError:
            raise CorruptObjectError(
                f"the ref `{name}` of commit {number} is missing", hint=FROM_COPY
            ) from None
        text = data.decode(errors="replace").removesuffix("\n")
        if _DIGEST.fullmatch(text) is None:
            raise CorruptObjectError(
                f"the ref `{name}` of commit {number} is damaged: it says `{text[:80]}`, "
                "expected a digest",
                hint=FROM_COPY,
            )
        if self.backend.is_remote:  # a ref is never rewritten, and to read it is a request
            self._digests[number] = text
        return text

    def has(self, number: int) -> bool:
        """Return whether there is a ref of that number, whatever it says."""
        return self.backend.size(self.path(number)) is not None

    def create(self, number: int, digest: Digest) -> bool:
        """Publish a commit under a number that is free; return whether it was."""
        is_made = self.backend.create(self.path(number), f"{digest}\n".encode())
        if is_made:
            self._note(number)
        return is_made

    def _hinted(self) -> int:
        """Return the number that was noted, if there is a ref of it; else 0."""
        noted = None if self._hints is None else self._hints.get(_HINT)
        number = int.from_bytes(noted, "little") if noted else 0
        try:
            self.digest(number)
        except CorruptObjectError:
            return 0
        return number

    def _note(self, number: int) -> None:
        """Note the number of the newest ref, where that saves requests."""
        if not self.backend.is_remote or number <= self._newest:
            return
        self._newest = number
        if self._hints is not None:
            self._hints.put(_HINT, number.to_bytes(8, "little"))

    def shown(self) -> tuple[int, Digest] | None:
        """Return number and digest of the commit that the views name; None without any."""
        try:
            found = json.loads(self.read_view())["attributes"]["geobatch"]
            number, digest = found["number"], found["commit"]
        except (StoreError, ValueError, KeyError, TypeError):
            return None
        if type(number) is not int or not isinstance(digest, str):
            return None
        return (number, digest) if _DIGEST.fullmatch(digest) else None

    def read_view(self) -> bytes:
        """Return the document of the references, or that of the Zarr tree.

        Raises:
            StoreError: There is neither, or it cannot be read.
        """
        if self.backend.is_remote:
            self.view = REFERENCES
            with suppress(NotFoundError):
                return self.backend.get(REFERENCES)
        self.view = TREE
        return self.backend.get(TREE)

    def restoring(self, digests: dict[int, Digest]) -> str:
        """Return the shell command that writes refs again."""
        if self.backend.is_remote:
            return f"geobatch fsck --repair --store {quote(str(self.backend.location))}"
        local = self.backend.local
        root = "." if local is None else local.root
        return " && ".join(
            f"rm -f {path} && printf '%s\\n' {digest} > {path}"
            for number, digest in sorted(digests.items())
            for path in [quote(f"{root}/{self.path(number)}")]
        )
