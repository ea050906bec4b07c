"""The settings of a project, and the locations that its uris map to."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from geobatch.buckets.url import BucketUrl, is_bucket_url, parse_bucket_url
from geobatch.declare.files.objects import Objects
from geobatch.model.limits import SPEC_BYTES
from geobatch.model.sources.allowed import Allowed

PROJECT_FILE = "geobatch.yaml"
"""Name of the file that says it: the nearest one, beside a spec or above it, holds for the spec."""


class Location(Struct, frozen=True):
    """The location of a uri on this machine."""

    uri: str
    """As declared."""
    folder: Path
    """Absolute folder that the name starts from."""
    name: str
    """Path or glob below the folder; absolute where the uri is an absolute path; the whole uri if
    it is not of a local file."""
    allowed: Allowed | None = None
    """What may be read; None for everything."""
    objects: Objects | None = None
    """What the run knows of buckets; None for nothing."""

    @property
    def path(self) -> Path:
        """The absolute path of a file that is no glob; a unique key if it is no local file."""
        return Path(quote(self.name, safe="")) if self.is_away else self.folder / self.name

    @property
    def is_remote(self) -> bool:
        """Whether the uri names an object on an HTTP server."""
        return self.name[:8].lower().startswith(("http://", "https://"))

    @property
    def is_in_bucket(self) -> bool:
        """Whether the uri names an object, or objects, in a bucket."""
        return is_bucket_url(self.name)

    @property
    def is_away(self) -> bool:
        """Whether the uri names no local file."""
        return self.is_in_bucket or self.is_remote

    @property
    def bucket_url(self) -> BucketUrl:
        """The url of the object, or glob, in a bucket.

        Raises:
            ValueError: It is not valid.
        """
        return parse_bucket_url(self.name)

    @property
    def known(self) -> Objects:
        """What the run knows of buckets."""
        return Objects() if self.objects is None else self.objects

    def file(self, name: str) -> Location:
        """Return the location of a file that the glob matches, as it would be declared."""
        uri = self.uri[: len(self.uri) - len(self.name)] + name
        return Location(uri, self.folder, name, self.allowed, self.objects)


class Project(Struct, frozen=True, kw_only=True):
    """What a project file declares; the defaults if there is none."""

    path: str = ""
    """The file; empty where there is none."""
    mirrors: tuple[tuple[str, Path], ...] = ()
    """(beginning of uris, absolute folder that mirrors it), the longest first."""
    keeps_prefix: bool = False
    """Whether `projects/P/assets/a` stays the id of an asset, rather than `a`."""
    silenced: frozenset[str] = frozenset()
    """Lints to disable."""
    allow: tuple[str, ...] | None = None
    """Folders, buckets and servers that may be read besides its folder; None for everything."""
    executor: str = ""
    """Name of the executor that runs tasks; empty for what suits a plan."""
    allowed: Allowed | None = None
    """What `allow` and the options of the run come to; None for everything."""
    objects: Objects | None = None
    """What the run knows of buckets; None for nothing."""

    def locate(self, uri: str, folder: Path) -> Location:
        """Return the location of a uri: in the first mirror for it, else in a folder."""
        for prefix, mirror in self.mirrors:
            if uri.startswith(prefix):
                name = uri[len(prefix) :].lstrip("/")
                return Location(uri, mirror, name, self.allowed, self.objects)
        return Location(uri, folder, uri, self.allowed, self.objects)


NO_PROJECT = Project()


def project_bytes(file: Path) -> bytes:
    """Return the bytes of a project file.

    Raises:
        OSError: It cannot be read, or is not a regular file.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")
    with file.open("rb") as stream:
        return stream.read(SPEC_BYTES.value + 1)
