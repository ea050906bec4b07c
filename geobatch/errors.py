"""The exception tree: one class per thing that a handler would do next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Self

from msgspec import Struct


class Code(StrEnum):
    """Stable names of failures, for machines. Append only: a released code keeps its meaning."""

    SPEC = "spec"
    """A spec file is not valid."""
    SOURCE = "source"
    """A source is missing, unreadable, or changed while it was read."""
    PLAN = "plan"
    """The specs and the sources are each valid, but do not fit together."""
    STALE_PLAN = "stale_plan"
    """The head or an input moved since the plan was made."""
    EXECUTION = "execution"
    """Some regions failed; nothing was published."""
    STORE = "store"
    """The store could not be used."""
    NO_STORE = "no_store"
    """There is no store where one was asked for."""
    NOT_FOUND = "not_found"
    """The store holds no such asset, commit or object."""
    CONFLICT = "conflict"
    """Another process published a change to the same asset first."""
    LOCKED = "locked"
    """Another live process holds a lock that this one needs."""
    CORRUPT = "corrupt"
    """Stored bytes do not match their digest."""
    FORMAT = "format"
    """The store was written by a newer geobatch."""
    PROTECTED = "protected"
    """A protection refused the change."""
    INTERRUPTED = "interrupted"
    """The user stopped the run; running it again resumes."""
    INTERNAL = "internal"
    """A bug in geobatch."""
    EXPORT = "export"
    """An export cannot be made as asked, or its files cannot be written."""
    NOT_DURABLE = "not_durable"
    """The result is published, but a loss of power may undo it; run the command again."""
    SETTING = "setting"
    """A variable of the environment, or an option, has a value that cannot be used."""
    CHECK = "check"
    """Data do not pass a check of their spec."""
    POST = "post"
    """A comment could not be posted."""


class GeobatchError(Exception):
    """Base of every error that geobatch raises on purpose.

    The message says what, where, got and expected; `hint` says what to do about it.
    """

    code: Code = Code.INTERNAL
    hint: str | None
    problems: tuple[Problem, ...] = ()
    """What is wrong, problem by problem, if there are several."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__.copy()))

    def with_hint(self, hint: str) -> Self:
        """Return this error with another hint."""
        self.hint = hint
        return self


def _rebuild(
    kind: type[GeobatchError], args: tuple[Any, ...], state: dict[str, Any]
) -> GeobatchError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class Problem(Struct, frozen=True, kw_only=True, order=True):
    """One problem at one position of a spec file."""

    path: str
    """Spec file, as the user named it."""
    line: int
    """1-based line."""
    column: int
    """1-based column."""
    rule: str
    """Stable name of the broken rule, for example `unknown-key`."""
    message: str
    """What is wrong, with the value in backticks."""
    hint: str | None = None
    """What to write instead."""

    def __str__(self) -> str:
        # A name may contain line breaks, which would look like another problem.
        path, message = (one.replace("\n", "\\n") for one in (self.path, self.message))
        text = f"{path}:{self.line}:{self.column}: {self.rule}: {message}"
        return f"{text}\n    hint: {self.hint}" if self.hint else text


class SpecError(GeobatchError):
    """What the user wrote is wrong; carries every problem of every file at once."""

    code = Code.SPEC

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def joined(kind: type[GeobatchError], problems: tuple[Problem, ...]) -> GeobatchError:
    """Return one error of a kind for several problems."""
    error = kind("\n".join(str(problem) for problem in problems))
    error.problems = problems
    return error


class SourceError(GeobatchError):
    """Something outside is wrong: a source is missing, unreadable, or changed while being read."""

    code = Code.SOURCE
    uri: str = ""
    """The source, where several are read together."""
    others: tuple[SourceError, ...] = ()
    """What is wrong with further sources that are read together with this one."""

    @property
    def every(self) -> tuple[SourceError, ...]:
        """This error and the others."""
        return (self, *self.others)

    def join(self, error: SourceError) -> None:
        """Add what is wrong with sources that are not named yet."""
        known = {one.uri or one.message for one in self.every}
        new = [one for one in error.every if (one.uri or one.message) not in known]
        self.others = (*self.others, *new)

    def forget_frames(self) -> None:
        """Forget where it was raised: it is kept, and those frames hold pixels."""
        error: BaseException | None = self
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


class SourceErrors:
    """Gathers errors of sources, so that all of them are named."""

    def __init__(self) -> None:
        self.first: SourceError | None = None
        """The first error, with the others."""

    def add(self, error: SourceError, *, uri: str = "") -> None:
        """Add an error; of each source the first one counts."""
        error.uri = error.uri or uri
        error.forget_frames()
        if self.first is None:
            self.first = error
        elif self.first is not error:
            self.first.join(error)

    @contextmanager
    def collecting(self, uri: str = "") -> Iterator[None]:
        """Keep an error of a source, and go on after it."""
        try:
            yield
        except SourceError as error:
            self.add(error, uri=uri)

    def raise_all(self) -> None:
        """Raise what was gathered."""
        if self.first is not None:
            raise self.first


class PlanError(GeobatchError):
    """The inputs do not fit together, so there is nothing to plan."""

    code = Code.PLAN


class StalePlanError(PlanError):
    """The head or an input moved since the plan was made; says which one differs."""

    code = Code.STALE_PLAN


class CheckError(GeobatchError):
    """Data do not pass a check that their spec declares."""

    code = Code.CHECK


class ProtectedError(PlanError):
    """A protected asset, or too many assets, would be deleted."""

    code = Code.PROTECTED


class ExecutionError(GeobatchError):
    """Some regions failed; nothing was published."""

    code = Code.EXECUTION


class InterruptedRunError(ExecutionError):
    """The user stopped the run; what was finished is kept and running again resumes."""

    code = Code.INTERRUPTED


class StoreError(GeobatchError):
    """The store cannot do what was asked."""

    code = Code.STORE


class NoStoreError(StoreError):
    """There is no store in the given folder."""

    code = Code.NO_STORE


class NotFoundError(StoreError):
    """No such asset, commit or object."""

    code = Code.NOT_FOUND


class ConflictError(StoreError):
    """Another process published first and touched the same asset."""

    code = Code.CONFLICT


class LockedError(StoreError):
    """A live process holds the lock."""

    code = Code.LOCKED


class CorruptObjectError(StoreError):
    """Stored bytes do not match the digest that names them."""

    code = Code.CORRUPT


class NotDurableError(StoreError):
    """The result is published and visible, but the disk failed: a loss of power may undo it."""

    code = Code.NOT_DURABLE


class FormatError(StoreError):
    """The store's format is newer than this geobatch understands, or is not a store at all."""

    code = Code.FORMAT


class ExportError(GeobatchError):
    """The export cannot be made as requested, or the files cannot be written."""

    code = Code.EXPORT


class PostError(GeobatchError):
    """A comment could not be posted: the site refuses, or does not answer."""

    code = Code.POST
    status: int = 0
    """Status of the answer by which the site refused; 0 if there was none."""
    wait: float | None = None
    """Seconds to wait before the request may succeed; None if it is refused for good."""


class SettingError(GeobatchError):
    """A variable of the environment, or an option, has a value that cannot be used."""

    code = Code.SETTING


class InternalError(GeobatchError):
    """A bug in geobatch: please report it."""

    code = Code.INTERNAL
