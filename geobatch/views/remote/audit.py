"""What is wrong with the names of a view in a bucket: a list, and the bytes that are asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType

from msgspec.structs import replace

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.digest import Digest, digest_bytes
from geobatch.store.backends.protocol import Backend
from geobatch.store.copying.in_flight import in_flight
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part, ViewState
from geobatch.views.remote import long_text
from geobatch.views.remote.change import REQUESTS, Shown
from geobatch.views.remote.long_text import Text


def compare_names(
    backend: Backend,
    found: ViewState,
    *,
    folders: Collection[str],
    document: str,
    texts: Mapping[str, Text],
    shown: Mapping[str, Shown],
    files: Mapping[str, Shown] = MappingProxyType({}),
    spared: tuple[str, ...],
    damaged: Mapping[str, CorruptObjectError],
    audit: Audit,
) -> ViewState:
    """Return a state with all parts that are not as they must be.

    Args:
        backend: The store.
        found: What is known of the view.
        folders: Its folders.
        document: Name of its own document, which is compared elsewhere.
        texts: What documents must say, by name.
        shown: What objects must be copied, by name.
        files: Digests and lengths of other documents, by name.
        spared: Starts of names that are not compared.
        damaged: Assets that cannot be compared.
        audit: Which bytes are read.
    """
    sizes = {
        name: state.size
        for folder in folders
        for name, state in backend.scan(f"{folder}/")
        if name != document
    }
    described = dict(files) | {
        name: Shown(name=name, stored=digest_bytes(text), size=len(text))
        for name, text in texts.items()
    }
    wanted = {name: one.size for name, one in (*described.items(), *shown.items())}
    for start in spared:
        sizes = {name: size for name, size in sizes.items() if not name.startswith(start)}
        wanted = {name: size for name, size in wanted.items() if not name.startswith(start)}
    problems = _problems(sizes, wanted)
    intact: dict[Digest, str] = {}
    reading = (
        (name, size)
        for name, size in wanted.items()
        if name not in problems and (name in described or _is_read(shown[name], audit))
    )
    with ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-view") as pool:
        read = partial(_digest_of, backend, wanted)
        for name, got in in_flight(pool, read, reading, most=REQUESTS):
            if got is None:
                problems[name] = MISSING
            elif got != (described.get(name) or shown[name]).stored:
                problems[name] = "other content"
            elif name in shown and shown[name].stored in audit.damaged:
                intact[shown[name].stored] = name
    parts = [Part(path=name, problem=problem) for name, problem in sorted(problems.items())]
    return replace(
        found,
        parts=tuple(parts),
        is_current=found.is_current and not parts,
        damaged=damaged,
        intact=intact,
    )


def _problems(sizes: Mapping[str, int], wanted: Mapping[str, int]) -> dict[str, str]:
    """Return what is wrong with names, as far as their lengths tell."""
    problems = dict.fromkeys(sizes.keys() - wanted.keys(), FOREIGN)
    problems |= dict.fromkeys(wanted.keys() - sizes.keys(), MISSING)
    for name in sizes.keys() & wanted.keys():
        if sizes[name] != wanted[name]:
            problems[name] = f"{sizes[name]:,} bytes, expected {wanted[name]:,}"
    return problems


def _digest_of(backend: Backend, sizes: Mapping[str, int], name: str) -> tuple[str, Digest | None]:
    try:
        return name, digest_bytes(long_text.read(backend, name, sizes[name]))
    except NotFoundError:
        return name, None


def _is_read(one: Shown, audit: Audit) -> bool:
    return one.stored in audit.read or one.stored in audit.damaged
