"""Whether geobatch can work here: what is installed, what the disk can do, what is found."""

from __future__ import annotations

import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from shlex import quote

from geobatch.errors import GeobatchError
from geobatch.extras import install_hint
from geobatch.model.text.words import count_text
from geobatch.processors import processor_count
from geobatch.sources.gdal.support import COMPRESSIONS, DRIVERS, gdal_support
from geobatch.store.backends.protocol import RUNS
from geobatch.store.backends.workspace import user_workspaces
from geobatch.store.identity import is_store
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.maintenance.disk_support import disk_support
from geobatch.store.tilestore import TileStore
from geobatch.versions import VERSION, version_of
from geobatch.workflow.maintenance.bucket_health import examine_bucket
from geobatch.workflow.maintenance.diagnosis import Diagnosis, Health

LIBRARIES = ("numpy", "rasterio", "pyproj", "imagecodecs", "zarr", "blake3", "msgspec", "pydantic")
"""Libraries that are always installed."""
_EXTRAS = (("tfrecord", "tensorflow"), ("table", "pyarrow"), ("geometry", "shapely"))
_GIB = 1 << 30
_READS_ZARR = (3, 12)
_LOW_SPACE = 2 * _GIB
_LOW_MEMORY = _GIB
_LOW_HANDLES = 256
_CLOCK = 2.0
"""Seconds by which two clocks may differ."""
_VARIABLES = {
    "s3": (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
        "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
    ),
    "gs": (
        "GOOGLE_BEARER_TOKEN", "GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
        "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST",
    ),
    "az": (
        "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_KEY",
        "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_CONNECTION_STRING", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET",
        "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE",
    ),
}  # fmt: skip
"""Variables in which the tools of each cloud find credentials."""
_FILES = {
    "s3": (".aws/credentials", ".aws/config"),
    "gs": (".config/gcloud/application_default_credentials.json",),
    "az": (".azure/msal_token_cache.json", ".azure/azureProfile.json"),
}
"""Files of the home folder in which they find them."""


def examine(
    store: StoreText, *, environment: Mapping[str, str] = os.environ
) -> tuple[Diagnosis, ...]:
    """Return whether geobatch can work with a store; the store need not exist.

    Args:
        store: Folder or url of the store.
        environment: Variables in which credentials are searched for.
    """
    return (
        *_software(),
        *_gdal(),
        *_store(StoreLocation.of(store)),
        *_computer(),
        *_credentials(environment),
    )


def _software() -> Iterator[Diagnosis]:
    def item(name: str, found: str, health: Health = Health.OK, hint: str = "") -> Diagnosis:
        return Diagnosis(group="software", name=name, found=found, health=health, hint=hint)

    yield item("geobatch", VERSION)
    yield item("Python", f"{platform.python_version()} ({platform.system()} {platform.machine()})")
    for name in LIBRARIES:
        yield item(name, version_of(name))
    for extra, library in _EXTRAS:
        try:
            yield item(library, version_of(library))
        except ImportError:
            found = f"not installed: nothing that requires the extra `geobatch[{extra}]` works"
            yield item(library, found, Health.NOTE, install_hint(extra))  # type: ignore[arg-type]


def _gdal() -> Iterator[Diagnosis]:
    found = gdal_support()
    is_old = tuple(map(int, found.version.split(".")[:2])) < _READS_ZARR
    yield Diagnosis(
        group="GDAL",
        name="version",
        found=found.version + ("; it reads nothing of `zarr/`, 3.12 or newer does" * is_old),
    )
    lacking = [name for name in DRIVERS if name not in found.drivers]
    hint = "install a rasterio whose GDAL has it, such as the wheel of the package index"
    yield Diagnosis(
        group="GDAL",
        name="drivers",
        health=Health.FAIL if "GTiff" in lacking else Health.NOTE if lacking else Health.OK,
        found=", ".join(found.drivers) + (f"; lacks {', '.join(lacking)}" if lacking else ""),
        hint=hint if lacking else "",
    )
    lacking = [name for name in COMPRESSIONS if name not in found.compressions]
    text = f"; cannot read {', '.join(lacking)}" if lacking else ""
    yield Diagnosis(
        group="GDAL",
        name="compressions",
        health=Health.NOTE if lacking else Health.OK,
        found=", ".join(found.compressions) + text,
        hint="needed only if a source is compressed so; else " + hint if lacking else "",
    )


def _store(store: StoreLocation) -> Iterator[Diagnosis]:
    def item(name: str, found: str, health: Health = Health.OK, hint: str = "") -> Diagnosis:
        return Diagnosis(group="store", name=name, found=found, health=health, hint=hint)

    if store.folder is None:
        yield from _bucket(store)
        return
    folder = Path(os.path.abspath(store.folder))  # noqa: PTH100 - links are left as they are
    if is_store(folder):
        yield _opened(store)
        tried = folder / RUNS if (folder / RUNS).is_dir() else folder
    else:
        yield item("store", f"there is none at `{store}`", hint="`geobatch init` creates one")
        tried = next(one for one in (folder, *folder.parents) if one.is_dir())
    disk = disk_support(tried)
    if not disk.can_write:
        hint = "choose another folder with `--store`, or change its permissions"
        yield item("permissions", f"`{tried}`: {disk.problem}", Health.FAIL, hint)
        return
    yield item("permissions", f"`{tried}` can be written to")
    yield item(
        "hard links",
        "yes" if disk.has_links else "no",
        Health.OK if disk.has_links else Health.FAIL,
        "" if disk.has_links else "a store needs hard links: choose a folder of another disk",
    )
    yield item("reflinks", "yes" if disk.has_reflinks else "no: `checkout --link reflink` fails")
    if not disk.has_case:
        yield item("names", "do not differ by case: `Foo` and `foo` are one asset", Health.NOTE)
    yield _clock(disk.clock_ahead)
    if not disk.has_fine_times:
        hint = "a file that changes twice within a second is read again"
        yield item("times", "in whole seconds", Health.NOTE, hint)
    yield _space("free space", tried, hint="free some space, or choose another disk")


