"""Tokens of the credentials that Google's own library finds; it is optional."""

from __future__ import annotations

from typing import Any

import google.auth
import google.auth.transport.requests
from google.auth.exceptions import GoogleAuthError

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


def google_token() -> str:
    """Return a token that is good for reading.

    Raises:
        ValueError: There are no credentials.
    """
    library: Any = google.auth
    try:
        credentials, _ = library.default(scopes=[_SCOPE])
        credentials.refresh(library.transport.requests.Request())
    except GoogleAuthError as error:
        raise ValueError("there are no credentials") from error
    return str(credentials.token)
