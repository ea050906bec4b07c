"""Where a store is: a folder, or a prefix of a bucket; parsed once."""

from __future__ import annotations

import os
import re
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from geobatch.buckets.url import SCHEMES, BucketUrl, is_bucket_url, parse_bucket_url
from geobatch.errors import NoStoreError, NotFoundError, SettingError, StoreError
from geobatch.model.text.suggest import suggestion
from geobatch.store import backends
from geobatch.store.backends.protocol import parse_name
from geobatch.store.identity import IDENTITY, has_refs, is_store, read_identity

if TYPE_CHECKING:
    from geobatch.store.backends.protocol import Backend

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/+)?(.*)", re.DOTALL)
_OTHERS = ("file", "ftp", "gcs", "hdfs", "http", "https", "s3a", "s3n", "wasb", "wasbs")
"""Schemes that are no buckets, or not called so, and are no names of folders either."""
_NO_COLON = re.compile(r"(s3|gs|az|abfss?)//(.+)", re.DOTALL | re.IGNORECASE)
_AROUND = " \t\r\n\"'`<>:"
"""Characters that remain around a url that was copied; with them it would name a folder."""
_FORMS = "`s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or a folder"
_PASSWORD = re.compile("//[^/@]*:[^/@]*@")
_ROOTS = ("geobatch.yaml", ".git")
"""Names that mark the folder of a project."""


StoreText: TypeAlias = "StoreLocation | str | os.PathLike[str]"
"""A location as users and programs give it: a folder or a url, parsed or not."""


class StoreLocation:
    """Where a store is: a folder, or a prefix of a bucket."""

    def __init__(
        self,
        *,
        folder: Path | None = None,
        bucket: BucketUrl | None = None,
        project: Path | None = None,
    ) -> None:
        """Do not open it.

        Args:
            folder: The folder, of a store on a disk.
            bucket: The bucket and the prefix, of any other.
            project: Folder of the project whose specs are applied; by default that of the current
                folder.
        """
        self.folder = folder
        """The folder; None for a bucket."""
        self.bucket = bucket
        """The bucket and the prefix; None for a folder."""
        self._project = project
        self._known: dict[str, bytes] = {}
        """The document that identifies the store, once it is read: it never changes."""

    @classmethod
    def of(cls, location: StoreText) -> StoreLocation:
        """Return a location from what a user or a program gave.

        Raises:
            SettingError: It starts like a url, and is not one of a bucket.
        """
        if isinstance(location, StoreLocation):
            return location
        text = os.fspath(location)
        if not is_bucket_url(text) or text != text.strip():
            _refuse_other_url(text)
            return cls(folder=Path(text))
        try:
            url = parse_bucket_url(text)
            key = url.key.rstrip("/")
            if key:
                parse_name(key)
        except StoreError:
            raise SettingError(
                f"`{text}` is not the url of a store: `{key}` is not a valid prefix",
                hint="a prefix is parts separated by `/`; no part is empty, `.` or `..`",
            ) from None
        except ValueError as error:
            raise SettingError(f"`{_shown(text)}` is not the url of a store: {error}") from None
        return cls(
            bucket=BucketUrl(scheme=url.scheme, bucket=url.bucket, key=key, account=url.account)
        )

    def __str__(self) -> str:
        return str(self.bucket or self.folder)

    def __repr__(self) -> str:
        return f"StoreLocation({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoreLocation) and (self.folder, self.bucket) == (
            other.folder,
            other.bucket,
        )

    def __hash__(self) -> int:
        return hash((self.folder, self.bucket))

    def of_project(self, path: Path) -> StoreLocation:
        """Return the location with the project that a spec file or a folder of specs is in."""
        made = copy(self)
        made._project = _project_of(path)  # noqa: SLF001 - a copy of its own
        return made

    @property
    def base(self) -> Path:
        """Folder that recorded paths are relative to: the store's, or that of the project.

        The project's folder is the nearest above that has `geobatch.yaml` or `.git`, else the
        current one. So a laptop and CI record the same paths in a bucket.
        """
        return self.folder or self._project or _project_of(Path())

    def open_backend(self) -> Backend:
        """Return what keeps the bytes; nothing is read."""
        if self.bucket is None:
            return backends.LocalBackend(self.folder or Path())
        return backends.ObjectStoreBackend(self.bucket, identity=self._known.get(IDENTITY))

    def has_store(self) -> bool:
        """Return whether there is a store, even if it lost its identity.

        Raises:
            StoreError: The bucket cannot be read.
        """
        if self.folder is not None:
            return is_store(self.folder)
        return self._read_identity() is not None or has_refs(self.open_backend())

    def workspace(self) -> Path | None:
        """Return the folder on a local disk for caches; None if there is no store in the bucket.

        Raises:
            StoreError: The bucket cannot be read, or what is there is damaged.
        """
        if self.folder is not None:
            return self.folder
        if self._read_identity() is None:
            return None
        try:
            store_id = read_identity(self.open_backend())
        except NoStoreError:
            return None
        return backends.workspace_of(store_id)

    def _read_identity(self) -> bytes | None:
        """Return the document that identifies the store; None without any."""
        if IDENTITY not in self._known:
            try:
                self._known[IDENTITY] = self.open_backend().get(IDENTITY)
            except NotFoundError:
                return None
        return self._known[IDENTITY]


