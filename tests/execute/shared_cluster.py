"""A Dask cluster that the tests of a process share: to start one takes seconds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of two workers. A test that ends or changes workers starts its own."""
    from dask_cluster import cluster  # noqa: PLC0415 (Dask loads slowly, and most tests need none)

    with cluster(tmp_path_factory.mktemp("dask")) as made:
        yield made
