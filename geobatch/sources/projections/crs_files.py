"""Files that the text of a CRS names: PROJ would open them, wherever they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(\"[^\"]*\"|\S+)")
_PATH = re.compile(r"[/\\~]")
_WKT = re.compile(r"(?i)\b(?:PARAMETERFILE|EXTENSION)\b")
_QUOTED = re.compile('"((?:[^"]|"")*)"|\u201c([^\u201d]*)\u201d')


def check_no_files(text: str) -> None:
    """Refuse a CRS that names a file by its path; names in PROJ's own folder are allowed.

    Args:
        text: WKT, PROJJSON, or a PROJ string.

    Raises:
        ValueError: It names a file.
    """
    for value in _values(text):
        if _PATH.search(value):
            raise ValueError("it names a file by its path")


def _values(text: str) -> Iterator[str]:
    """Yield the values that PROJ may take for names of files."""
    if text.startswith("{"):
        yield from _json_values(text)
    elif re.match(r"\s*\w+\s*[\[(]", text):
        for match in _WKT.finditer(text):
            strings = [one[1] or one[2] or "" for one in _QUOTED.finditer(text, match.end())][:2]
            for one in strings:
                yield from _pairs(one) if "=" in one else (one,)
    else:
        yield from _pairs(text)


def _pairs(text: str) -> Iterator[str]:
    """Yield the values of a PROJ string, except its title."""
    for name, value in _PAIR.findall(text):
        if name != "title":
            yield value


def _json_values(text: str) -> Iterator[str]:
    """Yield the texts that are values of parameters, and those of PROJ strings.

    Raises:
        ValueError: The text is not JSON.
    """
    pairs: list[tuple[str, object]] = []
    try:
        json.loads(text, object_pairs_hook=pairs.extend)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    for key, value in pairs:
        if isinstance(value, str):
            yield from (value,) if key == "value" else _pairs(value)
