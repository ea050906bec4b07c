"""Fixtures of tests about buckets: an environment without accounts, a service, a certificate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from service import OBJECT, Certificate, Service, serving

from geobatch.buckets.client import forget_clients

_STARTS = (
    "AWS_", "GOOGLE_", "GCE_", "AZURE_", "CLOUDSDK_", "STORAGE_", "IDENTITY_", "MSI_", "NO_GCE",
    "GEOBATCH_", "HTTP_", "HTTPS_", "ALL_", "NO_PROXY", "SSL_",
)  # fmt: skip

SetEnvironment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SetEnvironment]:
    """Give an environment in which nobody has an account; returns what sets more variables."""
    for name in list(os.environ):
        if name.upper().startswith(_STARTS):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    # No machine of a cloud is asked who it is.
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    forget_clients()

    def put(**variables: str) -> None:
        forget_clients()
        for name, text in variables.items():
            monkeypatch.setenv(name, text)

    yield put
    forget_clients()


@pytest.fixture
def service() -> Iterator[Service]:
    """A service that has one object, whatever its name."""
    with serving(lambda _: OBJECT) as found:
        yield found


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate for servers of tests."""
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("certificates") / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return Certificate(authority=authority, path=path)
