"""What a task is that reads, lists or deletes some objects of a store."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.digest import DIGEST_BYTES, Digest


class UpkeepTask(Struct, frozen=True, kw_only=True):
    """Work on some objects; what is done does not depend on how often, or by whom."""

    command: ClassVar[str]
    """The command that it is of, for whoever shows what runs."""
    part: ClassVar[str]
    """Which part of its work."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: no source is read."""
        return True

    @property
    def is_streamed(self) -> bool:
        """Whether it reads sources from their start: none is read."""
        return False

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return ()


class ReadTask(UpkeepTask, frozen=True, kw_only=True):
    """Objects that are read, and compared with their digests."""

    command: ClassVar[str] = "fsck"
    part: ClassVar[str] = "objects"

    digests: bytes
    """Their digests, of 32 bytes each."""

    def names(self) -> list[Digest]:
        """Return the digests."""
        data = self.digests
        return [data[at : at + DIGEST_BYTES].hex() for at in range(0, len(data), DIGEST_BYTES)]


class SweepTask(UpkeepTask, frozen=True, kw_only=True):
    """A part of the objects that is listed, to find those that nothing needs."""

    command: ClassVar[str] = "gc"
    part: ClassVar[str] = "list"

    prefix: str
    """What the names begin with."""
    needed: Digest
    """Digests of the needed objects of this part, as `Inputs` resolves it."""
    until_ns: int
    """Time until which an object must have been written to be garbage, in nanoseconds."""
    after: str
    """Only names behind this one are listed."""

    @property
    def inputs(self) -> tuple[Digest, ...]:
        """What the task names, and the process that runs it must know."""
        return (self.needed,)

    def following(self, name: str) -> SweepTask:
        """Return the task for what is behind a name."""
        return replace(self, after=name)


class DeleteTask(UpkeepTask, frozen=True, kw_only=True):
    """A part of a batch in quarantine that is deleted."""

    command: ClassVar[str] = "gc"
    part: ClassVar[str] = "delete"

    batch: str
    """Name of the batch."""
    prefix: str
    """What the names begin with; whole folders."""
