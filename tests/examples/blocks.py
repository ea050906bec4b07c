"""The fenced blocks of a page, and what of their output is the same in each run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

VARYING = re.compile(
    r"\b[0-9a-f]{6,}\b|\d+(\.\d+)?(?= s\b)|\([^)]*(unchanged|hashed)[^)]*\)"
    r"|\d{4}-\d\d-\d\dT[\d:]+Z"
)
"""Digests, durations, how sources were cached, and times: what differs from run to run."""
ESTIMATE = "Apply takes about "
"""How a line begins that is there only where an earlier run was timed."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block."""

    language: str
    """Word after the fence."""
    text: str
    """What stands in it."""
    line: int
    """Line of its first character in the page."""


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text()
    return [
        Block(language=match[1], text=match[2], line=text[: match.start(2)].count("\n") + 1)
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


def steady(text: str) -> list[str]:
    """Return the lines of an output without what varies."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return [VARYING.sub("*", line) for line in lines if line and not line.startswith(ESTIMATE)]
