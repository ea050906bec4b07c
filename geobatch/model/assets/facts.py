"""What an asset may be, and what can be asked of every asset."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from geobatch.model.compared import Compared


class Kind(StrEnum):
    """What an asset is."""

    IMAGE = "image"
    EXTERNAL_IMAGE = "external_image"
    TABLE = "table"
    IMAGE_COLLECTION = "image_collection"
    FOLDER = "folder"


class Facts(Compared, frozen=True, kw_only=True):
    """What every asset has."""

    kind: ClassVar[Kind]
    """What it is: one kind per class."""
    beside: ClassVar[frozenset[str]] = frozenset({"origin"})

    id: str
    """`/`-separated name."""
    properties: tuple[tuple[str, str | int | float], ...] = ()
    """Sorted by key."""
    start_time: str | None = None
    """RFC 3339 in UTC, `Z`-terminated."""
    end_time: str | None = None
    """RFC 3339 in UTC, exclusive."""
    memo: str = ""
    """The user's notes; no effect."""
    is_protected: bool = False
    """Whether `lifecycle.protect` guards the asset against deletion."""
    origin: str = ""
    """Spec file and line, for messages."""

    @property
    def is_external(self) -> bool:
        """Whether the pixels stay in the sources, and the store holds none."""
        return self.kind is Kind.EXTERNAL_IMAGE
