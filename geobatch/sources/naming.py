"""Errors of files: who reads a file does not know its name, who opened it adds it."""

from __future__ import annotations

from types import TracebackType

from geobatch.buckets.errors import BucketError, Failure
from geobatch.errors import SourceError
from geobatch.model.sources.pin import Remote


class UnnamedError(SourceError):
    """What is wrong with a source, before its name is added."""

    def __init__(self, message: str, *, hint: str | None = None, joint: str = ": ") -> None:
        """Make the error.

        Args:
            message: What is wrong.
            hint: What to do about it.
            joint: What comes between the name and the message.
        """
        super().__init__(message, hint=hint)
        self.joint = joint

    def named(self, uri: str) -> SourceError:
        """Return the error with the name of the source."""
        return SourceError(f"`{uri}`{self.joint}{self.message}", hint=self.hint)


class LostStateError(UnnamedError):
    """A file is not in the state that was pinned; in Earth Engine's words."""

    def __init__(
        self, generation: str, *, hint: str | None = None, what: str = "the GeoTIFF"
    ) -> None:
        """Make the error.

        Args:
            generation: The pinned state.
            hint: What to do about it.
            what: What it is.
        """
        super().__init__(
            f"it is not in the state `{generation}`",
            hint=hint
            or "it changed after the last apply, or is gone: see `geobatch plan`; `geobatch apply`"
            " pins the new state",
        )
        self.generation = generation
        self.what = what

    def named(self, uri: str) -> SourceError:
        """Return the error with the name of the source."""
        whole = uri if uri.endswith(f"#{self.generation}") else f"{uri}#{self.generation}"
        message = f"Failed to load {self.what} at `{whole}`"
        return SourceError(message, hint=self.hint)


def refused(error: BucketError, state: Remote | None, *, what: str = "the GeoTIFF") -> UnnamedError:
    """Return the error for a request to a bucket that failed.

    Args:
        error: What failed.
        state: The state in which the object must be; None if any will do.
        what: What it is, in messages.
    """
    if state is not None and error.failure in (Failure.CHANGED, Failure.MISSING):
        hint = "it changed, or is gone, since it was planned: run again"
        return LostStateError(state.generation, hint=hint, what=what)
    return UnnamedError(error.message, hint=error.hint)


class Named:
    """Adds the name of a source to errors that are raised inside; it is used with `with`."""

    __slots__ = ("_uri",)

    def __init__(self, uri: str) -> None:
        """Keep the name.

        Args:
            uri: What messages call the source.
        """
        self._uri = uri

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, UnnamedError):
            raise error.named(self._uri) from error.__cause__
