"""Urls of objects in buckets, as specs, `--store` and exports write them."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

SCHEMES = ("s3", "gs", "az", "abfs", "abfss")
"""Schemes of buckets, as urls write them."""

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_FORM = {
    "s3": "s3://BUCKET/KEY",
    "gs": "gs://BUCKET/KEY",
    "az": "az://CONTAINER/KEY",
    "abfs": "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/KEY",
}


class BucketUrl(Struct, frozen=True, kw_only=True):
    """Where an object, or a prefix of objects, is."""

    scheme: str
    """`s3`, `gs` or `az`; `abfs` and `abfss` are `az`."""
    bucket: str
    """Bucket of S3 and Google, container of Azure."""
    key: str
    """Name of the object, or a prefix of names; no slash at its start."""
    account: str = ""
    """Azure's account, where the url names it; else the environment does."""

    def __str__(self) -> str:
        if self.account:
            return f"abfs://{self.bucket}@{self.account}.dfs.core.windows.net/{self.key}"
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def child(self, name: str) -> BucketUrl:
        """Return the url of a name below this prefix."""
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        return self.at(prefix + name)

    def at(self, key: str) -> BucketUrl:
        """Return the url of another key in this bucket."""
        return BucketUrl(scheme=self.scheme, bucket=self.bucket, key=key, account=self.account)


def is_bucket_url(text: str) -> bool:
    """Return whether a text starts as the url of a bucket does."""
    scheme, colon, rest = text.partition(":")
    return bool(colon) and rest.startswith("//") and scheme.lower() in SCHEMES


@lru_cache(maxsize=256)  # a uri of a spec is asked for about ten times in a row
def parse_bucket_url(text: str) -> BucketUrl:
    """Return the parts of a url; the key is taken as it is written, without decoding.

    Raises:
        ValueError: It is not valid; the message says why: `it names no bucket`.
    """
    scheme, _, rest = text.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise ValueError("only `s3://`, `gs://`, `az://` and `abfs://` name buckets")
    if _CONTROL.search(text):
        raise ValueError("it contains a control character")
    authority, _, key = rest.partition("/")
    account = ""
    is_azure_host = scheme in ("abfs", "abfss")
    form = _FORM["abfs" if is_azure_host else scheme]
    if ":" in authority or ("@" in authority and not is_azure_host):
        raise ValueError(
            "user names, passwords and ports are not supported; write "
            f"`{form}`, and set the endpoint in the environment"
        )
    if is_azure_host:
        scheme = "az"
        authority, at, host = authority.partition("@")
        account = host.partition(".")[0]
        if at and not _ACCOUNT.fullmatch(account):
            raise ValueError(f"`{host}` is not an Azure account; write `{form}`")
    if not authority:
        raise ValueError(f"it names no bucket; write `{form}`")
    if not _BUCKET.fullmatch(authority):
        raise ValueError(
            f"`{authority}` is not a valid name of a bucket; write `{form}`, where the "
            "name has 2 to 222 letters, digits, `.`, `_` and `-`, and starts with a letter or digit"
        )
    return BucketUrl(scheme=scheme, bucket=authority, key=key, account=account)
