"""Names of batches: what Dask's dashboard groups them by, and what makes equal work one task."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import (
    CheckTask,
    JoinTask,
    PagesTask,
    RecodeTask,
    RegionTask,
    TableTask,
    Task,
)
from geobatch.execute.upkeep.tasks import UpkeepTask
from geobatch.model.digest import Digest, Json, digest_bytes, digest_json

_MOST_PREFIXES = 256
"""Groups of a run: a scheduler never forgets one."""


def may_share(one: Task, other: Task) -> bool:
    """Return whether two tasks may be sent together: of a large image, those of one level.

    A task that covers many regions, or a table, takes long enough by itself.
    """
    return not isinstance(one, PagesTask | TableTask) and _part(one) == _part(other)


def _part(task: Task) -> tuple[str, Digest | None]:
    if isinstance(task, RegionTask) and not task.is_whole:
        return _level(task), task.asset
    return _level(task), None


def prefix_of(tasks: Sequence[Task], inputs: Inputs, known: set[str]) -> str:
    """Return the group of some tasks: asset and level, or the folder of several assets.

    Args:
        tasks: They are sent together.
        inputs: What they name.
        known: The groups of the run; receives this one.
    """
    names = {_name(task, inputs) for task in tasks}
    levels = {_level(task) for task in tasks}
    name = names.pop() if len(names) == 1 else _folder(names)
    level = levels.pop() if len(levels) == 1 else "all levels"
    found = f"{name} {level}"
    if found not in known and len(known) >= _MOST_PREFIXES:
        found = f"{_folder({name})} {level}"
    if found not in known and len(known) >= _MOST_PREFIXES:
        found = f"geobatch {level}"
    known.add(found)
    # Dask takes what follows a hyphen for the number of a task.
    return found.replace("-", "_")


def key_of(prefix: str, tasks: Sequence[Task], apart: Json) -> tuple[str, Digest]:
    """Return the key of a batch: equal work for the same store has the same key.

    Args:
        prefix: Its group.
        tasks: The tasks.
        apart: What else tells batches apart.
    """
    return prefix, digest_json(["geobatch batch", apart, [_fingerprint(task) for task in tasks]])


def _fingerprint(task: Task) -> Digest:
    if isinstance(task, RegionTask | PagesTask | TableTask):
        return task.key
    return digest_bytes(pickle.dumps(task, protocol=5))


def _name(task: Task, inputs: Inputs) -> str:
    if isinstance(task, UpkeepTask):
        return task.command
    if isinstance(task, RecodeTask | JoinTask):
        return task.asset_id
    if isinstance(task, TableTask):
        return inputs.table(task.asset).id
    return inputs.asset(task.asset).id


def _level(task: Task) -> str:
    if isinstance(task, UpkeepTask):
        return task.part
    if isinstance(task, TableTask):
        return "rows"
    if isinstance(task, RegionTask):
        return f"L{task.region.level}"
    if isinstance(task, PagesTask):
        return f"L{task.square.level}"
    if isinstance(task, CheckTask):
        return "checks"
    return f"L{task.array.level} {'index' if isinstance(task, JoinTask) else 'codec'}"


def _folder(names: set[str]) -> str:
    """Return the folder that several assets are in."""
    parts = [name.split("/")[:-1] for name in names]
    first, last = min(parts), max(parts)
    same = 0
    while same < min(len(first), len(last)) and first[same] == last[same]:
        same += 1
    return "/".join([*first[:same], "*"])
