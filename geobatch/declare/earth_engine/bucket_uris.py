"""Uris of a published asset in a bucket: the inverse of the project's `uri_map`."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path

from geobatch.declare.files.find import SCHEME
from geobatch.declare.projects.project import Project

BUCKETS = "gs://"
"""Prefixes of uris that Earth Engine reads."""


def bucket_uris(
    uris: Iterable[str], *, project: Project, folder: Path, prefix: str
) -> tuple[dict[str, str], list[str]]:
    """Return the uri in a bucket of each file, and the uris that have none.

    What a mirror of the project holds has the uri that leads there; of several mirrors the
    innermost that leads back counts. Another file below the folder of the spec has the prefix and
    its own uri.

    Args:
        uris: As declared.
        project: What holds for the spec.
        folder: Absolute folder of the spec, where relative uris start.
        prefix: Where relative uris start in a bucket; empty where they are nowhere.
    """
    found: dict[str, str] = {}
    left: list[str] = []
    for uri in dict.fromkeys(uris):
        if uri.startswith(BUCKETS):
            found[uri] = uri
            continue
        other = None if SCHEME.match(uri) else _inverted(uri, project, folder)
        if other is None and prefix and _is_below(uri):
            other = prefix + posixpath.normpath(uri)
        if other is None:
            left.append(uri)
        else:
            found[uri] = other
    return found, left


def _is_below(uri: str) -> bool:
    name = posixpath.normpath(uri)
    return not (SCHEME.match(uri) or name.startswith("/") or name.split("/")[0] == "..")


def _inverted(uri: str, project: Project, folder: Path) -> str | None:
    for real in (os.path.normpath, os.path.realpath):
        path = Path(real(folder / uri))
        mirrors = [(Path(real(mirror)), prefix) for prefix, mirror in project.mirrors]
        for mirror, prefix in sorted(mirrors, key=lambda pair: -len(pair[0].parts)):
            if not prefix.startswith(BUCKETS) or not path.is_relative_to(mirror):
                continue
            made = prefix + path.relative_to(mirror).as_posix()
            if Path(real(project.locate(made, folder).path)) == path:
                return made
    return None
