"""What `review post` does: it reads a report, and posts it as one comment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from geobatch.cli.commands.review.review_run import read_review
from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import find_plan
from geobatch.cli.settings import Settings
from geobatch.review.markdown import markdown
from geobatch.review.posting.post import marker_of, post, provider_of


def run_post(
    settings: Settings,
    file: str,
    *,
    site: str | None,
    number: int | None,
    marker_name: str,
    base_url: str,
) -> Exit:
    """Post a report, and say where it is."""
    try:
        marker = marker_of(marker_name)
    except ValueError as error:
        raise typer.BadParameter(f"--marker: {error}") from None
    text = _text(settings, file, base_url=base_url)
    provider = provider_of(site, os.environ, number=number)
    comment, is_new = post(provider, text, marker=marker)
    output = settings.output
    url = f": {comment.url}" if comment.url else ""
    output.line(f"{'posted' if is_new else 'updated'} comment {comment.id}{url}")
    output.record("comment", id=comment.id, url=comment.url, is_new=is_new)
    return Exit.OK


def _text(settings: Settings, file: str, *, base_url: str) -> str:
    """Return the Markdown of a plan, of a file, or of stdin."""
    if file == "-":
        text = sys.stdin.read()
    elif (saved := find_plan(file)) is not None:
        text = markdown(read_review(settings, saved, base_url=base_url).report)
    else:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"`{file}` cannot be read: {error}") from None
    if not text.strip():
        raise typer.BadParameter(f"`{file}` is empty: there is nothing to post")
    return text
