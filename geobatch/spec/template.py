"""Texts with placeholders such as `{tile}` and `{date:%Y%m%d}`; `{{` and `}}` are braces."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

from geobatch.spec.hints import show
from geobatch.spec.values import refuse

PIECE = re.compile(r"\{\{|\}\}|\{([^{}:]*)(?::([^{}]*))?\}|[{}]")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""What a number looks like in a table; `007` and `+5` are text."""
FORCED_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?")

Plain: TypeAlias = str | int | float
Fields: TypeAlias = Mapping[str, str | None]
"""Text by name; None where a file has no value for the name."""


class Placeholder(Struct, frozen=True, kw_only=True):
    """A name in braces."""

    name: str
    """Field of the file."""
    form: str = ""
    """`number`, `text`, a strptime format, or empty."""

    def text(self, fields: Fields) -> str:
        """Return the field as text; a time as RFC 3339 in UTC.

        Raises:
            PydanticCustomError: There is no value, or it is not of the form.
        """
        raw = fields[self.name]
        if raw is None:
            refuse("empty-field", f"{show(self.name)} is empty")
        if "%" in self.form:
            return parse_moment(raw, self.form)
        return str(parse_number(raw)) if self.form == "number" else raw


class Template(Struct, frozen=True, kw_only=True):
    """A text with placeholders."""

    parts: tuple[str | Placeholder, ...]
    """In order."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it takes."""
        return tuple(part.name for part in self.parts if isinstance(part, Placeholder))

    def text(self, fields: Fields) -> str:
        """Return the text for a file.

        Raises:
            PydanticCustomError: A field has no value, or one that is not of the form.
        """
        return "".join(
            [part if isinstance(part, str) else part.text(fields) for part in self.parts]
        )

    def value(self, fields: Fields, columns: frozenset[str]) -> Plain | None:
        """Return the value for a file: a number where the template is one column that holds one.

        Args:
            fields: Text by name.
            columns: Names that come from a table, where numbers are numbers.

        Returns:
            None where the template is one placeholder that has no value.

        Raises:
            PydanticCustomError: A field has no value, or one that is not of the form.
        """
        (first, *rest) = self.parts
        if rest or isinstance(first, str):
            return self.text(fields)
        raw = fields[first.name]
        if raw is None:
            return None
        if first.form == "number":
            return parse_number(raw)
        if not first.form and first.name in columns and NUMBER.fullmatch(raw):
            return _number(raw)
        return first.text(fields)


def parse_template(text: str) -> Template | None:
    """Return the template that a text is, or None for a text without braces.

    Raises:
        PydanticCustomError: A brace stands alone, or a placeholder has an unknown form.
    """
    if "{" not in text and "}" not in text:
        return None
    parts: list[str | Placeholder] = []
    end = 0
    for match in PIECE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        if match[0] in ("{{", "}}"):
            parts.append(match[0][0])
        elif match[1] is None:
            hint = "write `{name}` for a field, `{{` and `}}` for braces"
            refuse("placeholder", f"a brace stands alone in {show(text)}", hint)
        else:
            parts.append(_placeholder(match[1], match[2] or ""))
    parts.append(text[end:])
    kept = tuple(part for part in parts if part)
    return Template(parts=kept or ("",))


def _placeholder(name: str, form: str) -> Placeholder:
    if not name:
        refuse("placeholder", "a placeholder has no name", "write `{name}`, `{stem}` or a group")
    if "%" in form:
        _check_moment(form)
    elif form not in ("", "number", "text"):
        hint = "`{name:number}`, `{name:text}`, or a time such as `{date:%Y%m%d}`"
        refuse("placeholder", f"no form {show(form)} of a placeholder", hint)
    return Placeholder(name=name, form=form)


def _check_moment(form: str) -> None:
    directives = re.findall(r"%(.)", form)
    if not set(directives) & set("YyGcx"):
        hint = "`%Y%m%d` reads 20250131, `%Y%j` reads 2025031"
        refuse("placeholder", f"the time {show(form)} has no year", hint)
    try:
        datetime.strptime("", form)  # noqa: DTZ007 - for its complaint
    except ValueError as error:
        if "does not match" not in str(error):
            refuse("placeholder", f"{show(form)} is no format of a time: {error}")
    except (re.error, IndexError) as error:
        refuse("placeholder", f"{show(form)} is no format of a time: {error}")


@lru_cache(maxsize=65536)
def parse_moment(text: str, form: str) -> str:
    """Return a time as RFC 3339, read by a strptime format; in UTC unless it says otherwise.

    Raises:
        PydanticCustomError: The text is no such time.
    """
    try:
        found = datetime.strptime(text, form)  # noqa: DTZ007 - the zone follows
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        refuse("timestamp", f"{show(text)} is no time of the form {show(form)}")
    return found.isoformat().replace("+00:00", "Z")


def parse_number(text: str) -> int | float:
    """Return the number that a text spells.

    Raises:
        PydanticCustomError: It spells none, or one that is too large.
    """
    if not FORCED_NUMBER.fullmatch(text) or not any(letter.isdigit() for letter in text):
        refuse("property-value", f"{show(text)} is no number")
    try:
        return _number(text)
    except ValueError:
        refuse("property-value", f"{show(text)} is no number")


def _number(text: str) -> int | float:
    if text.lstrip("+-").isdigit():
        return int(text) if len(text) <= 20 else float(text)
    value = float(text)
    if not math.isfinite(value):
        refuse("property-value", f"{show(text)} is beyond what a float64 holds")
    return value
