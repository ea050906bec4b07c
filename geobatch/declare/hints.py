"""Hints about wrong words: how to show a value, and which word was probably meant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Any

from geobatch.model.text.shortened import shortened
from geobatch.model.text.suggest import MOST_NAMES, suggestion

MOST_DIGITS = 60
LONGEST = 4096
"""Most characters of a value; no name of a file is longer."""
SHOWN_CANDIDATES = 24
KINDS = {
    type(None): "nothing",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}

_LOGIN = re.compile(r"(?i)(?<=://)(?:[^/@]*:[^/]*|(?<!^abfs://)(?<!^abfss://)[^/]*)@")


def show(value: Any) -> str:
    """Return a value in backticks as a spec would spell it; where it is printed, it is cut."""
    match value:
        case None:
            text = "null"
        case bool():
            text = str(value).lower()
        case int() if abs(value) >= 10**MOST_DIGITS:
            text = "a number of many digits"
        case float() | int():
            text = f"{value}"
        case str():
            text = value.replace("\n", " ") or '""'
        case _:
            text = repr(value)
    return f"`{shortened(text, LONGEST)}`"


def kind_of(value: Any) -> str:
    """Return the word for a value's type."""
    return KINDS.get(type(value), "an unknown kind of value")


def placeholder_hint(value: Any) -> str | None:
    """Return what to write for a placeholder without quotes, which YAML reads as a mapping."""
    if isinstance(value, dict) and len(value) == 1 and list(value.values()) == [None]:
        return f"put a placeholder in quotes: `'{{{next(iter(value))}}}'`"
    return None


def listed(words: Iterable[str]) -> str:
    """Return words in backticks, joined by commas; many are cut."""
    every = [f"`{word}`" for word in islice(words, SHOWN_CANDIDATES + 1)]
    shown = every[:SHOWN_CANDIDATES]
    return ", ".join(shown) + (", ..." if len(every) > len(shown) else "")


def did_you_mean(word: str, candidates: Iterable[str]) -> str | None:
    """Return a hint with the closest candidates and all allowed ones; None without candidates."""
    every = list(dict.fromkeys(islice(candidates, MOST_NAMES)))
    if not every:
        return None
    meant = suggestion(word, every, most=2)
    return f"{meant} Allowed: {listed(every)}" if meant else f"use one of {listed(every)}"


def show_url(url: str) -> str:
    """Return a url that is not valid as `show` does, without a user name and a password.

    What precedes `@` in urls of Azure is the container.
    """
    return show(_LOGIN.sub("***@", url))
