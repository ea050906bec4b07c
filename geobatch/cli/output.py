"""Where things are printed: data to stdout, everything else to stderr, or JSON lines."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

from geobatch.errors import GeobatchError, Problem, SpecError
from geobatch.model.text.shortened import all_shortened

_CONTROLS = {
    code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"
}
"""Control characters, and how they are shown: a name in a spec must not steer the terminal."""
_MARKS = (
    *(0x061C, 0x200B, 0x200E, 0x200F, 0xFEFF),  # marks of direction, and without width
    *range(0x2028, 0x202F),  # ends of lines, and embedded directions
    *range(0x2066, 0x206A),  # isolated directions
)
_SHOWN_MARKS = {code: f"\\u{code:04x}" for code in _MARKS}
"""Characters that reorder, hide or break a line, likewise."""
_MESSAGE = {**_CONTROLS, **_SHOWN_MARKS}
_LINE = {**_MESSAGE, ord("\n"): "\\n"}

_PLAIN = "\x1b[0m"
_MARK_COLOURS = {
    "  + ": "\x1b[32m", "  ~ ": "\x1b[33m", "  - ": "\x1b[31m", "  > ": "\x1b[36m",
    "  ! ": "\x1b[31m", "      risk": "\x1b[33m",
}  # fmt: skip
"""Colours of lines by how they start: created, changed, deleted, renamed, broken; risks."""
_WORD_COLOURS = {"error": "\x1b[31m", "warning": "\x1b[33m", "failed": "\x1b[31m"}
_NAME = re.compile("`([^`]+)`")
"""A name or value in a message."""
_MOST_LETTERS = 120
"""Most characters of one that is printed; JSON has all of them."""
_SHOWN = 20
"""How many warnings are printed."""


def is_coloured(stream: TextIO) -> bool:
    """Return whether to print colours: on terminals, unless the user wants none (no-color.org)."""
    environment = os.environ
    if environment.get("NO_COLOR"):
        return False
    return stream.isatty() and environment.get("TERM") != "dumb"


def _colour_of(line: str) -> str | None:
    return next((colour for mark, colour in _MARK_COLOURS.items() if line.startswith(mark)), None)


class Output:
    """The two streams of a command, in the form that the user asked for."""

    def __init__(self, *, is_json: bool, is_quiet: bool) -> None:
        self.is_json = is_json
        """Whether stdout takes JSON lines only."""
        self.is_quiet = is_quiet
        """Whether to leave out progress and notes."""

    def line(self, text: str = "") -> None:
        """Print a line of data; left out under `--json`, where `record` says the same.

        On a terminal, what is marked as created, changed or deleted has the colour of its mark.
        """
        if not self.is_json:
            shown = text.translate(_LINE)
            colour = _colour_of(shown) if is_coloured(sys.stdout) else None
            sys.stdout.write(f"{colour}{shown}{_PLAIN}\n" if colour else f"{shown}\n")

    def text(self, text: str) -> None:
        """Print a document of several lines, such as a spec; left out under `--json`."""
        if not self.is_json:
            # In a file, a document keeps its characters.
            shown = text.translate(_MESSAGE if sys.stdout.isatty() else _CONTROLS)
            sys.stdout.write(f"{shown}\n")

    def record(self, kind: str, /, **fields: Any) -> None:
        """Print a JSON line; left out without `--json`."""
        if self.is_json:
            # ASCII, so that a JSON line is one in any locale.
            text = json.dumps({"type": kind, **fields}, allow_nan=False)
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def flush(self) -> None:
        """Have what was printed appear before anything that takes time."""
        sys.stdout.flush()

    def is_confirmed(self, question: str) -> bool:
        """Ask on a terminal; elsewhere nobody can answer, and what was typed was meant."""
        if self.is_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return True
        sys.stdout.write(f"\n{question} [y/N] ")
        sys.stdout.flush()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def note(self, text: str) -> None:
        """Print a remark to stderr, unless quiet."""
        if not self.is_quiet:
            self._complain(text)

    def warn(self, warnings: Sequence[Problem]) -> None:
        """Print warnings to stderr, the first of many; as JSON, all of them."""
        for warning in warnings:
            self.record("warning", **_problem_json(warning))
        if self.is_json:
            return
        for warning in warnings[:_SHOWN]:
            self.note(f"warning: {warning}")
        if len(warnings) > _SHOWN:
            self.note(f"and {len(warnings) - _SHOWN:,} more warnings; `--json` lists all")

    def error(self, error: GeobatchError) -> None:
        """Print an error with its hint."""
        if self.is_json:
            fields: dict[str, Any] = {"code": error.code.value, "message": error.message}
            if error.hint:
                fields["hint"] = error.hint
            if error.problems:
                fields["problems"] = [_problem_json(problem) for problem in error.problems]
            self.record("error", **fields)
            return
        if isinstance(error, SpecError) or len(error.problems) > 1:
            count = len(error.problems)
            tail = f"{count} problem{'s' if count != 1 else ''}"
            self._complain(f"{error.message}\n{tail}")
            return
        self._complain(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""))

    def error_text(self, text: str, hint: str = "", *, code: str) -> None:
        """Print an error that is no `GeobatchError`; the hint is a line of its own."""
        if self.is_json:
            said = {"hint": hint.removeprefix("hint: ")} if hint else {}
            self.record("error", code=code, message=text, **said)
        else:
            self._complain(f"error: {text}" + (f"\n{hint}" if hint else ""))

    def end(self, code: int) -> None:
        """Print the last JSON line; nothing is left in a buffer after it."""
        self.record("exit", code=int(code))
        sys.stdout.flush()

    @staticmethod
    def _complain(text: str) -> None:
        # In the order in which both were printed, also where both go to one file.
        sys.stdout.flush()
        shown = _readable(text).translate(_MESSAGE)
        if is_coloured(sys.stderr):
            word, colon, rest = shown.partition(":")
            if word in _WORD_COLOURS:
                shown = f"{_WORD_COLOURS[word]}{word}{colon}{_PLAIN}{rest}"
        sys.stderr.write(f"{shown}\n")


def _readable(text: str) -> str:
    """Return a message with its long names cut; hints stay whole, to be pasted."""
    lines = text.split("\n")
    said = [n for n, line in enumerate(lines) if not line.lstrip().startswith("hint: ")]
    names = {name for n in said for name in _NAME.findall(lines[n]) if len(name) > _MOST_LETTERS}
    short = all_shortened(sorted(names), _MOST_LETTERS)
    for n in said if short else ():
        lines[n] = _NAME.sub(lambda found: f"`{short.get(found[1], found[1])}`", lines[n])
    return "\n".join(lines)


def _problem_json(problem: Problem) -> dict[str, Any]:
    return {
        "path": problem.path,
        "line": problem.line,
        "column": problem.column,
        "rule": problem.rule,
        "message": problem.message,
        "hint": problem.hint,
    }
