"""Versions of documents: which of them this geobatch reads, and the errors of others."""

from __future__ import annotations

import json
from typing import Any

from geobatch.errors import CorruptObjectError, FormatError
from geobatch.model.digest import Json

FORMAT = 1
"""Version of most documents; a reader refuses a higher one."""
TREE_FORMAT = 2
"""Version of trees in pages, of commits and origins that lead to them, and of new stores."""


def check_format(version: Json, name: str, *, newest: int = FORMAT) -> None:
    """Refuse a document of a newer format.

    Args:
        version: What it says.
        name: What it is, for messages.
        newest: The newest version of such documents.

    Raises:
        FormatError: A newer geobatch wrote it, or it says no version at all.
    """
    if isinstance(version, int) and not isinstance(version, bool):
        if FORMAT <= version <= newest:
            return
        if version > newest:
            raise FormatError(
                f"{name} has format {version}, but this geobatch reads {newest}",
                hint="use a newer geobatch",
            )
    raise FormatError(f"{name} has format `{version}`, expected {newest}")


def parse_document(data: bytes, name: str, *, newest: int = FORMAT) -> dict[str, Any]:
    """Return the members of a document; see `check_format`.

    Raises:
        FormatError: A newer geobatch wrote it.
        CorruptObjectError: It is no JSON object.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise CorruptObjectError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise CorruptObjectError(f"{name} is not a JSON object")
    check_format(document.get("format"), name, newest=newest)
    return document


def malformed(name: str, kind: str, error: Exception) -> CorruptObjectError:
    """Return the error of a document that lacks something, or says something impossible."""
    return CorruptObjectError(
        f"{name} is not a valid {kind} document: {type(error).__name__} {error}"
    )
