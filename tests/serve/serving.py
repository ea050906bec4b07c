"""A server in this process, and GDAL as the oracle of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.io import MemoryFile
from starlette.testclient import TestClient

from geobatch.serve.app import make_app
from geobatch.serve.commits import Served
from geobatch.serve.guard import LOCAL
from geobatch.store.location import StoreLocation


@contextmanager
def client(store: Path, **options: Any) -> Iterator[TestClient]:
    """Return a client of the server of a store."""
    served = Served.open(StoreLocation.of(store))
    app = make_app(served, hosts=LOCAL, **options)
    with TestClient(app, base_url="http://localhost:8080") as made:
        yield made


def png(body: bytes) -> npt.NDArray[np.uint8]:
    """Return (rows, columns, 4)."""
    assert body.startswith(b"\x89PNG"), body[:300]
    with MemoryFile(body) as memory, memory.open() as file:
        found: npt.NDArray[np.uint8] = np.moveaxis(file.read(), 0, 2)
    return found
