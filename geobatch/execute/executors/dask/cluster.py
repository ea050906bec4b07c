"""A connection to a Dask scheduler, or a cluster of processes that is started here."""

from __future__ import annotations

import logging
import math
import time
from contextlib import ExitStack, suppress
from typing import Any

import dask.config
from distributed import Client, LocalCluster

from geobatch.errors import ExecutionError

LOCAL = {"distributed.deploy.lost-worker-timeout": "1 hour"}
"""Settings of Dask for a cluster on this machine."""
_PRELOADED = "geobatch.execute.executors.dask.worker"
"""Module that each of its processes loads when it starts."""
CONNECT_SECONDS = 30.0
"""How long a scheduler may take to answer."""
_REFRESH_SECONDS = 5.0
"""How often the scheduler is asked how many threads there are."""
_AGAIN = "run the same command again: finished regions are reused"
WORKER_SECONDS = 300.0
"""How long to wait for a worker where there is none."""


class Cluster:
    """A client of a scheduler; closes what it has opened."""

    def __init__(self, client: Client | None, address: str, *, workers: int) -> None:
        """Connect.

        Args:
            client: The caller's own client, which stays open; None to connect.
            address: Of the scheduler; empty to start processes of this machine.
            workers: How many of those.

        Raises:
            ExecutionError: The scheduler does not answer, or there is no worker.
        """
        if client is not None and client.status == "closed":
            raise ExecutionError(
                "the client of `executor` is closed", hint="call it while the client is open"
            )
        self._stack = ExitStack()
        self._threads = 0
        self._asked, self._last_seen = -math.inf, time.monotonic()
        try:
            connected: Any = self._connect(address, workers) if client is None else client
            self.client = connected
            self.address: str = connected.scheduler.address
            self.wait_for_worker()
        except BaseException:
            self.close()
            raise

    @property
    def is_lost(self) -> bool:
        """Whether there is no connection any more."""
        return bool(self.client.status != "running")

    def threads(self) -> int:
        """Return how many tasks all workers run at a time; asked for every few seconds.

        Raises:
            ExecutionError: The scheduler is lost, or there has been no worker for too long.
        """
        now = time.monotonic()
        if self.is_lost:
            raise self.lost()
        if now - self._asked >= _REFRESH_SECONDS:
            try:
                self._threads = sum(self.client.nthreads().values())
            except (OSError, TimeoutError) as error:
                raise self.lost() from error
            self._asked = time.monotonic()
            if self._threads:
                self._last_seen = self._asked
            elif self._asked - self._last_seen > WORKER_SECONDS:
                raise ExecutionError(
                    f"the scheduler `{self.address}` has had no worker for {WORKER_SECONDS:.0f} s",
                    hint=f"start workers, and {_AGAIN}",
                )
        return self._threads

    def lost(self) -> ExecutionError:
        """Return the error for a scheduler that does not answer any more."""
        return ExecutionError(
            f"the Dask scheduler `{self.address}` does not answer any more", hint=_AGAIN
        )

    def wait_for_worker(self) -> None:
        """Return when there is a worker.

        Raises:
            ExecutionError: There is none for too long.
        """
        try:
            self.client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except (TimeoutError, OSError) as error:
            raise ExecutionError(
                f"no worker joined the scheduler `{self.address}` within {WORKER_SECONDS:.0f} s",
                hint=f"start workers: `dask worker {self.address}`; then run the same command"
                " again",
            ) from error

    def ask(self, function: Any, *arguments: Any) -> dict[str, Any]:
        """Return what a function returns on each worker, or the error, by the worker's address."""
        found: dict[str, Any] = self.client.run(function, *arguments, on_error="return")
        return found

    def close(self) -> None:
        """Disconnect, and end the processes that were started."""
        self._stack.close()

    def _connect(self, address: str, workers: int) -> Client:
        if address:
            return self._client(address)
        # A killed process is started again, however long that takes.
        self._stack.enter_context(dask.config.set(LOCAL))
        # No one else on the network is to see it, and its port is free.
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            preload=[_PRELOADED],
        )
        self._stack.callback(cluster.close)
        return self._client(cluster)

    def _client(self, address: Any) -> Client:
        try:
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ExecutionError(
                f"no Dask scheduler answers at `{address}` within {CONNECT_SECONDS:.0f} s: {error}",
                hint="start one with `dask scheduler`, and name its address as"
                " `--executor dask://tcp://HOST:8786`",
            ) from error
        self._stack.callback(_close, client)
        return client


def _close(client: Client) -> None:
    with suppress(OSError, TimeoutError):
        client.close()
