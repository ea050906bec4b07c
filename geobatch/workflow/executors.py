"""Which executor runs the tasks: the one that was asked for, or that the project names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from geobatch.declare.projects.find import Projects
from geobatch.declare.projects.project import PROJECT_FILE, Project
from geobatch.errors import PlanError, SettingError
from geobatch.execute import executors
from geobatch.extras import install_hint
from geobatch.model.executor_name import ExecutorName, parse_executor

if TYPE_CHECKING:
    # Loads what decodes and encodes pixels.
    from geobatch.execute.executors.protocol import Executor


def check_executor(asked: object) -> None:
    """Check an executor that a caller asks for; nothing is loaded or connected.

    Args:
        asked: A name, a `distributed.Client`, an `Executor`, or None.

    Raises:
        SettingError: A name is not that of an executor, or its library is not installed.
        TypeError: It is none of these.
        ValueError: It is a client that waits for nothing.
    """
    if isinstance(asked, str):
        _parse(asked)
    elif _is_client(asked):
        if asked.asynchronous:  # type: ignore[attr-defined]
            raise ValueError("`executor` is an asynchronous client: make it without `asynchronous`")
    elif asked is not None and (isinstance(asked, type) or not hasattr(asked, "start")):
        raise TypeError(
            "`executor` must be a name such as `'dask://local'`, a `distributed.Client` or an"
            f" executor, got `{asked!r}`"
        )


def executor_of(
    asked: Any, projects: Iterable[Project], *, workers: int, is_confined: bool
) -> Executor | None:
    """Return the executor of a run; None for what suits its plan.

    Args:
        asked: What the caller asks for; see `check_executor`.
        projects: The projects of the specs, which name an executor if the caller does not.
        workers: Tasks that are run at a time on this machine.
        is_confined: Whether a project file must not decide where the run connects to.

    Raises:
        SettingError: A library is not installed, or a project file may not name this executor.
        PlanError: The projects name several executors.
    """
    if asked is None:
        named = _of_projects(projects, is_confined=is_confined)
        return None if named is None else _make(named, workers)
    if isinstance(asked, str):
        return _make(_parse(asked), workers)
    if _is_client(asked):
        return executors.DaskExecutor(client=asked)
    executor: Executor = asked
    return executor


@runtime_checkable
class _Connecting(Protocol):
    """An executor that connects to a cluster."""

    def connected(self) -> AbstractContextManager[Executor]:
        """Give an executor that connects once, for all runs meanwhile, and then disconnects."""


@contextmanager
def connected(executor: Executor | None) -> Iterator[Executor | None]:
    """Give an executor for all parts of a run; a cluster is made once, by the first that needs it.

    Args:
        executor: An executor; None stays None.
    """
    asked: object = executor
    if isinstance(asked, _Connecting):
        with asked.connected() as found:
            yield found
    else:
        yield executor


def project_here() -> Project:
    """Return the project of the current folder: for runs without specs."""
    return Projects().of(Path.cwd())


def _of_projects(projects: Iterable[Project], *, is_confined: bool) -> ExecutorName | None:
    found = {one.executor: one.path for one in projects if one.executor}
    if not found:
        return None
    if len(found) > 1:
        listed = ", ".join(f"`{text}` in `{path}`" for text, path in sorted(found.items()))
        raise PlanError(
            f"the specs are of projects with several executors: {listed}",
            hint="name one with `--executor`",
        )
    ((text, path),) = found.items()
    named = _parse(text)
    if is_confined and not named.is_here:
        raise SettingError(
            f"`{path}` names the executor `{text}`, but this run is confined: a {PROJECT_FILE} does"
            " not decide where it connects to",
            hint=f"if the address is right: `--executor {text}`",
        )
    return named


def _parse(text: str) -> ExecutorName:
    named = parse_executor(text)
    if named.kind == "dask" and PathFinder.find_spec("distributed") is None:
        raise SettingError(
            f"the executor `{text}` requires the extra `geobatch[dask]`", hint=install_hint("dask")
        )
    return named


def _make(named: ExecutorName, workers: int) -> Executor:
    if named.kind == "dask":
        return executors.DaskExecutor(address=named.address, workers=workers)
    if named.kind == "processes":
        return executors.ProcessExecutor(workers)
    if named.kind == "serial":
        return executors.SerialExecutor()
    return executors.ThreadExecutor(workers)


def _is_client(asked: object) -> bool:
    """Return whether something is a client of Dask; if it is, its library is loaded."""
    library = sys.modules.get("distributed")
    return library is not None and isinstance(asked, library.Client)