def _bucket(store: StoreLocation) -> Iterator[Diagnosis]:
    """Yield whether there is a store in a bucket, or why that is not known; nothing is written."""
    if store.bucket is not None:
        found = list(examine_bucket(store.bucket))
        yield from found
        if any(one.health is Health.FAIL for one in found):
            return
    try:
        has_store = store.has_store()
    except GeobatchError as error:
        yield Diagnosis(
            group="store",
            name="store",
            health=Health.FAIL,
            found=error.message,
            hint=error.hint or "",
        )
        return
    if has_store:
        yield _opened(store)
    else:
        hint = f"`geobatch init --store {store}` creates one"
        yield Diagnosis(group="store", name="store", found=f"there is none at `{store}`", hint=hint)
    folder = user_workspaces()
    tried = next(one for one in (folder, *folder.parents) if one.is_dir())
    is_writable = disk_support(tried).can_write
    yield Diagnosis(
        group="store",
        name="caches",
        health=Health.OK if is_writable else Health.NOTE,
        found=f"in `{folder}`" + ("" if is_writable else ", which cannot be written"),
        hint="" if is_writable else "set `XDG_CACHE_HOME` to a folder that can be written",
    )


def _opened(store: StoreLocation) -> Diagnosis:
    try:
        with closing(TileStore.open(store)) as opened:
            head = opened.head()
            count = count_text(len(head.tree.entries), "asset")
            return Diagnosis(
                group="store",
                name="store",
                found=f"`{store}`, commit {head.number}, {count}",
            )
    except GeobatchError as error:
        return Diagnosis(
            group="store",
            name="store",
            health=Health.FAIL,
            found=error.message,
            hint=error.hint or "",
        )


def _clock(ahead: float) -> Diagnosis:
    is_off = abs(ahead) > _CLOCK
    return Diagnosis(
        group="store",
        name="clock",
        health=Health.NOTE if is_off else Health.OK,
        found=f"that of the disk differs by {ahead:+.1f} s" if is_off else "agrees with the disk's",
        hint="synchronise both with a time server: ages of files are compared" if is_off else "",
    )


def _space(name: str, folder: Path, *, hint: str) -> Diagnosis:
    free = shutil.disk_usage(folder).free
    is_low = free < _LOW_SPACE
    return Diagnosis(
        group="store",
        name=name,
        health=Health.FAIL if not free else Health.NOTE if is_low else Health.OK,
        found=f"{free / 1e9:.1f} GB in `{folder}`",
        hint=hint if is_low else "",
    )


def _computer() -> Iterator[Diagnosis]:
    def item(name: str, found: str, hint: str = "") -> Diagnosis:
        health = Health.NOTE if hint else Health.OK
        return Diagnosis(group="computer", name=name, found=found, health=health, hint=hint)

    yield item("processors", f"{processor_count()} of {os.cpu_count()}")
    memory = _memory()
    hint = "use fewer workers: `-j 1`" if memory < _LOW_MEMORY else ""
    yield item("memory", f"{memory / 1e9:.1f} GB", hint)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,}"
    is_low = soft != resource.RLIM_INFINITY and soft < _LOW_HANDLES
    most = "1024" if hard == resource.RLIM_INFINITY else str(min(hard, 1024))
    yield item("open files", f"at most {limit}", f"`ulimit -n {most}`" if is_low else "")
    scratch = Path(tempfile.gettempdir())
    found = _space("temporary files", scratch, hint="set `TMPDIR` to a folder of another disk")
    yield Diagnosis(
        group="computer",
        name=found.name,
        found=found.found,
        health=Health.NOTE if found.hint else Health.OK,
        hint=found.hint,
    )
    encoding = sys.getfilesystemencoding()
    hint = "set `PYTHONUTF8=1`" if encoding.lower() not in {"utf-8", "utf8"} else ""
    yield item("names of files", encoding, hint)


def _memory() -> int:
    """Return how much memory this process may use: the computer's, or the container's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        text = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return min(total, int(text)) if text.isdigit() else total


def _credentials(environment: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Yield the names of variables and files with credentials; never what they contain."""
    home = environment.get("HOME", "")
    for scheme, names in _VARIABLES.items():
        found = [f"`{name}`" for name in names if environment.get(name)]
        if home:
            files = (Path(home, name) for name in _FILES[scheme])
            found += [f"`{quote(str(path))}`" for path in files if path.is_file()]
        yield Diagnosis(
            group="credentials",
            name=f"{scheme}://",
            found=", ".join(found) or "none",
        )
