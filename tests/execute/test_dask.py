"""Tasks on a Dask cluster of real processes: the contract of executors, kills, sizes, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from distributed import Client, LocalCluster

from geobatch.execute import Executor
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.testing.executor import ExecutorContract


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of two workers with one thread each, which are processes."""
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        Client(cluster, set_as_default=False) as made,
    ):
        yield made


class TestDask(ExecutorContract):
    @pytest.fixture
    def executor(self, client: Any) -> Executor:
        return DaskExecutor(client=client)
