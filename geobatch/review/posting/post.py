"""Posts one comment, or updates it: however often, and by however many pipelines at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from geobatch.errors import PostError, SettingError
from geobatch.review.posting import github, gitlab
from geobatch.review.posting.client import ATTEMPTS, Client, check_url
from geobatch.review.posting.provider import Comment, Provider

PROVIDERS = {"github": "GITHUB_ACTIONS", "gitlab": "GITLAB_CI"}
"""Sites, and the variable that is `true` in their pipelines."""
_NOT_OURS = (403, 404)
"""Statuses of a comment that is of somebody else, or deleted meanwhile."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def marker_of(name: str) -> str:
    """Return the first line of a comment, by which the next run finds it; readers do not see it.

    Raises:
        ValueError: The name has other characters.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"`{name}` is not a name of up to 64 letters, digits, `.`, `_` and `-`")
    return f"<!-- geobatch-review:{name} -->"


def provider_of(
    name: str | None,
    variables: Mapping[str, str],
    *,
    number: int | None = None,
    pause: Callable[[float], None] | None = None,
) -> Provider:
    """Return the site that a pipeline runs on.

    Args:
        name: `github` or `gitlab`; by default by the variables.
        variables: The environment.
        number: Number of the pull request; by default by the variables.
        pause: Waits some seconds.

    Raises:
        SettingError: A variable is missing, or not valid.
    """
    found = name or next((one for one, sign in PROVIDERS.items() if variables.get(sign)), "")
    if not found:
        raise SettingError(
            "this is not a pipeline of GitHub or GitLab", hint="name one with `--provider`"
        )
    more = {} if pause is None else {"pause": pause}
    if found == "gitlab":
        api, project, number = gitlab.gitlab_target(variables, number)
        headers = {"PRIVATE-TOKEN": _token(variables, gitlab.TOKENS)}
        return gitlab.GitLab(Client(_url(api, "CI_API_V4_URL"), headers, **more), project, number)
    api, project, number = github.github_target(variables, number)
    headers = {
        "Authorization": f"Bearer {_token(variables, github.TOKENS)}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    return github.GitHub(Client(_url(api, "GITHUB_API_URL"), headers, **more), project, number)


def _url(url: str, name: str) -> str:
    try:
        return check_url(url, name)
    except ValueError as error:
        raise SettingError(str(error)) from None


def _token(variables: Mapping[str, str], names: tuple[str, ...]) -> str:
    """Return the token; an error about it never shows it."""
    for name in names:
        token = variables.get(name, "").strip()
        if not token:
            continue
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise SettingError(f"`{name}` is not a token: it has characters that no token has")
        return token
    is_job = "CI_JOB_TOKEN" in variables and names == gitlab.TOKENS
    more = "; `CI_JOB_TOKEN` may not write comments" if is_job else ""
    raise SettingError(
        f"`{names[0]}` is not set{more}",
        hint="give the step a token that may write comments of pull requests",
    )


def post(provider: Provider, markdown: str, *, marker: str) -> tuple[Comment, bool]:
    """Post a comment, or replace the text of the one that an earlier run posted.

    Args:
        provider: The site and the pull request.
        markdown: The text.
        marker: First line, by which comments are found.

    Returns:
        The comment, and whether it is new.

    Raises:
        PostError: The site refuses, or does not answer.
    """
    body = f"{marker}\n{markdown}"
    if len(body) > provider.most_characters:
        raise PostError(
            f"the comment has {len(body):,} characters, expected at most "
            f"{provider.most_characters:,}",
            hint="`geobatch review PLAN --format markdown` is always short enough",
        )
    is_own = provider.find_own()

    def found() -> list[Comment]:
        return [one for one in provider.comments() if one.body.startswith(marker) and is_own(one)]

    for attempt in range(1, ATTEMPTS + 1):
        updated = _update_first(provider, found(), body)
        if updated is not None:
            return updated, False
        try:
            created = provider.create(body)
        except PostError as error:  # it may have been created: search before the next try
            if attempt == ATTEMPTS:
                raise
            provider.client.wait(error, attempt)
            continue
        # Another pipeline may have created one at the same time: the oldest stays.
        others = [one for one in found() if one.id != created.id]
        if not others or created.id < min(one.id for one in others):
            return created, True
        _delete(provider, created)
    raise PostError("other pipelines post at the same time; no comment could be updated")


def _update_first(provider: Provider, comments: list[Comment], body: str) -> Comment | None:
    """Update the oldest comment, and delete later ones; None if there is none that may be."""
    done: Comment | None = None
    for comment in sorted(comments, key=lambda one: one.id):
        if done is not None:
            _delete(provider, comment)
            continue
        try:
            done = provider.update(comment, body)
        except PostError as error:
            if error.status not in _NOT_OURS:
                raise
    return done


def _delete(provider: Provider, comment: Comment) -> None:
    """Delete a comment, unless another pipeline has done so."""
    try:
        provider.delete(comment)
    except PostError as error:
        if error.status not in _NOT_OURS:
            raise
