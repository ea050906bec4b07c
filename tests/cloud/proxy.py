"""A proxy before a server: it counts requests, is slow, and loses or changes answers."""

from __future__ import annotations

import asyncio
import contextlib
import http
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, TypeAlias

from http_messages import Message, read

How: TypeAlias = Literal["drop", "cut"] | int


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came, and what became of it."""

    method: str
    """`GET`, `PUT`..."""
    target: str
    """Path and query, as they were sent."""
    is_conditional: bool
    """Whether it may only create: `If-None-Match: *`, or generation 0."""
    status: int = 0
    """What the server answered; 0: it was not asked."""

    @property
    def kind(self) -> str:
        """Return its method, or `LIST`."""
        words = self.target.partition("?")[2].split("&")
        lists = self.method == "GET" and {"list-type=2", "comp=list"}.intersection(words)
        return "LIST" if lists else self.method

    @property
    def is_create(self) -> bool:
        """Return whether it puts a name that must not be there."""
        return self.method == "PUT" and self.is_conditional


def every(_: Request) -> bool:
    """Take each request."""
    return True


@dataclass(kw_only=True)
class Fault:
    """What happens to some of the requests."""

    how: How
    """`drop`: the connection closes without an answer. `cut`: it closes in the middle of the
    answer's body. A number: the answer has this status instead, and no body."""
    only: Callable[[Request], bool] = every
    """Which requests meet it."""
    times: int = 1
    """How many of them do; then it is over."""
    skip: int = 0
    """How many of them pass before the first one does."""
    is_done: bool = True
    """Whether the server acts before its answer is lost, or never sees the request."""
    met: list[Request] = field(default_factory=list)
    """Those that met it, with the status that the server gave."""

    def takes(self, request: Request) -> bool:
        """Return whether this request meets it; that is counted."""
        if self.times <= 0 or not self.only(request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.times -= 1
        return True


@dataclass
class Proxy:
    """Passes each request on to a port of 127.0.0.1, from a thread of its own."""

    upstream: int
    """Port of the server."""
    latency: float = 0.0
    """Seconds, each way."""
    port: int = 0
    """Of 127.0.0.1, where clients go."""
    requests: list[Request] = field(default_factory=list)
    """All that came, in the order of their answers."""
    faults: list[Fault] = field(default_factory=list)
    """A request meets the first one that takes it."""
    in_flight: int = 0
    """How many requests wait for their answer."""
    most_in_flight: int = 0
    """How many did at once, at most."""

    def add(self, fault: Fault) -> Fault:
        """Let the next requests meet a fault."""
        self.faults.append(fault)
        return fault

    def counts(self) -> Counter[str]:
        """Return how many requests there were of each kind."""
        return Counter(one.kind for one in self.requests)

    def forget(self) -> None:
        """Begin to count."""
        self.requests.clear()
        self.most_in_flight = 0


def spoil(proxy: Proxy, kind: str) -> list[Fault]:
    """Let a third of all requests fail: by every fault that a client can survive."""
    rng = Random(7)

    def some(likely: float, *, creates: bool = False) -> Callable[[Request], bool]:
        return lambda one: (one.is_create or not creates) and rng.random() < likely

    always = 10**6
    faults = [
        Fault(how="drop", only=some(0.08), times=always),
        Fault(how=503, only=some(0.08), times=always),
        Fault(how=503, only=some(0.08), times=always, is_done=False),
        Fault(how=409, only=some(0.15, creates=True), times=always, is_done=False),
    ]
    if kind != "az":  # where it says for sure that the name was taken before
        faults.append(Fault(how=409, only=some(0.15, creates=True), times=always))
    return [proxy.add(fault) for fault in faults]


@contextlib.contextmanager
def proxying(upstream: int, *, latency: float = 0.0) -> Iterator[Proxy]:
    """Run a proxy before a port of 127.0.0.1 as long as the context lasts."""
    proxy = Proxy(upstream, latency)
    loop, is_up, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    clients: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(_serve(proxy, reader, writer))
        clients.add(task)
        task.add_done_callback(clients.discard)

    async def serve() -> None:
        server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=256)
        proxy.port = server.sockets[0].getsockname()[1]
        is_up.set()
        await stop.wait()
        server.close()
        for task in list(clients):
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed is let go of in the next turn

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    if not is_up.wait(20):
        raise TimeoutError("the proxy did not start")
    try:
        yield proxy
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


class _Upstream:
    """A connection to the server, which is made when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def ask(self, asked: Message) -> Message:
        """Send a request and return its answer; a connection that had gone idle is made again."""
        if self._writer is not None and (self._reader is None or self._reader.at_eof()):
            self.close()
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        assert self._reader is not None
        self._writer.write(asked.head + asked.body)
        await self._writer.drain()
        answer = await read(self._reader, asked=asked.first[0])
        if answer.is_last:
            self.close()
        return answer

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def _serve(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer the requests of one client until it, or a fault, closes the connection."""
    upstream = _Upstream(proxy.upstream)
    try:
        with contextlib.suppress(OSError, EOFError):
            is_open = True
            while is_open:
                asked = await read(reader)
                proxy.in_flight += 1
                proxy.most_in_flight = max(proxy.most_in_flight, proxy.in_flight)
                try:
                    answer, is_open = await _answer(proxy, upstream, asked)
                finally:
                    proxy.in_flight -= 1
                writer.write(answer)
                await writer.drain()
    finally:
        upstream.close()
        writer.close()


async def _answer(proxy: Proxy, upstream: _Upstream, asked: Message) -> tuple[bytes, bool]:
    """Return the bytes of an answer, and whether the connection stays open."""
    if proxy.latency:
        await asyncio.sleep(proxy.latency)
    method, target, _ = asked.first
    is_conditional = (
        asked.header("if-none-match") == "*" or asked.header("x-goog-if-generation-match") == "0"
    )
    request = Request(method=method, target=target, is_conditional=is_conditional)
    fault = next((one for one in proxy.faults if one.takes(request)), None)
    answer = Message(b"", b"")
    if fault is None or fault.is_done:
        answer = await upstream.ask(asked)
        request = replace(request, status=int(answer.first[1]))
    proxy.requests.append(request)
    if proxy.latency:
        await asyncio.sleep(proxy.latency)
    if fault is None:
        return answer.head + answer.body, not answer.is_last
    fault.met.append(request)
    if fault.how == "drop":
        return b"", False
    if fault.how == "cut":
        return answer.head + answer.body[: len(answer.body) // 2], False
    phrase = http.HTTPStatus(fault.how).phrase
    return f"HTTP/1.1 {fault.how} {phrase}\r\nContent-Length: 0\r\n\r\n".encode(), True
