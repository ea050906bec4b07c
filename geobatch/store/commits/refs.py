"""Refs: which commit was published under which number, and which one the Zarr tree shows."""

from __future__ import annotations

import json
import re
from shlex import quote

from geobatch.errors import CorruptObjectError, NotFoundError, StoreError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend

REFS = "refs/main/"
TREE = "zarr/zarr.json"
"""Document of the Zarr tree, which names the commit that the tree shows."""

_REF = re.compile(re.escape(REFS) + "([0-9a-f]{16})")
_DIGEST = re.compile("[0-9a-f]{64}")
FROM_COPY = "restore it from a copy of the store"


class Refs:
    """The refs of a store."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        """Where they are."""

    @staticmethod
    def path(number: int) -> str:
        """Return the name of a ref in its store."""
        return f"{REFS}{number:016x}"

    def numbers(self) -> list[int]:
        """Return the numbers of all refs, sorted."""
        names = (_REF.fullmatch(name) for name in self.backend.list(REFS))
        return [int(match[1], 16) for match in names if match]

    def digest(self, number: int) -> Digest:
        """Return the digest of the commit that was published under a number.

        Raises:
            CorruptObjectError: The ref is missing, or says something else.
        """
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
        return text

    def has(self, number: int) -> bool:
        """Return whether there is a ref of that number, whatever it says."""
        return self.backend.size(self.path(number)) is not None

    def create(self, number: int, digest: Digest) -> bool:
        """Publish a commit under a number that is free; return whether it was."""
        return self.backend.create(self.path(number), f"{digest}\n".encode())

    def shown(self) -> tuple[int, Digest] | None:
        """Return number and digest of the commit that the Zarr tree names; None without any."""
        try:
            found = json.loads(self.backend.get(TREE))["attributes"]["geobatch"]
            number, digest = found["number"], found["commit"]
        except (StoreError, ValueError, KeyError, TypeError):
            return None
        if type(number) is not int or not isinstance(digest, str):
            return None
        return (number, digest) if _DIGEST.fullmatch(digest) else None

    def restoring(self, digests: dict[int, Digest]) -> str:
        """Return the shell command that writes refs again."""
        local = self.backend.local
        root = "." if local is None else local.root
        return " && ".join(
            f"rm -f {path} && printf '%s\\n' {digest} > {path}"
            for number, digest in sorted(digests.items())
            for path in [quote(f"{root}/{self.path(number)}")]
        )
