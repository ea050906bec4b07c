"""Hooks of MkDocs: links out of `docs/` lead to the repository; the schema is served."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\((?P<path>(?:\.\./)+[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Return a page whose links to files outside of `docs/` are urls of the repository.

    Raises:
        FileNotFoundError: Such a file does not exist.
    """
    folder = (ROOT / "docs" / PurePosixPath(page.file.src_uri)).parent

    def with_url(link: re.Match[str]) -> str:
        target = (folder / link["path"]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return link[0]
        if not target.exists():
            raise FileNotFoundError(f"`{page.file.src_uri}` links to `{link['path']}`")
        name = target.relative_to(ROOT).as_posix()
        return f"]({config.repo_url}/blob/main/{name}{link['anchor'] or ''})"

    return _LINK.sub(with_url, markdown)


def on_post_build(config: Any, **_: Any) -> None:
    """Put the JSON Schema where its `$id` says that it is."""
    shutil.copytree(ROOT / "schema", Path(config.site_dir) / "schema", dirs_exist_ok=True)
