"""Whether a worker computes what the coordinator would: libraries, memory, store, sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from geobatch.errors import GeobatchError, SourceError
from geobatch.execute.executors.dask.session import Session
from geobatch.format.codec import compressor_versions
from geobatch.model.digest import digest_bytes
from geobatch.sources.gdal.support import gdal_version
from geobatch.sources.registry import libraries
from geobatch.store.backends.protocol import Backend
from geobatch.store.identity import IDENTITY
from geobatch.versions import VERSION, version_of

_LIBRARIES = ("imagecodecs", "numpy")
PROCESS_BYTES = 256 << 20
"""Memory of a worker without a task: Python, the libraries, and what the allocator keeps."""
THREAD_BYTES = 256 << 20
"""Memory of a task: the pixels of a region with the levels above it."""
_USED = 0.8
"""Share of its memory from which on a worker of Dask pauses."""


def versions_here() -> dict[str, str]:
    """Return the versions of what decides bytes; optional libraries only if they are installed."""
    found = {"geobatch": f"{VERSION} ({_code()})", "GDAL": gdal_version(), **compressor_versions()}
    for name in (*_LIBRARIES, *libraries()):
        try:
            found[name] = version_of(name)
        except PackageNotFoundError:
            continue
    return found


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    """Yield which versions differ; a task that needs a missing library says so itself."""
    for name, version in expected.items():
        other = found.get(name)
        if other is not None and other != version:
            yield f"{name} is `{other}`, expected `{version}`"


def memory_problem(limit: int | None, threads: int) -> str:
    """Return why the memory of a worker is too small for its threads; empty if it is not.

    Args:
        limit: Bytes that it may use; None or 0 if it has no limit.
        threads: Tasks that it runs at a time.
    """
    needed = int((PROCESS_BYTES + threads * THREAD_BYTES) / _USED)
    if not limit or limit >= needed:
        return ""
    return (
        f"it has {limit >> 20} MiB of memory for {threads} thread{'s' * (threads != 1)},"
        f" expected at least {needed >> 20} MiB: give it more, or fewer threads"
    )


def store_problem(session: Session, backend: Backend) -> str:
    """Return why a worker cannot use the store; empty if it can."""
    try:
        identity = backend.get(IDENTITY)
        if identity != session.identity:
            return f"another store is at `{backend.location}`"
        return session.origin.problem(backend)
    except (GeobatchError, OSError) as error:
        return f"it cannot use the store at `{backend.location}`: {error}"


def source_problem(error: SourceError) -> str:
    """Return why a worker cannot read the source that it is asked for first."""
    return f"it cannot read a source: {error.message}"


@cache
def _code() -> str:
    """Return a short digest of geobatch's own modules: clones of one version may differ."""
    package = Path(__file__).parents[3]
    files = sorted(
        (path.relative_to(package).as_posix(), digest_bytes(path.read_bytes()))
        for path in package.rglob("*.py")
    )
    return digest_bytes(repr(files).encode())[:8]
