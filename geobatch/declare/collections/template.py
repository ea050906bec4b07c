"""Texts with placeholders: `{tile}`, `{date:%Y%m%d}`, `{year+1}`; `{{` and `}}` are braces."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

from msgspec import Struct

from geobatch.declare.fields.values import refuse
from geobatch.declare.hints import show
from geobatch.declare.text.nodes import MAX_DIGITS

PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
"""The form of a number in a table; `007` and `+5` are text."""
FORCED_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]+)?")

STEP = re.compile(r"(.*[^\s]|)\s*([+-])\s*([0-9]{1,18})", re.DOTALL)
"""A field and a whole number that is added or taken away."""
WHOLE = re.compile(r"-?[0-9]{1,18}")
FORMS = "`{name:number}`, `{name:text}`, `{name:ms}`, or a time such as `{date:%Y%m%d}`"

Plain: TypeAlias = str | int | float
Fields: TypeAlias = Mapping[str, str | None]
"""Text by name; None if a file has no value for the name."""


class Placeholder(Struct, frozen=True, kw_only=True):
    """A name in braces."""

    name: str
    """Field of the file; or one with a whole number to add or take away, as in `year+1`."""
    form: str = ""
    """`number`, `text`, `ms`, a strptime format, or empty."""

    def raw(self, fields: Fields) -> str | None:
        """Return the field with the step added; None if it has no value.

        Raises:
            PydanticCustomError: There is a step, and the field is no whole number.
        """
        found = field_of(self.name, fields)
        text = fields[found]
        if found == self.name or text is None:
            return text
        return _stepped(text, self.name[len(found) :].replace(" ", ""))

    def text(self, fields: Fields) -> str:
        """Return the field as text; a time as RFC 3339 in UTC.

        Raises:
            PydanticCustomError: There is no value, or it is not of the form.
        """
        raw = self.raw(fields)
        if raw is None:
            refuse("empty-field", f"{show(self.name)} is empty")
        if self.form == "ms":
            return parse_milliseconds(raw)
        if "%" in self.form:
            return parse_moment(raw, self.form)
        return str(parse_number(raw)) if self.form == "number" else raw


class Template(Struct, frozen=True, kw_only=True):
    """A text with placeholders."""

    parts: tuple[str | Placeholder, ...]
    """In order."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that it uses."""
        return tuple(part.name for part in self.parts if isinstance(part, Placeholder))

    def text(self, fields: Fields) -> str:
        """Return the text for a file.

        Raises:
            PydanticCustomError: A field has no value, or a value that does not have the form.
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
            None if the template is one placeholder without a value.

        Raises:
            PydanticCustomError: A field has no value, or a value that does not have the form.
        """
        (first, *rest) = self.parts
        if rest or isinstance(first, str):
            return self.text(fields)
        raw = first.raw(fields)
        if raw is None:
            return None
        if first.form == "number":
            return parse_number(raw)
        if not first.form and field_of(first.name, fields) in columns and NUMBER.fullmatch(raw):
            return _number(raw)
        return first.text(fields)


def parse_template(text: str) -> Template | None:
    """Return the template that a text is, or None for a text without braces.

    Raises:
        PydanticCustomError: A brace has no partner, or a placeholder has an unknown form.
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
            refuse("placeholder", f"{show(text)} has a brace without its partner", hint)
        else:
            parts.append(_placeholder(*_split_form(match[1])))
    parts.append(text[end:])
    kept = tuple(part for part in parts if part)
    return Template(parts=kept or ("",))


def field_of(name: str, fields: Collection[str]) -> str:
    """Return the field that a placeholder takes: of its whole name, else of that before a step."""
    match = None if name in fields else STEP.fullmatch(name)
    return name if match is None else match[1]


def _stepped(text: str, step: str) -> str:
    """Return a whole number with another added, of at least as many digits."""
    if not WHOLE.fullmatch(text):
        refuse("property-value", f"{show(text)} is not a whole number, so `{step}` cannot be added")
    made = int(text) + int(step)
    sign = "-" if made < 0 else ""
    return sign + str(abs(made)).rjust(len(text.lstrip("-")), "0")


def _split_form(text: str) -> tuple[str, str]:
    """Return name and form; a name may have colons, as `system:time_start` has."""
    name, _, form = text.rpartition(":")
    if "%" in text:
        before = text.index("%")
        end = text.rfind(":", 0, before)
        return (text[:end], text[end + 1 :]) if end >= 0 else (text, "")
    return (name, form) if (form in _WORDS and ":" in text) or not form else (text, "")


_WORDS = ("number", "text", "ms")


def _placeholder(name: str, form: str) -> Placeholder:
    if not name:
        refuse("placeholder", "a placeholder has no name", "write `{name}`, `{stem}` or a group")
    if "%" in form:
        _check_moment(form)
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
            refuse("placeholder", f"{show(form)} is not a valid time format: {error}")
    except (re.error, IndexError) as error:
        refuse("placeholder", f"{show(form)} is not a valid time format: {error}")


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
        refuse("timestamp", f"{show(text)} is not a time of the form {show(form)}")
    return found.isoformat().replace("+00:00", "Z")


def parse_milliseconds(text: str) -> str:
    """Return milliseconds since 1970 as RFC 3339 in UTC.

    Raises:
        PydanticCustomError: The text is no whole number, or beyond the years 1 to 9999.
    """
    if not WHOLE.fullmatch(text):
        refuse("timestamp", f"{show(text)} is not a whole number of milliseconds since 1970")
    try:
        found = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(text))
    except OverflowError:
        refuse("timestamp", f"{show(text)} milliseconds since 1970 are beyond the year 9999")
    return found.isoformat().replace("+00:00", "Z")


def parse_number(text: str) -> int | float:
    """Return the number that a text spells.

    Raises:
        PydanticCustomError: It spells none, or one that is too large.
    """
    if (
        len(text) > MAX_DIGITS
        or not FORCED_NUMBER.fullmatch(text)
        or not any(letter.isdigit() for letter in text)
    ):
        refuse("property-value", f"{show(text)} is not a number")
    try:
        return _number(text)
    except ValueError:
        refuse("property-value", f"{show(text)} is not a number")


def _number(text: str) -> int | float:
    if text.lstrip("+-").isdigit():
        return int(text) if len(text) <= 20 else float(text)
    value = float(text)
    if not math.isfinite(value):
        refuse("property-value", f"{show(text)} is too large for a float64")
    return value
