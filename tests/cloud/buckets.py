"""Fixtures of buckets on servers that run: `bucket` of each kind, `s3`, `gs`, `az`, and proxies.

A test that takes one of them is marked `cloud`: `just cloud` runs it. A process that the test
starts gets `bucket.process_environment`; `enter(bucket)` leads this process to the server.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attachment import ServerError
from heedless import serving_heedlessly
from proxy import Proxy, proxying
from servers import KINDS, Bucket, MissingServerError, Server, serving

Enter = Callable[[Bucket], Bucket]
"""Leads this process to the server of a bucket, and returns the bucket."""
Before = Callable[..., tuple[Proxy, Bucket]]
"""Puts a proxy before the server of a bucket, and returns the bucket as it is reached through it.

`before(bucket, latency=0.03)` adds 30 ms each way.
"""


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Server]]:
    """Give the server of a kind, which runs from here to the end of the session."""
    found: dict[str, Server | Exception] = {}
    with contextlib.ExitStack() as stack:

        def server(kind: str) -> Server:
            if kind not in found:
                try:
                    folder = tmp_path_factory.mktemp(f"server-{kind}")
                    found[kind] = stack.enter_context(serving(kind, folder))
                except (MissingServerError, ServerError) as error:
                    found[kind] = error
            here = found[kind]
            if isinstance(here, MissingServerError):
                pytest.skip(str(here))
            if isinstance(here, Exception):
                raise here
            return here

        yield server


@pytest.fixture
def s3(servers: Callable[[str], Server]) -> Bucket:
    """A new bucket of SeaweedFS."""
    return servers("s3").bucket()


@pytest.fixture
def gs(servers: Callable[[str], Server]) -> Bucket:
    """A new bucket of fake-gcs-server."""
    return servers("gs").bucket()


@pytest.fixture
def az(servers: Callable[[str], Server]) -> Bucket:
    """A new container of Azurite."""
    return servers("az").bucket()


@pytest.fixture(params=KINDS)
def bucket(request: pytest.FixtureRequest, servers: Callable[[str], Server]) -> Bucket:
    """A new bucket, of each kind of server."""
    return servers(request.param).bucket()


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Enter:
    """Lead this process to the server of a bucket, by its environment."""

    def lead(bucket: Bucket) -> Bucket:
        for name in os.environ.keys() - bucket.process_environment.keys():
            monkeypatch.delenv(name)
        for name, text in bucket.environment.items():
            monkeypatch.setenv(name, text)
        return bucket

    return lead


@pytest.fixture
def before() -> Iterator[Before]:
    """Put proxies before servers."""
    with contextlib.ExitStack() as stack:

        def put(bucket: Bucket, *, latency: float = 0.0) -> tuple[Proxy, Bucket]:
            proxy = stack.enter_context(proxying(bucket.port, latency=latency))
            return proxy, bucket.through(proxy.port)

        yield put


@pytest.fixture(params=KINDS)
def heedless(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bucket]:
    """A bucket of each dialect, on a server that ignores conditions; it needs no installation."""
    with serving_heedlessly() as port:
        caches = tmp_path / "caches"
        yield Bucket(kind=request.param, name=f"heedless-{port}", port=port, caches=caches)
