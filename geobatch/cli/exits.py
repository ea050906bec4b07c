"""Exit codes: what a shell script or a CI job can tell apart."""

from __future__ import annotations

from enum import IntEnum

from geobatch import errors


class Exit(IntEnum):
    """What an exit code means."""

    OK = 0
    ERROR = 1
    CHANGES = 2
    PARTIAL = 3
    STALE = 4
    REFUSED = 5
    CORRUPT = 6
    SOURCE = 7
    CHECK = 9
    NO_STORE = 10
    LOCKED = 11
    FORMAT = 12
    USAGE = 64
    INTERRUPTED = 130
    TERMINATED = 143


_CODES: tuple[tuple[type[errors.GeobatchError], Exit], ...] = (
    (errors.StalePlanError, Exit.STALE),
    (errors.ConflictError, Exit.STALE),
    (errors.ProtectedError, Exit.REFUSED),
    (errors.CorruptObjectError, Exit.CORRUPT),
    (errors.SourceError, Exit.SOURCE),
    (errors.CheckError, Exit.CHECK),
    (errors.NoStoreError, Exit.NO_STORE),
    (errors.LockedError, Exit.LOCKED),
    (errors.FormatError, Exit.FORMAT),
    (errors.InterruptedRunError, Exit.INTERRUPTED),
    (errors.SettingError, Exit.USAGE),
)

_OF_SOURCES = ("missing-file", "unreadable-source")


def exit_code(error: errors.GeobatchError) -> Exit:
    """Return the exit code of an error.

    Specs in which nothing is wrong but that files are not there, or folders of them cannot be
    read, are the fault of the sources.
    """
    if isinstance(error, errors.SpecError) and error.problems:
        is_missing = all(problem.rule in _OF_SOURCES for problem in error.problems)
        return Exit.SOURCE if is_missing else Exit.ERROR
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.ERROR)
