"""Credentials that only Google's own library can use; it is optional."""

from __future__ import annotations

from typing import Any

from google.auth import (
    aws,
    external_account_authorized_user,
    identity_pool,
    impersonated_credentials,
    pluggable,
)
from google.auth.exceptions import GoogleAuthError
from obstore.auth.google import GoogleCredentialProvider


def credentials_of_file(found: dict[str, Any], kind: str, *, scopes: list[str]) -> Any:
    """Return a function that returns credentials; no request is sent yet.

    Args:
        found: What the file of the credentials says.
        kind: Their type.
        scopes: What they are to be good for.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: The file does not say what it should.
    """
    try:
        credentials = _maker(found, kind)(found, scopes=scopes)
    except GoogleAuthError as error:
        raise ValueError(str(error)) from error
    return GoogleCredentialProvider(credentials)


def _maker(found: dict[str, Any], kind: str) -> Any:
    """Return what makes credentials of a type, without a request."""
    made: Any
    if kind == "impersonated_service_account":
        made = impersonated_credentials
        return made.Credentials.from_impersonated_service_account_info
    if kind == "external_account_authorized_user":
        made = external_account_authorized_user
    elif "aws4_request" in str(found.get("subject_token_type")):
        made = aws
    elif "executable" in (found.get("credential_source") or {}):
        made = pluggable
    else:
        made = identity_pool
    return made.Credentials.from_info
