"""Which spec files published the assets of a commit, and where these are in their repositories."""

from __future__ import annotations

from collections.abc import Mapping

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import decode_checkouts, decode_origins, encode_origins
from geobatch.model.digest import Digest
from geobatch.model.provenance import CheckoutPath
from geobatch.model.published import Head, Tree
from geobatch.store.objects import Objects


class SpecFiles:
    """The spec files of commits."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def origins(self, head: Head) -> dict[str, str]:
        """Return which spec file published each asset, as far as known, by asset id.

        Raises:
            CorruptObjectError: The document is damaged.
        """
        digest = _digest(head)
        if digest is None:
            return {}
        return decode_origins(self._objects.get(digest), name=f"origins `{digest}`")

    def checkouts(self, head: Head) -> dict[str, CheckoutPath]:
        """Return where spec files are in their repositories, as far as known, by origin.

        Raises:
            CorruptObjectError: The document is damaged.
        """
        digest = _digest(head)
        if digest is None:
            return {}
        return decode_checkouts(self._objects.get(digest), name=f"origins `{digest}`")

    def is_readable(self, head: Head) -> bool:
        """Return whether it can be read where assets are declared; else no asset is pruned."""
        try:
            self.origins(head)
            self.checkouts(head)
        except CorruptObjectError:
            return False
        return True

    def following(
        self,
        head: Head,
        tree: Tree,
        origins: Mapping[str, str],
        checkouts: Mapping[str, CheckoutPath],
    ) -> bytes | None:
        """Return the document of the commit after a head; None if no origin is known.

        Args:
            head: The commit before.
            tree: The tree after it.
            origins: Spec files of this run, by asset id.
            checkouts: Where they are in their repositories.
        """
        is_known = self.is_readable(head)
        known = {**(self.origins(head) if is_known else {}), **origins}
        ids = {entry.id for entry in tree.entries}
        kept = {asset_id: origin for asset_id, origin in known.items() if asset_id in ids}
        # A file that is in no checkout any more is not taken for what it was.
        old = self.checkouts(head) if is_known else {}
        given = set(origins.values())
        old = {file: one for file, one in old.items() if file not in given}
        return encode_origins(kept, {**old, **checkouts}) if kept else None


def _digest(head: Head) -> Digest | None:
    return None if head.commit is None else head.commit.origins
