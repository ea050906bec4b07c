"""A check of everything in a store: its objects in every commit, and what its views show."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

from msgspec import Struct

from geobatch.errors import CorruptObjectError, FormatError, InterruptedRunError, StoreError
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.digest import Digest
from geobatch.model.published import ArrayKey, Head
from geobatch.model.text.shortened import shortened
from geobatch.processors import processor_count
from geobatch.stac.links import CATALOG as ROOT
from geobatch.stac.links import FOLDER as CATALOG
from geobatch.stac.links import ITEM
from geobatch.store.backends.file_lock import locked
from geobatch.store.backends.protocol import Backend, LocalDisk
from geobatch.store.commits.refs import SHOWN_BY
from geobatch.store.identity import IDENTITY, has_wrong_check, read_identity
from geobatch.store.maintenance.fsck.contents import (
    NOTHING,
    Progress,
    Reading,
    Subset,
    no_progress,
)
from geobatch.store.maintenance.fsck.findings import Finding, Hurt, Kind, Report
from geobatch.store.maintenance.fsck.store_check import Checked, check_store
from geobatch.store.tilestore import Location, TileStore, open_backend
from geobatch.views.cubes.members import FOLDER as CUBES_FOLDER
from geobatch.views.files import ASIDE
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part, ViewState
from geobatch.views.store_views import LOCK, StoreViews
from geobatch.workflow.maintenance.upkeep import executor_here, working

VIEWS = ("zarr/", "parquet/", "references/", f"{CATALOG}/", f"{CUBES_FOLDER}/")
"""Folders of views."""
_CHUNK = re.compile("/(?P<array>.+)/c/(?P<row>[0-9]+)/(?P<col>[0-9]+)", re.ASCII)
"""The path of a chunk in the folder of an asset."""


class Audited(Struct, frozen=True, kw_only=True, eq=False):
    """What a check found, with what a repair starts from."""

    report: Report
    """What was found."""
    checked: Checked
    """What was found of objects and commits."""
    intact: dict[Digest, str]
    """Paths of files in the views with the bytes of an object that is damaged, by its digest."""
    is_unfinished: bool = False
    """Whether the views are as a run left them that was interrupted: a note, and no damage."""


def fsck(
    store: Location,
    *,
    subset: Subset = NOTHING,
    workers: int | None = None,
    progress: Progress = no_progress,
    executor: Any = None,
) -> Report:
    """Check everything in a store; nothing is changed.

    Args:
        store: A folder, or a backend that is open.
        subset: Objects of which every byte is read; of the others, existence and length.
        workers: How many threads read; by default one per processor.
        progress: Notified while objects are read.
        executor: What reads them in place of threads; see `Request.executor`.

    Returns:
        Every damaged, missing or foreign file, with what it hurts.

    Raises:
        NoStoreError: There is no store.
        ExecutionError: The workers of the executor cannot be used.
        FormatError: A newer geobatch wrote it.
        InterruptedRunError: The user stopped the check.
        SettingError: The executor cannot be used.
        StoreError: The store cannot be read.
    """
    found = audit(store, subset=subset, workers=workers, progress=progress, executor=executor)
    return found.report


def audit(
    store: Location,
    *,
    subset: Subset = NOTHING,
    workers: int | None = None,
    progress: Progress = no_progress,
    executor: Any = None,
) -> Audited:
    """Check everything, and return all that a repair needs; see `fsck`."""
    began = time.perf_counter()
    backend = open_backend(store)
    is_known = _is_known(backend)
    try:
        with _reading(backend, subset, executor, workers) as reading:
            checked = check_store(
                backend,
                subset=subset,
                workers=workers or processor_count(),
                progress=progress,
                reading=reading,
            )
        findings, notes = list(checked.findings), list(checked.notes)
        intact: dict[Digest, str] = {}
        is_unfinished = False
        head = checked.head.head if checked.head.number else Head()
        if not is_known or head is None:
            what = f"`{IDENTITY}`" if not is_known else "the newest commit"
            notes.append(f"`zarr/` and `parquet/` are not compared: {what} is damaged")
        else:
            with closing(TileStore(backend)) as opened, _held(backend.local):
                found = _Views(opened, head)
                found.compare(Audit(damaged=checked.damaged, read=subset))
            findings += found.findings
            notes += found.notes
            intact, is_unfinished = found.intact, found.is_unfinished
    except KeyboardInterrupt:
        raise InterruptedRunError("interrupted; nothing was changed") from None
    report = Report(
        findings=tuple(sorted(findings, key=lambda one: one.order)),
        notes=tuple(notes),
        totals=checked.totals,
        seconds=time.perf_counter() - began,
    )
    return Audited(report=report, checked=checked, intact=intact, is_unfinished=is_unfinished)


@contextmanager
def _reading(
    backend: Backend, subset: Subset, asked: Any, workers: int | None
) -> Iterator[Reading | None]:
    """Give what reads objects in place of threads; None if that is nothing else."""
    executor = executor_here(asked, workers=workers) if subset.number else None
    if executor is None:
        yield None
        return
    with working(executor, backend, is_written=False) as found:
        yield found.read


@contextmanager
def _held(disk: LocalDisk | None) -> Iterator[None]:
    """Keep other processes from updating the views meanwhile, if that is possible."""
    if disk is None:
        yield
        return
    path = disk.path(LOCK)
    with ExitStack() as stack:
        with suppress(OSError):  # a store that cannot be written has nobody who updates it
            if path.exists():
                stack.enter_context(locked(path))
        yield


def _is_known(backend: Backend) -> bool:
    """Return whether the document is whole that says which store it is.

    Raises:
        NoStoreError: There is no store.
        FormatError: A newer geobatch wrote it.
    """
    try:
        read_identity(backend)
    except CorruptObjectError:
        return False
    except FormatError:
        if has_wrong_check(backend):
            return False
        raise
    return True


def is_shown(finding: Finding) -> bool:
    """Return whether a finding is of a file or folder of a view."""
    return finding.name.startswith(VIEWS) or finding.name in {
        "zarr",
        "parquet",
        CATALOG,
        CUBES_FOLDER,
    }


def made_again(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield the documents of views in a bucket without which these are made again."""
    shown = [one for one in findings if is_shown(one)]
    if any(not one.hurts and one.kind is not Kind.FOREIGN for one in shown):
        yield from SHOWN_BY
    if any(one.name.startswith(f"{CATALOG}/") for one in shown):
        yield f"{CATALOG}/{ROOT}"


