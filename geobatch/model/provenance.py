"""Who asked for a commit, and from which reviewed state of the specs."""

from __future__ import annotations

from msgspec import Struct


class Provenance(Struct, frozen=True, kw_only=True):
    """What a commit records beside its content; the content root does not depend on it."""

    message: str = ""
    """What the user wrote, in one line; empty if nothing."""
    author: str = ""
    """Name and address of the author of the Git commit; empty outside a checkout."""
    git_commit: str = ""
    """Git commit that was checked out, as hexadecimal digits; empty outside a checkout."""
    has_changes: bool = False
    """Whether specs differed from that Git commit."""
    pull_request: str = ""
    """URL of the pull request; empty if unknown."""


class CheckoutPath(Struct, frozen=True, order=True):
    """Where a spec file is in a Git repository: the same in each of its clones."""

    repository: str
    """Digest of the address of the repository, without user and protocol."""
    path: str
    """Path of the file from the top of the checkout, with `/` between parts."""
