"""Settings of requests to buckets: variables of the environment, never keys of specs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from geobatch.buckets.access.access import shown
from geobatch.buckets.url import BucketUrl, is_bucket_url, parse_bucket_url
from geobatch.errors import SettingError

PREFIX = "GEOBATCH_BUCKET_"
"""How the variables begin."""
_TRUE = ("true", "1", "yes")
_FALSE = ("false", "0", "no", "")


class Setting(Struct, frozen=True, kw_only=True):
    """One variable."""

    name: str
    """Its name without the prefix, in lowercase."""
    default: str
    """What holds without it, in words or as a number."""
    purpose: str
    """What it is for, in one line."""

    @property
    def variable(self) -> str:
        """The variable of the environment."""
        return PREFIX + self.name.upper()


ANONYMOUS = Setting(
    name="anonymous",
    default="none",
    purpose="public buckets, whose requests are not signed: `true` for all, or urls of buckets with"
    " commas between",
)
REQUESTER_PAYS = Setting(
    name="requester_pays",
    default="none",
    purpose="buckets whose requests you pay for: `true` for all, or urls; on Google Cloud,"
    " `GOOGLE_CLOUD_PROJECT` is billed",
)
CA_FILE = Setting(
    name="ca_file",
    default="those of the system",
    purpose="certificates in PEM that are trusted besides; else `AWS_CA_BUNDLE` for S3, and"
    " `SSL_CERT_FILE`",
)
CONNECT_SECONDS = Setting(
    name="connect_seconds", default="5", purpose="time to connect to a server"
)
STALL_SECONDS = Setting(
    name="stall_seconds",
    default="60",
    purpose="time without a byte of an answer, after which a request failed; an upload must end in"
    " it",
)
RETRIES = Setting(
    name="retries",
    default="10",
    purpose="how often a failed request is sent again, with growing pauses",
)
RETRY_SECONDS = Setting(
    name="retry_seconds", default="180", purpose="time after which it is not sent again"
)
SETTINGS = (
    ANONYMOUS, REQUESTER_PAYS, CA_FILE, CONNECT_SECONDS, STALL_SECONDS, RETRIES, RETRY_SECONDS,
)  # fmt: skip
"""All of them, in the order of `docs/cloud.md`."""


class Settings(Struct, frozen=True, kw_only=True):
    """What the variables say."""

    anonymous: str = ""
    """`true`, or urls of buckets with commas between."""
    requester_pays: str = ""
    """As above."""
    ca_file: str = ""
    """Path of a PEM file; empty for the certificates of the system."""
    connect_seconds: int = 5
    """Time to connect."""
    stall_seconds: int = 60
    """Time without a byte."""
    retries: int = 10
    """How often a request is sent again."""
    retry_seconds: int = 180
    """Until when it is sent again."""

    def is_anonymous(self, url: BucketUrl) -> bool:
        """Return whether requests to a bucket are not to be signed."""
        return _names(self.anonymous, ANONYMOUS, url)

    def is_requester_paid(self, url: BucketUrl) -> bool:
        """Return whether the requester pays for requests to a bucket."""
        return _names(self.requester_pays, REQUESTER_PAYS, url)

    def certificates(self, scheme: str, environment: Mapping[str, str]) -> bytes | None:
        """Return the certificates that are trusted besides those of the system; None if none.

        Raises:
            SettingError: Their file cannot be read, or has none.
        """
        variable = CA_FILE.variable
        path = self.ca_file
        system = environment.get("SSL_CERT_FILE")
        if system is not None and not Path(system).is_file():
            message = f"`SSL_CERT_FILE` is `{shown(system)}`, which is not a file"
            hint = "name a file with certificates in PEM, or `unset SSL_CERT_FILE`"
            raise SettingError(message, hint=hint)
        if not path and scheme == "s3":
            variable = "AWS_CA_BUNDLE"
            path = environment.get(variable, "")
        if not path:
            return None
        hint = f"name a file with certificates in PEM, or `unset {variable}`"
        try:
            found = Path(path).read_bytes()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            message = f"`{variable}` names `{shown(path)}`, which cannot be read: {why}"
            raise SettingError(message, hint=hint) from None
        if b"-----BEGIN CERTIFICATE-----" not in found:
            message = f"`{variable}` names `{shown(path)}`, in which there is no certificate"
            raise SettingError(message, hint=hint)
        return found


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings of an environment.

    Raises:
        SettingError: A variable has a value that cannot be used, or is none of them.
    """
    values: dict[str, str | int] = {}
    known = {one.variable: one for one in SETTINGS}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX):
            continue
        if variable not in known:
            names = ", ".join(f"`{name}`" for name in known)
            raise SettingError(
                f"`{shown(variable)}` is not a setting", hint=f"the settings are {names}"
            )
        name = known[variable].name
        if not text:
            continue
        is_text = name in ("anonymous", "requester_pays", "ca_file")
        values[name] = text.strip() if is_text else _number(known[variable], text)
    found = Settings(**values)  # type: ignore[arg-type]
    for value, setting in ((found.anonymous, ANONYMOUS), (found.requester_pays, REQUESTER_PAYS)):
        _buckets(value, setting)
    return found


def _number(setting: Setting, text: str) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= 6
    least = 0 if setting is RETRIES else 1
    if not is_number or int(text) < least:
        raise SettingError(
            f"`{setting.variable}` is `{shown(text)}`, expected a whole number of at least {least}",
            hint=f"write it as in `{setting.variable}={setting.default}`, or unset it",
        )
    return int(text)


def _names(value: str, setting: Setting, url: BucketUrl) -> bool:
    if value.lower() in _TRUE:
        return True
    return any(
        (one.scheme, one.bucket) == (url.scheme, url.bucket) and one.account in ("", url.account)
        for one in _buckets(value, setting)
    )


def _buckets(value: str, setting: Setting) -> list[BucketUrl]:
    if value.lower() in (*_TRUE, *_FALSE):
        return []
    found = []
    for text in filter(None, (part.strip() for part in value.split(","))):
        try:
            if not is_bucket_url(text):
                raise ValueError("it is not the url of a bucket")  # noqa: TRY301 - one message
            found.append(parse_bucket_url(text))
        except ValueError as error:
            raise SettingError(
                f"`{setting.variable}` contains `{shown(text)}`: {shown(str(error))}",
                hint=f"write it as in `{setting.variable}=s3://bucket,gs://other`, or `true`",
            ) from None
    return found
