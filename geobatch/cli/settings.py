"""Options that every command takes, before or after its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from geobatch.cli.output import Output

if TYPE_CHECKING:
    from geobatch.store.location import StoreLocation

DEFAULT_STORE = "store"
"""Folder of the store in the current folder, where no other is named."""
EPILOG = (
    "Every command also accepts: --store DIR (default store/, or GEOBATCH_STORE), --json for JSON "
    "lines, -j N for the number of workers, -q and -v."
)
"""What help ends with."""
GLOBAL_OPTIONS = {
    "--store": "Folder or url of the store.",
    "--json": "Print JSON lines.",
    "-j": "Number of workers.",
    "--jobs": "Number of workers.",
    "-q": "Print no progress and no notes.",
    "--quiet": "Print no progress and no notes.",
    "-v": "Print more: all parts of a plan, the traceback of a bug.",
    "--verbose": "Print more: all parts of a plan, the traceback of a bug.",
}
"""What a shell completes besides the options of a command."""


class UsageProblem(Exception):  # noqa: N818 - a usage error of ours, next to Typer's
    """A global option is wrong."""


class Settings(Struct, frozen=True, kw_only=True):
    """The global options."""

    store_text: str
    """`--store`, or `GEOBATCH_STORE`, or the default."""
    workers: int | None
    """`-j`; None for one per processor."""
    is_verbose: bool
    """`-v`."""
    output: Output
    """Where to print; knows `--json` and `-q`."""
    _parsed: list[StoreLocation] = field(default_factory=list)

    @property
    def store(self) -> StoreLocation:
        """Where the store is; parsed by the commands that use one.

        Raises:
            SettingError: It starts like a url, and is not one of a bucket.
        """
        from geobatch.store.location import StoreLocation  # noqa: PLC0415 - help needs none

        if not self._parsed:
            self._parsed.append(StoreLocation.of(self.store_text))
        return self._parsed[0]


def take_settings(
    argv: Sequence[str], environment: Mapping[str, str]
) -> tuple[Settings, tuple[str, ...]]:
    """Split the global options off a command line, at any position before a `--`.

    Raises:
        UsageProblem: An option lacks its value, or the value is wrong.
    """
    store = environment.get("GEOBATCH_STORE") or ""
    workers: int | None = None
    flags = {"--json": False, "--quiet": False, "--verbose": False}
    short = {"-q": "--quiet", "-v": "--verbose"}
    rest: list[str] = []
    tokens = iter(argv)
    for token in tokens:
        name, has_value, value = token.partition("=")
        if token == "--":  # noqa: S105 - a separator, no secret
            rest += [token, *tokens]
        elif name in {"--store", "-j", "--jobs"}:
            text = value if has_value else next(tokens, "")
            if name == "--store":
                store = _path(text)
            else:
                workers = _count(name, text)
        elif token.startswith("-j") and token[2:].isdigit():
            workers = _count("-j", token[2:])
        elif short.get(token, token) in flags:
            flags[short.get(token, token)] = True
        else:
            rest.append(token)
    output = Output(is_json=flags["--json"], is_quiet=flags["--quiet"])
    settings = Settings(
        store_text=store or DEFAULT_STORE,
        workers=workers,
        is_verbose=flags["--verbose"],
        output=output,
    )
    return settings, tuple(rest)


def _path(text: str) -> str:
    if not text:
        raise UsageProblem("`--store` needs a folder or a url")
    return text


def _count(name: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1024:
        raise UsageProblem(f"`{name}` needs a number of workers from 1 to 1024, got `{text}`")
    return int(text)
