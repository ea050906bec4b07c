"""How a request becomes an answer: threads, errors, what browsers may keep."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from hashlib import blake2b
from typing import Any, TypeAlias

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from geobatch.errors import GeobatchError, NotFoundError
from geobatch.serve.commits import Served, State
from geobatch.serve.tiles.png import damaged_tile
from geobatch.serve.tiles.style import BadQueryError

LOG = logging.getLogger("geobatch.serve")
_FOREVER = "public, max-age=31536000, immutable"
_ASK = "no-cache"
"""A browser keeps it, and asks each time whether it is still so."""


class Question(Struct, frozen=True, kw_only=True, eq=False):
    """A request, and the commit that it is answered from."""

    served: Served
    """What all requests share."""
    request: Request
    """The request."""
    path: Mapping[str, Any]
    """Parts of its path."""
    query: Mapping[str, str]
    """Its query."""

    def state(self) -> State:
        """Return the commit that `at` names; by default the newest.

        Raises:
            NotFoundError: There is no such commit.
        """
        return self.served.commits.find(self.path.get("at") or self.query.get("at", ""))


class Answer(Struct, frozen=True, kw_only=True, eq=False):
    """What is sent."""

    body: bytes
    """Its bytes."""
    kind: str
    """Media type."""
    state: State | None = None
    """The commit that it is of; None if it depends on no commit."""
    status: int = 200
    """Status of HTTP."""
    headers: Mapping[str, str] = {}
    """Further headers."""


Make: TypeAlias = Callable[[Question], Answer]


def json_answer(
    value: Any, state: State | None = None, *, kind: str = "application/json", status: int = 200
) -> Answer:
    """Return an answer in JSON."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Answer(body=text.encode(), kind=kind, state=state, status=status)


class Endpoint:
    """Answers requests in a few threads: many clients wait, and take no memory."""

    def __init__(self, make: Make, *, is_picture: bool = False) -> None:
        """Return what Starlette calls.

        Args:
            make: Makes the answer, in a thread.
            is_picture: Whether an error is shown as a picture, too.
        """
        self._make, self._is_picture = make, is_picture

    async def __call__(self, request: Request) -> Response:
        """Return the answer to a request."""
        question = Question(
            served=request.app.state.served,
            request=request,
            path=request.path_params,
            query=dict(request.query_params),
        )
        threads: Executor = request.app.state.threads
        answer = await asyncio.get_running_loop().run_in_executor(threads, self._answer, question)
        return _response(question, answer)

    def _answer(self, question: Question) -> Answer:
        try:
            return self._make(question)
        except BadQueryError as error:
            return error_answer(400, str(error))
        except NotFoundError as error:
            return error_answer(404, error.message, error.hint)
        except GeobatchError as error:
            # A line for whoever runs the server; the message says what is damaged.
            LOG.error("%s: %s", question.request.url.path, error.message)  # noqa: TRY400
            if self._is_picture:
                return Answer(body=damaged_tile(), kind="image/png", status=500)
            return error_answer(500, error.message, error.hint)


def error_answer(status: int, message: str, hint: str | None = None) -> Answer:
    """Return an error as JSON: what, and what helps."""
    return json_answer({"error": message, **({"hint": hint} if hint else {})}, status=status)


def _response(question: Question, answer: Answer) -> Response:
    headers = dict(answer.headers)
    if answer.status >= 400:
        headers["Cache-Control"] = "no-store"
        return Response(answer.body, answer.status, headers, media_type=answer.kind)
    state = answer.state
    if state is not None:
        headers["ETag"] = headers.get("ETag") or _tag(question, state)
        headers["X-Geobatch-Commit"] = state.name
        asked = question.path.get("at") or question.query.get("at", "")
        headers["Cache-Control"] = _FOREVER if asked == state.name else _ASK
    else:
        headers.setdefault("Cache-Control", _ASK)
    tag = headers.get("ETag")
    if tag is not None and tag in _tags(question.request.headers.get("if-none-match", "")):
        return Response(None, 304, headers)
    return Response(answer.body, answer.status, headers, media_type=answer.kind)


def _tag(question: Question, state: State) -> str:
    """Return what changes if the commit or the question does."""
    url = question.request.url
    text = f"{state.name} {url.path}?{url.query}"
    return f'"{blake2b(text.encode(), digest_size=12).hexdigest()}"'


def _tags(text: str) -> set[str]:
    return {part.strip().removeprefix("W/") for part in text.split(",")}


def whole_number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """Return a number of a query, at least 0.

    Raises:
        BadQueryError: It is not such a number.
    """
    text = query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) <= most):
        raise BadQueryError(f"`{name}`: expected a whole number from 0 to {most}")
    return int(text)
