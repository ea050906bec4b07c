"""What reaches a bucket: the way to credentials, who they belong to, and the endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from geobatch.errors import SettingError


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
            f"`{variable}` names `{path}`, which cannot be read: {why}",
            hint=f"name a file that exists, or unset it: `unset {variable}`",
        ) from None


def tail(key: str) -> str:
    """Return the end of an access key's id, which is enough to recognise it."""
    return f"...{key[-4:]}" if len(key) >= 12 else "..."
