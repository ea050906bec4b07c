"""What reaches a bucket: the way to credentials, who they belong to, and the endpoint."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from geobatch.errors import SettingError

DEFAULT_REGION = "us-east-1"
"""The region of requests to S3 that name none."""
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]+|(\[[0-9A-Fa-f:]+\]))(?::([0-9]{1,5}))?(?:/[A-Za-z0-9._~/%-]*)?"
)
_WORD = re.compile(r"[!-~]*")


class Access(Struct, frozen=True, kw_only=True):
    """How one bucket is reached. Its text never shows a secret."""

    way: str
    """Where the credentials come from: `the environment`, `profile prod`."""
    who: str
    """Who they belong to, as far as known without a request: `access key ...WXYZ`."""
    endpoint: str = ""
    """Where the service is; empty for the cloud's own."""
    region: str = ""
    """Region that requests are signed for; S3 only."""
    is_anonymous: bool = False
    """Whether requests are not signed."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of every request."""
    config: dict[str, Any] = field(default_factory=dict)
    """Options of the library; may contain secrets."""
    provider: Callable[[], Any] | None = None
    """Returns credentials that expire; None if the library has them."""

    def __repr__(self) -> str:
        return f"Access({self.who!r}, way={self.way!r}, endpoint={self.endpoint!r})"


def shown(text: str) -> str:
    """Return a text of the environment for a message: at most 100 characters that print."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:100])


def checked_url(text: str, variable: str) -> str:
    """Return the url of a service, without a slash at its end; empty if there is none.

    The library ends the process if it gets another text.

    Args:
        text: What a variable or a file says.
        variable: Where it says so, for messages.

    Raises:
        SettingError: It is not such a url.
    """
    if not text:
        return ""
    found = _URL.fullmatch(text)
    if found is None or int(found[2] or 1) not in range(1, 1 << 16):
        # A password may be in it.
        value = "" if "@" in text else f"`{shown(text)}` "
        raise SettingError(
            f"`{variable}` {value}is not the url of a service",
            hint=f"write it as in `{variable}=https://storage.example.com:9000`, or unset it",
        )
    return text.rstrip("/")


def checked_word(text: str, variable: str) -> str:
    """Return a region, a key, or a token, which must be printable ASCII without blanks.

    Raises:
        SettingError: It is not; the message does not contain it.
    """
    if _WORD.fullmatch(text):
        return text
    what = "a line break" if "\n" in text or "\r" in text else "a character that is not allowed"
    raise SettingError(
        f"`{variable}` contains {what}",
        hint="copy its value again, without blanks and line breaks around it",
    )


def named_file(environment: Mapping[str, str], variable: str) -> str:
    """Return the text of the file that a variable names.

    Raises:
        SettingError: It cannot be read.
    """
    path = environment[variable]
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - `~` is not expanded, as usual
            return file.read()
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a text"
        raise SettingError(
            f"`{variable}` names `{shown(path)}`, which cannot be read: {why}",
            hint=f"name a file that exists, or unset it: `unset {variable}`",
        ) from None


def tail(key: str) -> str:
    """Return the end of an access key's id, which is enough to recognise it."""
    return f"...{key[-4:]}" if len(key) >= 12 else "..."
