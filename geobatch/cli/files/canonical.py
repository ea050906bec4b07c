"""Spec files in the canonical form, and how they are overwritten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from geobatch.declare import spec_files
from geobatch.declare.loading.load import bounded_bytes
from geobatch.declare.text.canonical import canonical
from geobatch.declare.text.read import read
from geobatch.errors import Problem, SpecError


def formatted_files(paths: Sequence[Path]) -> list[tuple[Path, str, str | None]]:
    """Return every spec file with its text, and its text in the canonical form if it has one.

    Raises:
        SpecError: Files cannot be formatted; carries the problems of all of them.
        OSError: A file cannot be read.
    """
    found: list[tuple[Path, str, str | None]] = []
    problems: list[Problem] = []
    for path in spec_files(paths):
        # Bytes, since text mode would hide line endings that need mending.
        data = bounded_bytes(path)
        try:
            text = data.decode()
        except UnicodeDecodeError:
            problems += read(data, path=str(path)).problems
            continue
        try:
            found.append((path, text, canonical(text, path=str(path))))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(tuple(problems))
    return found


def rewrite(path: Path, text: str) -> None:
    """Overwrite a file in one step: a reader sees either the old text or the new one.

    Raises:
        OSError: The disk refused; the file is as it was.
    """
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        aside.write_bytes(text.encode())
        shutil.copymode(target, aside)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
