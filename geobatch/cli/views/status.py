"""The state of the store, the specs and the sources, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from geobatch.cli.views.plan import because_json, reason_text
from geobatch.cli.views.plan_groups import ALIKE
from geobatch.cli.words import columns, count_text
from geobatch.explain.status import AssetStatus, State, Status, StoreStatus
from geobatch.model.plans.plan import Reason
from geobatch.views.protocol import ViewState

_REASONS_SHOWN = 2
_PARTS_SHOWN = 10


def status_lines(status: Status, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of a status; assets that are up to date are only counted.

    Args:
        status: What to describe.
        is_whole: Whether assets of which the same is to be said are named one by one.
    """
    store = status.store
    if store is None:
        yield "store         none yet"
    else:
        head = store.head
        commit = head.commit
        protected = sum(entry.is_protected for entry in head.tree.entries)
        yield f"store         {store.id}"
        yield (
            "head          none"
            if commit is None
            else f"head          {(head.digest or '')[:12]}  commit {head.number}, {commit.time}, "
            f"{commit.message}"
        )
        yield (
            f"published     {count_text(len(head.tree.entries), 'asset')}, {protected:,} protected"
        )
        if store.tree is not None:
            yield f"zarr tree     {_tree_text(store.tree)}"
            yield from _part_lines(store.tree)
        yield f"runs          {_runs_text(store)}"
    if status.assets is None:
        return
    shown = [asset for asset in status.assets if asset.state is not State.AS_DECLARED]
    if shown:
        yield ""
    yield from columns(list(_rows(shown, is_whole=is_whole)))
    for cube in status.cubes:
        yield f"cube {cube.id}  to {cube.action}"
    yield ""
    counts = [(len(status.of(state)), state.value) for state in State]
    yield f"Assets: {_counts_text(counts)}."
    missing = sum(len(asset.problems) for asset in status.of(State.MISSING))
    changed = len(status.changed_sources)
    if missing or changed:
        counts = [(missing, "missing"), (changed, "changed since they were applied")]
        yield f"Sources: {_counts_text(counts)}."


def _rows(shown: Sequence[AssetStatus], *, is_whole: bool) -> Iterator[tuple[str, str, str]]:
    """Yield a row per asset, or per neighbours that are created or updated for one reason."""
    for (state, why), group in groupby(shown, key=lambda one: (one.state, _why_text(one))):
        same = list(group)
        if is_whole or len(same) < ALIKE or state not in (State.CREATE, State.UPDATE):
            names = [_name_text(one) for one in same]
        else:
            names = [f"{len(same):,} assets, {same[0].id} to {same[-1].id}"]
        for name in names:
            yield f"  {_STATE_MARKS[state]} {name}", state.value, why


def _counts_text(counts: Sequence[tuple[int, str]]) -> str:
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)


_STATE_MARKS = {
    State.AS_DECLARED: "=",
    State.CREATE: "+",
    State.UPDATE: "~",
    State.RENAME: ">",
    State.MISSING: "!",
    State.BROKEN: "!",
    State.UNDECLARED: "?",
}


def _tree_text(tree: ViewState) -> str:
    if tree.is_current:
        return "current"
    shows = "shows no commit" if tree.number is None else f"shows commit {tree.number}"
    behind = f", {count_text(len(tree.behind), 'asset')} to update" if tree.behind else ""
    layout = ", has the layout of another version of geobatch" if tree.is_former else ""
    return f"{shows}{layout}{behind}: the next apply updates it"


def _part_lines(tree: ViewState) -> Iterator[str]:
    for part in tree.parts[:_PARTS_SHOWN]:
        yield f"              {part.path}: {part.problem}"
    if len(tree.parts) > _PARTS_SHOWN:
        yield f"              and {count_text(len(tree.parts) - _PARTS_SHOWN, 'other file')}"


def _runs_text(store: StoreStatus) -> str:
    parts = []
    if store.live_runs:
        parts.append(f"{len(store.live_runs)} live")
    if store.dead_runs:
        parts.append(f"{len(store.dead_runs)} killed, which the next apply cleans up")
    return ", ".join(parts) or "none"


def _name_text(asset: AssetStatus) -> str:
    return f"{asset.id}  (was {asset.previous_id})" if asset.previous_id else asset.id


def _why_text(asset: AssetStatus) -> str:
    because = [one for one in asset.because if one.reason is not Reason.RENAMED]
    texts = [*asset.problems, *map(reason_text, because)]
    if asset.is_protected and asset.state is State.UNDECLARED:
        texts.append("protected")
    more = f"; and {len(texts) - _REASONS_SHOWN} more" if len(texts) > _REASONS_SHOWN else ""
    return "; ".join(texts[:_REASONS_SHOWN]) + more


def status_json(status: Status) -> dict[str, Any]:
    """Return the machine form of a status."""
    fields: dict[str, Any] = {"store": None}
    store = status.store
    if store is not None:
        tree = store.tree
        commit = store.head.commit
        fields["store"] = {
            "id": store.id,
            "commit": store.head.digest,
            "number": store.head.number,
            "time": None if commit is None else commit.time,
            "content_root": None if commit is None else commit.content_root,
            "assets": len(store.head.tree.entries),
            "protected": [entry.id for entry in store.head.tree.entries if entry.is_protected],
            "zarr": None
            if tree is None
            else {
                "is_current": tree.is_current,
                "number": tree.number,
                "behind": list(tree.behind),
                "parts": [{"path": one.path, "problem": one.problem} for one in tree.parts],
            },
            "runs": {"live": list(store.live_runs), "dead": list(store.dead_runs)},
        }
    if status.assets is not None:
        fields["assets"] = [
            {
                "id": asset.id,
                **({"previous_id": asset.previous_id} if asset.previous_id else {}),
                "state": asset.state.name.lower(),
                "reasons": [because_json(because) for because in asset.because],
                "problems": list(asset.problems),
                "is_published": asset.is_published,
                "is_protected": asset.is_protected,
            }
            for asset in status.assets
        ]
        if status.cubes:
            fields["cubes"] = [cube.to_json() for cube in status.cubes]
        fields["sources"] = {"changed": list(status.changed_sources)}
        fields["summary"] = {state.name.lower(): len(status.of(state)) for state in State}
    return fields
