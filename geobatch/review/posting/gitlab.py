"""Notes of a merge request on GitLab.

Source: https://docs.gitlab.com/api/notes/#merge-requests
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from geobatch.errors import SettingError
from geobatch.review.posting.client import Client
from geobatch.review.posting.provider import Comment, pages

TOKENS = ("GITLAB_TOKEN",)
"""Variables of the token; that of a job may not write notes."""


class GitLab:
    """The notes of one merge request."""

    most_characters = 1_000_000

    def __init__(self, client: Client, project: str, number: int) -> None:
        self.client = client
        self._list = f"/projects/{quote(project, safe='')}/merge_requests/{number}/notes"

    def find_own(self) -> Callable[[Comment], bool]:
        """Return a function that says whether the owner of the token wrote a note."""
        owner = str(self.client.get("/user").document["id"])
        return lambda comment: comment.author == owner

    def comments(self) -> Iterator[Comment]:
        """Yield all notes, the oldest first."""
        path = f"{self._list}?sort=asc&order_by=created_at"
        notes = pages(self.client.get, path)
        return (_comment(note) for note in notes if not note.get("system"))

    def create(self, body: str) -> Comment:
        """Create a note."""
        return _comment(self.client.create(self._list, {"body": body}).document)

    def update(self, comment: Comment, body: str) -> Comment:
        """Replace the text of a note."""
        path = f"{self._list}/{comment.id}"
        return _comment(self.client.change("PUT", path, {"body": body}).document)

    def delete(self, comment: Comment) -> None:
        """Delete a note."""
        self.client.change("DELETE", f"{self._list}/{comment.id}")


def _comment(item: Mapping[str, Any]) -> Comment:
    author = item.get("author") or {}
    body = str(item.get("body") or "")
    return Comment(id=int(item["id"]), body=body, author=str(author.get("id", "")))


def gitlab_target(variables: Mapping[str, str], number: int | None) -> tuple[str, str, int]:
    """Return (URL of the API, project, number of the merge request) of a pipeline.

    Source: https://docs.gitlab.com/ci/variables/predefined_variables/

    Raises:
        SettingError: A variable is missing, or not valid.
    """
    api = variables.get("CI_API_V4_URL", "")
    project = variables.get("CI_MERGE_REQUEST_PROJECT_ID") or variables.get("CI_PROJECT_ID", "")
    if not api or not project:
        raise SettingError(
            "`CI_API_V4_URL` or `CI_PROJECT_ID` is not set",
            hint="GitLab sets both in pipelines; elsewhere set them yourself",
        )
    text = variables.get("CI_MERGE_REQUEST_IID", "")
    found = number or (int(text) if text.isascii() and text.isdigit() else 0)
    if not found:
        raise SettingError(
            "no merge request is named: `CI_MERGE_REQUEST_IID` is not set",
            hint='run the job `if: $CI_PIPELINE_SOURCE == "merge_request_event"`, or give '
            "`--number`",
        )
    return api, project, found
