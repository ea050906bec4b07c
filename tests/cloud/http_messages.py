"""Reads messages of HTTP/1.1 from a stream, whole and as they were sent."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """A request or an answer; head and body are the bytes that were sent."""

    head: bytes
    """The first line and the headers, with the empty line behind them."""
    body: bytes
    """With the lengths of its pieces, if it came in pieces."""

    @property
    def first(self) -> list[str]:
        """Return the words of the first line: method and target, or version and status."""
        return self.head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)

    def header(self, name: str) -> str | None:
        """Return a header, named in small letters, or None."""
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, text = line.partition(":")
            if key.lower() == name:
                return text.strip()
        return None

    @property
    def is_last(self) -> bool:
        """Return whether the connection is closed behind it."""
        return (self.header("connection") or "").lower() == "close"


async def read(reader: asyncio.StreamReader, *, asked: str | None = None) -> Message:
    """Read a message; `asked` is the method of the request, if it is an answer.

    Raises:
        asyncio.IncompleteReadError: The connection was closed before the end of the message.
    """
    head = await reader.readuntil(b"\r\n\r\n")
    message = Message(head, b"")
    if asked is not None and (asked == "HEAD" or message.first[1] in {"204", "304"}):
        return message
    if (message.header("transfer-encoding") or "").lower() == "chunked":
        return Message(head, await _read_pieces(reader))
    length = message.header("content-length")
    if length is None and asked is not None:
        return Message(head, await reader.read())
    return Message(head, await reader.readexactly(int(length or 0)))


async def _read_pieces(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while True:
        line = await reader.readuntil(b"\r\n")
        pieces.append(line)
        length = int(line.partition(b";")[0], 16)
        if not length:
            break
        pieces.append(await reader.readexactly(length + 2))
    while pieces[-1] != b"\r\n" or len(pieces) < 2:
        pieces.append(await reader.readuntil(b"\r\n"))
    return b"".join(pieces)
