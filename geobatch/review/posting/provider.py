"""What a site that hosts code offers: comments of one pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from msgspec import Struct

from geobatch.errors import PostError
from geobatch.review.posting.client import Answer, Client

PAGE = 100
"""Comments that are asked for at a time."""
_MOST_PAGES = 200


class Comment(Struct, frozen=True, kw_only=True):
    """A comment of a pull request."""

    id: int
    """Number of the comment."""
    body: str
    """Its text."""
    author: str
    """Who wrote it, as `Provider.is_own` compares."""
    is_bot: bool = False
    """Whether a program wrote it."""
    url: str = ""
    """Link to it; empty if unknown."""


class Provider(Protocol):
    """The comments of one pull request on a site."""

    client: Client
    """Sends the requests."""
    most_characters: int
    """Longest comment."""

    def find_own(self) -> Callable[[Comment], bool]:
        """Return a function that says whether the owner of the token wrote a comment."""
        ...

    def comments(self) -> Iterator[Comment]:
        """Yield all comments, the oldest first."""
        ...

    def create(self, body: str) -> Comment:
        """Create a comment; see `Client.create`."""
        ...

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of a comment."""
        ...

    def delete(self, comment: Comment) -> None:
        """Delete a comment."""
        ...


def pages(get: Callable[[str], Answer], path: str) -> Iterator[Any]:
    """Yield the items of all pages of a list.

    A page may have fewer items than asked for, and not be the last: headers say which is.

    Raises:
        PostError: The answer is no list, or there are too many pages.
    """
    for page in range(1, _MOST_PAGES + 1):
        answer = get(f"{path}{'&' if '?' in path else '?'}per_page={PAGE}&page={page}")
        if not isinstance(answer.document, list):
            raise PostError(f"`{path.partition('?')[0]}` is not a list of comments")
        yield from answer.document
        headers = answer.headers
        has_next = 'rel="next"' in headers.get("link", "") or headers.get("x-next-page", "")
        is_silent = "link" not in headers and "x-next-page" not in headers
        if not has_next and not (is_silent and len(answer.document) == PAGE):
            return
    raise PostError(f"`{path.partition('?')[0]}` has more than {_MOST_PAGES * PAGE:,} comments")
