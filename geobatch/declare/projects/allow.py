"""The entries of `allow` in a project file: folders, buckets, schemes and servers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from geobatch.buckets.url import SCHEMES, is_bucket_url, parse_bucket_url
from geobatch.declare.hints import show
from geobatch.errors import Problem
from geobatch.model.sources.allowed import Allowed, LinkError
from geobatch.model.sources.servers import Host, Servers, parse_host

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://(.*))?", re.DOTALL)
_WEB = ("http", "https")
_HINT = (
    "write a folder with a slash, as in `../data/`; a bucket as in `gs://bucket/`; a server as in"
    " `data.example.org`; or `https:` for every public server"
)


def entry_complaint(text: str) -> tuple[str, str] | None:
    """Return why a text cannot be an entry of `allow`, and a hint; None if it can."""
    try:
        _parse(text)
    except ValueError as error:
        return f"{show(text)} cannot be allowed: {error}", _HINT
    return None


def allowed(
    entries: Sequence[str], mirrors: Sequence[tuple[str, Path]], *, folder: Path, path: str
) -> tuple[Allowed, list[Problem]]:
    """Return what a project file allows, and what is wrong with its entries.

    Args:
        entries: Those of `allow`, each valid by itself.
        mirrors: (prefix of uris, folder), as `uri_map` of the same file maps them.
        folder: The project's folder, absolute, at which relative folders start.
        path: The file, as messages name it; empty if there is none.
    """
    found = [(entry, _parse(entry)) for entry in entries]
    problems: list[Problem] = []
    folders: list[Path] = []
    buckets: list[str] = []
    for entry, one in found:
        if isinstance(one, Host) or one in _WEB:
            continue
        complaint = None
        more = [folder / one] if isinstance(one, Path) else _mirrors(one, mirrors)
        bucket = _bucket_of(one)
        if bucket:
            buckets.append(bucket)
        elif not more:
            hint = "map the uris to a local folder in `uri_map`, or allow that folder"
            if isinstance(one, str) and one in SCHEMES:
                hint = f"name each bucket, as in `{one}://bucket/`"
            complaint = ("`uri_map` of the same file maps no such uris", hint)
        for path_of_one in more:
            complaint = complaint or _folder_complaint(path_of_one, folder)
        if complaint is None:
            folders += more
            continue
        message = f"{show(entry)} cannot be allowed: {complaint[0]}"
        problems.append(
            Problem(path=path, line=1, column=1, rule="allow", message=message, hint=complaint[1])
        )
    servers = Servers(
        schemes=frozenset(one for _, one in found if isinstance(one, str) and one in _WEB),
        hosts=frozenset(one for _, one in found if isinstance(one, Host)),
    )
    made = Allowed.of(folder, tuple(folders), servers=servers, named_by=path)
    return replace(made, entries=frozenset(entries), buckets=tuple(buckets)), problems


def _folder_complaint(one: Path, project: Path) -> tuple[str, str] | None:
    """Return why a folder cannot be allowed, and a hint."""
    try:
        Allowed.of(project, (one,), servers=Servers(), named_by="")
    except LinkError:
        hint = "write the path of the folder to which the link leads"
        return "it is behind a link in the project, which anyone may change", hint
    except OSError as error:
        return str(error.strerror or error), _HINT
    return None


def _mirrors(wanted: str, mirrors: Sequence[tuple[str, Path]]) -> list[Path]:
    """Return the folders to which `uri_map` maps uris of a scheme `gs`, or in `gs://bucket/`."""
    start = wanted if "://" in wanted else f"{wanted}://"
    return [mirror for prefix, mirror in mirrors if prefix.startswith(start)]


def _parse(text: str) -> Host | Path | str:
    """Return the server, the folder, the bucket, or the scheme of uris that an entry names.

    Raises:
        ValueError: It is none of these; the message says why.
    """
    if not text.strip() or "\0" in text:
        raise ValueError("it names nothing")
    if match := _SCHEME.fullmatch(text):
        scheme, rest = match[1].lower(), match[2]
        if scheme == "file":
            raise ValueError("write the folder as a path")
        if rest and scheme in _WEB:
            return _host(text)
        if rest and scheme in SCHEMES:
            return _prefix(text)
        if rest is not None or text.endswith(":"):
            return f"{scheme}://{rest}" if rest else scheme
    if text.startswith("~"):
        raise ValueError("`~` is not replaced; write the whole path")
    if "/" in text or text in (".", ".."):
        if re.search("[*?]", text):
            raise ValueError("it is a glob; name the folder")
        return Path(text)
    return _host(text)


def _prefix(text: str) -> str:
    if re.search("[*?]", text):
        raise ValueError("it is a glob; name the bucket, or a folder in it")
    if re.search(r"[^:/]/(|\.|\.\.)/", f"{text}/" if text[-1:] != "/" else text):
        raise ValueError("it is not the beginning of a key")
    return text


def _bucket_of(one: str | Path) -> str:
    """Return the url of a bucket, or of a prefix in it, in the usual spelling; empty if it is none.

    A prefix of uris that `uri_map` maps need not be the name of a bucket.
    """
    try:
        return str(parse_bucket_url(one)) if isinstance(one, str) and is_bucket_url(one) else ""
    except ValueError:
        return ""


def _host(text: str) -> Host:
    if not re.search("[.:]", text) and text.lower() != "localhost":
        raise ValueError("it may be a folder or a server")
    rest = text.partition("://")[2] or text
    if "/" in rest.removesuffix("/"):
        raise ValueError("only whole servers can be allowed, without a path")
    return parse_host(text)
