"""What a view is: published assets as other tools read them, brought up to date by each apply."""

from __future__ import annotations

from collections.abc import Collection, Container, Mapping
from typing import Protocol

from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import Digest
from geobatch.model.published import Head

MISSING = "missing"
"""Problem of a part that is not there."""
FOREIGN = "does not belong here"
"""Problem of a part that should not be there."""


class Part(Struct, frozen=True, kw_only=True, order=True):
    """A file or folder of a view that is not as it must be."""

    path: str
    """Its path within the view; within the store, if it is a part of a `ViewState`."""
    problem: str
    """What is wrong with it."""


class Audit(Struct, frozen=True, kw_only=True):
    """How a view is compared if its objects may be damaged: all that differs is named."""

    damaged: Container[Digest]
    """Objects that are damaged or missing."""
    read: Container[Digest]
    """Objects whose copies are read; of the others, only the length is compared."""


class ViewState(Struct, frozen=True, kw_only=True):
    """How a view differs from a head."""

    number: int | None = None
    """Number of the commit that it shows; None if it does not say so, or there is no view."""
    behind: tuple[str, ...] = ()
    """Assets that the next update would build, change or remove, sorted."""
    parts: tuple[Part, ...] = ()
    """Files and folders that are not as they must be, by path in the store, sorted."""
    is_current: bool = True
    """Whether the next update would do nothing."""
    damaged: Mapping[str, CorruptObjectError] = {}
    """Assets of which nothing can be said because their objects are damaged."""
    unsettled: tuple[str, ...] = ()
    """Assets that an update was changing when it was killed; their parts are not named."""
    is_former: bool = False
    """Whether another version of geobatch made it, by other rules: all assets are unsettled."""
    intact: Mapping[Digest, str] = {}
    """Files with the bytes of an object that is damaged or missing, by its digest."""
    refused: Mapping[str, str] = {}
    """Why something that is asked for is not shown, by its name in the view."""


class ViewChange(Struct, frozen=True, kw_only=True):
    """What an update did."""

    assets: tuple[str, ...] = ()
    """Assets that were built, changed or removed, sorted."""
    linked: int = 0
    """Files that became hard links of objects."""
    copied: int = 0
    """Files that became copies of objects."""
    removed: int = 0
    """Files that were removed."""
    damaged: Mapping[str, CorruptObjectError] = {}
    """Assets that could not be shown because their objects are damaged."""
    refused: Mapping[str, str] = {}
    """Why something that is asked for is not shown, by its name in the view."""


class View(Protocol):
    """One view of a store."""

    @property
    def name(self) -> str:
        """What it is and where, for messages."""

    @property
    def folder(self) -> str:
        """Its folder in the store."""

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the view differs from a head; nothing is changed.

        Args:
            head: What it should show.
            audit: How it is compared if objects may be damaged; by default, an asset of which
                one is damaged is not compared further.

        Raises:
            CorruptObjectError: A document of the head is damaged.
            StoreError: There is something else where the view must be.
            OSError: The disk refused.
        """

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the view show a head, whatever it shows now; only what differs is changed.

        One process updates at a time. If it is killed at any instant, the next update completes it.

        Args:
            head: What to show.
            is_thorough: Whether files that should exist already are compared, if that is slow.
            again: Assets that are taken for different from what the view shows.

        Raises:
            CorruptObjectError: A document of the head is damaged.
            StoreError: There is something else where the view must be.
            OSError: The disk refused.
        """