def _refuse_other_url(text: str) -> None:
    """Refuse what is meant as a url: a mistyped scheme must not make a folder of that name.

    Raises:
        SettingError: It is.
    """
    bare = text.strip(_AROUND)
    _refuse_mended_url(text, bare)
    match = _URL.fullmatch(bare if "://" in bare else text)
    if match is None:
        return
    scheme = match[1].lower()
    if not match[2] and scheme not in (*SCHEMES, *_OTHERS):
        return  # a name with a colon
    if scheme in SCHEMES:
        rest = match[3].replace("\\", "/").lstrip("/") or "BUCKET/PREFIX"
        hint = f"write `{scheme}://{rest}`, as text and not as a path"
    elif scheme == "file":
        hint = f"write the path without `{match[1]}:`"
    elif scheme in ("http", "https"):
        hint = (
            f"write {_FORMS}; set the address of a service in the environment, such as"
            " `AWS_ENDPOINT_URL`"
        )
    elif scheme == "gcs":
        hint = f"write `gs://{match[3]}`"
    elif scheme in ("s3a", "s3n"):
        hint = f"write `s3://{match[3]}`"
    else:
        meant = suggestion(f"{scheme}://", [f"{one}://" for one in SCHEMES])
        hint = f"write {_FORMS}; a folder of this name is `./{text}`"
        hint = f"{meant} W{hint[1:]}" if meant else hint
    what = f"a url of a bucket starts with `{scheme}://`"
    if scheme not in SCHEMES:
        what = f"`{match[1]}:` names no bucket"
    raise SettingError(f"`{_shown(text)}` is not a store: {what}", hint=_shown(hint))


def _refuse_mended_url(text: str, bare: str) -> None:
    """Refuse the url of a bucket that has characters around it, or no colon.

    Raises:
        SettingError: It is one.
    """
    what = "a url of a bucket has no characters around it"
    missing = _NO_COLON.fullmatch(bare)
    if missing is not None:
        what = f"a url of a bucket starts with `{missing[1].lower()}://`"
        bare = f"{missing[1]}://{missing[2]}"
    if is_bucket_url(bare):
        raise SettingError(
            f"`{_shown(text)}` is not a store: {what}", hint=_shown(f"write `{bare}`")
        )


def _shown(text: str) -> str:
    """Return a text that may be shown: without a password."""
    return _PASSWORD.sub("//...@", text)


def _project_of(path: Path) -> Path:
    """Return the folder of the project that a path is in; the current folder without one."""
    here = Path(os.path.abspath(path))  # noqa: PTH100 - links are left as they are
    for folder in (here, *here.parents):
        if any((folder / name).exists() for name in _ROOTS):
            return folder
    return Path.cwd()
