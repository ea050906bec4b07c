"""Folders that rehearsals hold for the views, in `runs/`; nothing relies on them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from pathlib import Path

from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import RUNS, LocalDisk
from geobatch.store.backends.run_folder import REHEARSED


def held_folder(disk: LocalDisk, plan_id: Digest) -> Path:
    """Return where the folders are held that the rehearsal of a plan made."""
    return disk.root / RUNS / REHEARSED / plan_id


def drop_held(disk: LocalDisk, plan_id: Digest) -> None:
    """Remove the folders of one rehearsal; what cannot be removed stays."""
    shutil.rmtree(held_folder(disk, plan_id), ignore_errors=True)


def remove_held(disk: LocalDisk, *, spared: Collection[Digest] = ()) -> None:
    """Remove the folders of all rehearsals but some; what cannot be removed stays.

    Args:
        disk: Where the store is.
        spared: Ids of plans whose folders stay.
    """
    held = disk.root / RUNS / REHEARSED
    try:
        names = os.listdir(held)  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name not in spared:
            shutil.rmtree(held / name, ignore_errors=True)