class _Views:
    """What the views show, compared with the head."""

    def __init__(self, store: TileStore, head: Head) -> None:
        self._store = store
        self._head = head
        self._ids = {entry.id for entry in head.tree.entries}
        self.findings: list[Finding] = []
        self.notes: list[str] = []
        self.intact: dict[Digest, str] = {}
        self.is_unfinished = False
        self._paths: dict[str, dict[str, ArrayKey]] = {}

    def compare(self, how: Audit) -> None:
        """Compare every view.

        Raises:
            StoreError: The disk refused.
        """
        for view in StoreViews(self._store).views:
            try:
                state = view.compare(self._head, how)
            except OSError as error:
                raise StoreError(f"cannot compare {view.name}: {error}") from error
            except StoreError as error:
                self.findings.append(
                    Finding(kind=Kind.DAMAGED, name=view.folder, problem=error.message)
                )
                continue
            if state.number is not None and state.number != self._head.number:
                self.is_unfinished = True
                self.notes.append(
                    f"`{view.folder}/` shows commit {state.number}, and {self._head.number} was "
                    "checked: an apply was interrupted, or runs now; the next one completes it"
                )
                return
            if state.number is None and self._head.number and self._store.backend.is_remote:
                self.is_unfinished = True
                self.notes.append(
                    f"`{view.folder}/` does not say which commit it shows: its document is "
                    "missing; the next apply makes it again"
                )
            self._take(view.folder, state)

    def _take(self, folder: str, state: ViewState) -> None:
        self.intact |= state.intact
        parents = {above for part in state.parts for above in _above(part.path)}
        parts = [part for part in state.parts if not _is_aside(part)]
        self.findings += [
            self._finding(part)
            for part in parts
            if part.path.rstrip("/") not in parents  # what is in it is named
        ]
        if len(parts) < len(state.parts):
            self.is_unfinished = True
            self.notes.append(
                f"`{folder}/` has files of an update that could not end; the next apply removes "
                "them"
            )
        if state.is_former:
            self.is_unfinished = True
            self.notes.append(
                f"`{folder}/` has the layout of another version of geobatch, so it is not "
                "compared; the next apply makes it again"
            )
        elif state.unsettled:
            self.is_unfinished = True
            ids = shortened(", ".join(state.unsettled), 200)
            self.notes.append(
                f"`{folder}/` may show any state of {ids}: an update could not end; the next apply "
                "completes it"
            )
        for asset_id in sorted(state.damaged):
            self.notes.append(f"`{folder}/{asset_id}` is not compared: its documents are damaged")

    def _finding(self, part: Part) -> Finding:
        kind = {MISSING: Kind.MISSING, FOREIGN: Kind.FOREIGN}.get(part.problem, Kind.DAMAGED)
        folder, _, path = part.path.partition("/")
        if folder == CATALOG and path.endswith(ITEM):
            path = path.removesuffix(ITEM)
        elif folder == CATALOG:
            path = ""
        hurt = None if folder == CUBES_FOLDER else self._hurt(path.rstrip("/"))
        return Finding(
            kind=kind,
            name=part.path.rstrip("/"),
            problem=part.problem,
            hurts=() if hurt is None else (hurt,),
        )

    def _hurt(self, path: str) -> Hurt | None:
        """Return which asset, and which of its tiles, a file of a view shows."""
        parts = path.removesuffix(".parquet").removesuffix(".json").split("/")
        ends = range(len(parts), 0, -1)
        asset = next((one for n in ends if (one := "/".join(parts[:n])) in self._ids), None)
        if asset is None:
            return None
        chunk = _CHUNK.fullmatch(path[len(asset) :])
        if chunk is None:
            return Hurt(asset=asset)
        array = self._arrays(asset).get(chunk["array"])
        if array is None:  # a former layout had it, or nothing has
            return Hurt(asset=asset)
        return Hurt(asset=asset, array=array, tiles=((int(chunk["row"]), int(chunk["col"])),))

    def _arrays(self, asset_id: str) -> dict[str, ArrayKey]:
        """Return the arrays of an image by path; none if its document is damaged."""
        if asset_id not in self._paths:
            entry = self._head.tree.entry(asset_id)
            paths: dict[str, ArrayKey] = {}
            if entry is not None and not entry.is_table:
                with suppress(CorruptObjectError):
                    record = self._store.record(entry)
                    paths = {array_path(record.image, key): key for key, _ in record.arrays}
            self._paths = {asset_id: paths}  # findings come asset by asset
        return self._paths[asset_id]


def _is_aside(part: Part) -> bool:
    """Return whether a file is what an update writes before it renames it."""
    return part.problem == FOREIGN and part.path.endswith(ASIDE)


def _above(path: str) -> Iterator[str]:
    folder = path.rstrip("/").rpartition("/")[0]
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
