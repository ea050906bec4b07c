"""Executors as users name them: on the command line, in `geobatch.yaml`, in Python."""

from __future__ import annotations

import re

from msgspec import Struct

from geobatch.errors import SettingError
from geobatch.model.text.suggest import suggestion

KINDS = ("threads", "processes", "serial")
"""Executors of this machine that need no library."""
LOCAL_CLUSTER = "dask://local"
_DASK = "dask://"
_SCHEMES = ("tcp", "tls", "ws", "wss")
_ADDRESS = re.compile(
    r"(?P<scheme>[a-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@\[\]]+):(?P<port>[0-9]{1,5})/?"
)
_KNOWN = "use `threads`, `processes`, `serial`, `dask://local` or `dask://tcp://HOST:8786`"


class ExecutorName(Struct, frozen=True, kw_only=True):
    """Which executor is meant."""

    kind: str
    """One of `KINDS`, or `dask`."""
    address: str = ""
    """Of Dask, the address of the scheduler; empty for a cluster of processes of this machine."""

    @property
    def is_here(self) -> bool:
        """Whether nothing outside this machine takes part."""
        return not self.address


def parse_executor(text: str) -> ExecutorName:
    """Return the executor that a text names.

    Raises:
        SettingError: It names none.
    """
    if text in KINDS:
        return ExecutorName(kind=text)
    if text == LOCAL_CLUSTER:
        return ExecutorName(kind="dask")
    if text.startswith(_DASK):
        return ExecutorName(kind="dask", address=_address(text.removeprefix(_DASK)))
    if _ADDRESS.fullmatch(text):
        raise _error(text, f"write `{_DASK}{text}`")
    raise _error(text, suggestion(text, (*KINDS, LOCAL_CLUSTER)) or _KNOWN)


def _address(text: str) -> str:
    """Return the address of a scheduler."""
    found = _ADDRESS.fullmatch(text)
    if found is not None and found["scheme"] in _SCHEMES and 0 < int(found["port"]) < 65536:
        return text.removesuffix("/")
    if found is None and _ADDRESS.fullmatch(f"tcp://{text}"):
        raise _error(_DASK + text, f"write `{_DASK}tcp://{text}`")
    if found is not None and found["scheme"] not in _SCHEMES:
        known = ", ".join(f"`{one}`" for one in _SCHEMES)
        raise _error(_DASK + text, f"the scheme of a scheduler's address is one of {known}")
    if found is None and _ADDRESS.fullmatch(f"{text.removesuffix('/')}:8786"):
        raise _error(_DASK + text, f"name the port: `{_DASK}{text.removesuffix('/')}:8786`")
    raise _error(
        _DASK + text,
        "write `dask://local`, or the address of a scheduler: `dask://tcp://HOST:8786`",
    )


def _error(text: str, hint: str) -> SettingError:
    return SettingError(f"`{text}` is not an executor", hint=hint)
