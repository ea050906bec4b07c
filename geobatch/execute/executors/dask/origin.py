"""Whether a worker shares a disk with the coordinator, and what else it must do if it does not."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.execute.tasks.inputs import Located
from geobatch.model.assets.asset import AnyImage, Source
from geobatch.model.assets.table import Table
from geobatch.model.sources.file_stat import FileStat
from geobatch.store.backends.protocol import RUNS, Backend
from geobatch.store.backends.run_folder import run_names

_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Origin(Struct, frozen=True, kw_only=True):
    """The machine of the coordinator, and its view of the store's disk."""

    kernel: str
    """Differs from one running system to another; containers of one machine share it."""
    device: int = -1
    """Number of the store's file system; -1 if nothing is written to a disk."""
    run: str = ""
    """Name of the coordinator's run, whose lock it holds; empty if nothing is written to a disk."""

    @classmethod
    def of(cls, backend: Backend, *, is_written: bool) -> Origin:
        """Return the origin of a run; if it writes, it begins."""
        disk = backend.local
        if disk is None or not is_written:
            return cls(kernel=_kernel())
        folder = disk.scratch("x").parent
        return cls(kernel=_kernel(), device=os.stat(disk.root).st_dev, run=folder.name)  # noqa: PTH116

    def problem(self, backend: Backend) -> str:
        """Return why a store on a disk cannot be shared with the coordinator; empty if it can."""
        disk = backend.local
        if disk is None or not self.run or self.run in run_names(disk.root / RUNS)[0]:
            return ""
        return (
            f"it does not see the lock that the coordinator holds in `{disk.root / RUNS}`: its"
            " file system must be the same, with locks (`flock`) that hold on all machines"
        )

    def is_synced(self, backend: Backend) -> bool:
        """Return whether a sync of the coordinator makes durable what this process wrote."""
        disk = backend.local
        if disk is None:
            return False
        device = os.stat(disk.root).st_dev  # noqa: PTH116
        return (self.kernel, self.device) == (_kernel(), device)


class Devices:
    """Gives files the device number of this machine: that of a mount differs between machines.

    All else that a stat shows must be equal for a file to be the one that was probed.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], int] = {}

    def located(self, asset: Located) -> Located:
        """Return an asset whose sources have the device numbers of this machine."""
        return self._table(asset) if isinstance(asset, Table) else self.image(asset)

    def _table(self, table: Table) -> Table:
        rows = (
            one if one.stat is None else replace(one, stat=self._stat(one.path, one.stat))
            for one in table.sources
        )
        return replace(table, sources=tuple(rows))

    def image(self, asset: AnyImage) -> AnyImage:
        """Return an image whose sources have the device numbers of this machine."""
        tilesets = tuple(
            replace(one, sources=tuple(map(self.source, one.sources))) for one in asset.tilesets
        )
        return replace(asset, tilesets=tilesets)

    def source(self, source: Source) -> Source:
        """Return a source with the device numbers of this machine."""
        if source.stat is not None:
            source = replace(source, stat=self._stat(source.path, source.stat))
        if source.records is not None:
            shards = tuple(
                replace(one, stat=self._stat(one.path, one.stat)) for one in source.records.shards
            )
            source = replace(source, records=replace(source.records, shards=shards))
        return source

    def _stat(self, path: str, stat: FileStat) -> FileStat:
        key = (stat.device, os.path.dirname(path))  # noqa: PTH120 - by the thousand
        if key not in self._known:
            try:
                self._known[key] = os.stat(path).st_dev  # noqa: PTH116
            except OSError:  # reading it reports what is wrong
                return stat
        device = self._known[key]
        return stat if device == stat.device else replace(stat, device=device)


def _kernel() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return platform.node()
