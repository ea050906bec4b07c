"""Comments of a pull request on GitHub.

Source: https://docs.github.com/rest/issues/comments
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geobatch.errors import PostError, SettingError
from geobatch.review.posting.client import Client
from geobatch.review.posting.provider import Comment, pages

TOKENS = ("GITHUB_TOKEN", "GH_TOKEN")
"""Variables of the token, the first that is set."""
_REF = re.compile(r"refs/pull/(\d+)/(?:merge|head)")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


class GitHub:
    """The comments of one pull request."""

    most_characters = 65_536

    def __init__(self, client: Client, repository: str, number: int) -> None:
        self.client = client
        self._issues = f"/repos/{quote(repository)}/issues"
        self._list = f"{self._issues}/{number}/comments"

    def find_own(self) -> Callable[[Comment], bool]:
        """Return a function that says whether the owner of the token wrote a comment.

        The token of a workflow may not ask who it is; its comments are those of a bot.
        """
        try:
            login = self.client.get("/user").document["login"]
        except PostError as error:
            if error.status not in {403, 404}:
                raise
            return lambda comment: comment.is_bot
        return lambda comment: comment.author == login

    def comments(self) -> Iterator[Comment]:
        """Yield all comments, the oldest first."""
        return map(_comment, pages(self.client.get, self._list))

    def create(self, body: str) -> Comment:
        """Create a comment."""
        return _comment(self.client.create(self._list, {"body": body}).document)

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of a comment."""
        path = f"{self._issues}/comments/{comment.id}"
        return _comment(self.client.change("PATCH", path, {"body": body}).document)

    def delete(self, comment: Comment) -> None:
        """Delete a comment."""
        self.client.change("DELETE", f"{self._issues}/comments/{comment.id}")


def _comment(item: Mapping[str, Any]) -> Comment:
    user = item.get("user") or {}
    return Comment(
        id=int(item["id"]),
        body=str(item.get("body") or ""),
        author=str(user.get("login", "")),
        is_bot=user.get("type") == "Bot",
        url=str(item.get("html_url", "")),
    )


def github_target(variables: Mapping[str, str], number: int | None) -> tuple[str, str, int]:
    """Return (URL of the API, repository, number of the pull request) of a pipeline.

    Source: https://docs.github.com/actions/reference/variables-reference

    Raises:
        SettingError: A variable is missing, or not valid.
    """
    repository = variables.get("GITHUB_REPOSITORY", "")
    if not _REPOSITORY.fullmatch(repository):
        raise SettingError(
            "`GITHUB_REPOSITORY` is not set, expected `owner/name`",
            hint="GitHub sets it in workflows; elsewhere set it yourself",
        )
    found = number or _number(variables)
    if not found:
        raise SettingError(
            "no pull request is named: `GITHUB_REF` is not `refs/pull/<number>/merge`",
            hint="run in a workflow `on: pull_request`, or give `--number`",
        )
    return variables.get("GITHUB_API_URL") or "https://api.github.com", repository, found


def _number(variables: Mapping[str, str]) -> int:
    """Return the number of the pull request that a workflow runs for; 0 if it runs for none."""
    if match := _REF.fullmatch(variables.get("GITHUB_REF", "")):
        return int(match[1])
    try:
        event = json.loads(Path(variables.get("GITHUB_EVENT_PATH", "")).read_bytes())
        asked = event.get("pull_request") or event.get("issue") or {}
        return int(asked.get("number", 0))
    except (OSError, ValueError, AttributeError, TypeError):
        return 0
