"""Pins: names of commits that `gc` keeps."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.errors import ConflictError, CorruptObjectError, NotFoundError, StoreError
from geobatch.format.documents import FORMAT, check_format
from geobatch.model.digest import Digest, canonical_json
from geobatch.model.published import Head
from geobatch.model.text.suggest import suggestion
from geobatch.store.backends.protocol import Backend

PINS = "pins/"
"""Folder of the documents of pins."""

_NAME = re.compile("[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_SUFFIX = ".json"


class Pin(Struct, frozen=True, kw_only=True, order=True):
    """A commit that is kept."""

    name: str
    """Name of the pin."""
    number: int
    """Number of the commit."""
    commit: Digest
    """Its digest."""
    time: datetime
    """When it was pinned, in UTC."""


class Pins:
    """The pins of a store: one document each."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @staticmethod
    def path(name: str) -> str:
        """Return the name of a pin's document in its store."""
        return f"{PINS}{name}{_SUFFIX}"

    def all(self) -> tuple[Pin, ...]:
        """Return all pins, sorted by name.

        Raises:
            CorruptObjectError: The document of one is damaged.
            FormatError: A newer geobatch wrote one.
        """
        found = (self._read(document) for document in self._backend.list(PINS))
        return tuple(sorted(pin for pin in found if pin is not None))

    def get(self, name: str) -> Pin:
        """Return a pin.

        Raises:
            NotFoundError: There is none of that name.
            CorruptObjectError: Its document is damaged.
        """
        pin = self._read(self.path(_checked(name)))
        if pin is None:
            raise NotFoundError(
                f"there is no pin `{name}`",
                hint=suggestion(name, self._names()) or "`geobatch pin` lists the pins",
            )
        return pin

    def find(self, name: str) -> Pin | None:
        """Return a pin, or None if there is none of that name, or it could not be one.

        Raises:
            CorruptObjectError: Its document is damaged.
        """
        return self._read(self.path(name)) if _NAME.fullmatch(name) else None

    def add(self, name: str, head: Head, *, is_moved: bool = False) -> Pin:
        """Pin a commit; durable on return.

        Args:
            name: Name of the pin.
            head: The commit.
            is_moved: Whether a pin of that name may be moved from another commit.

        Raises:
            StoreError: The name is not valid.
            ConflictError: There is a pin of that name on another commit, or of a name that differs
                only by case.
        """
        _checked(name)
        if head.digest is None:
            raise NotFoundError("a store without commits has nothing to pin")
        twin = next((n for n in self._names() if n != name and n.lower() == name.lower()), None)
        if twin is not None:
            raise ConflictError(
                f"pin `{name}` differs only by case from the pin `{twin}`",
                hint="choose another name: on many disks both are the same file",
            )
        path, time = self.path(name), datetime.now(UTC)
        document = {
            "format": FORMAT,
            "commit": head.digest,
            "number": head.number,
            "time": time.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        data = canonical_json(document)
        while not self._backend.create(path, data):
            found = self._read(path)
            if found is not None and found.commit == head.digest:
                return found
            if found is not None and not is_moved:
                raise ConflictError(
                    f"pin `{name}` is on commit {found.number} (`{found.commit[:12]}`), not on"
                    f" commit {head.number} (`{head.digest[:12]}`)",
                    hint=f"`geobatch pin {name} {head.number} --force` moves it",
                )
            if found is not None:
                self._backend.replace(path, data)
                self._backend.sync()
                break
        return self.get(name)

    def delete(self, name: str) -> None:
        """Delete a pin, damaged or not; what only it kept stays until the next `gc`.

        Raises:
            NotFoundError: There is none of that name.
        """
        with suppress(CorruptObjectError):
            self.get(name)
        self._backend.delete(self.path(name))

    def _names(self) -> list[str]:
        return [
            document.removeprefix(PINS).removesuffix(_SUFFIX)
            for document in self._backend.list(PINS)
            if document.endswith(_SUFFIX)
        ]

    def _read(self, path: str) -> Pin | None:
        name = path.removeprefix(PINS).removesuffix(_SUFFIX)
        try:
            data = self._backend.get(path)
        except NotFoundError:
            return None
        try:
            document = json.loads(data)
            check_format(document["format"], f"`{path}`")
            digest, number = document["commit"], int(document["number"])
            bytes.fromhex(digest)
            time = datetime.fromisoformat(document["time"]).astimezone(UTC)
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptObjectError(
                f"`{path}` is damaged, so it is not known which commit it keeps: {error}",
                hint=f"restore it from a copy of the store; or `geobatch unpin {name}`, and pin the"
                " commit again",
            ) from error
        return Pin(name=name, number=number, commit=digest, time=time)


def _checked(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise StoreError(
            f"`{name}` is not a valid name of a pin: expected up to 64 letters, digits, `.`, `_`"
            " and `-`, with a letter or digit first and no `.` last"
        )
    return name
