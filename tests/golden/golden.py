"""The golden stores: archives that were committed once, and are unpacked for a test."""

from __future__ import annotations

import json
import shutil
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

from geobatch.store.tilestore import TileStore
from geobatch.views.store_views import StoreViews

ARCHIVES = sorted(Path(__file__).parent.glob("store-*.tar.xz"))
NEWEST = ARCHIVES[-1]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive; return the folder with `store`, `sources` and the specs."""
    with tarfile.open(archive) as file:
        file.extractall(folder, filter="data")
    return folder / "golden"


def unpack_current(archive: Path, folder: Path) -> Path:
    """Unpack an archive whose views this version has brought up to date, as each apply does."""
    made = unpack(archive, folder)
    with closing(TileStore.open(made / "store")) as store:
        StoreViews(store).update(store.head())
    shutil.rmtree(made / "store/runs")  # its lock, which an archive does not have
    return made


def expected(folder: Path) -> dict[str, Any]:
    """Return what was noted when the store was made."""
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    return found
