"""What differs between two states, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from geobatch.cli.views.plan import REASONS_SHOWN, because_json, reason_text
from geobatch.cli.views.table import column_lines, row_text, table_diff_json
from geobatch.cli.words import columns, count_text
from geobatch.model.number import number_to_json
from geobatch.model.plans.plan import Op, Reason
from geobatch.model.published import ArrayKey

if TYPE_CHECKING:
    from geobatch.explain.diff import ArrayDiff, AssetDiff, StateDiff, TileChange
    from geobatch.explain.target import Target
    from geobatch.store.value_diff import ValueDiff

_DIFF_WORDS = {
    Op.CREATE: "added", Op.UPDATE: "changed", Op.RENAME: "renamed", Op.DELETE: "removed",
}  # fmt: skip
_UPDATES = (Op.UPDATE, Op.RENAME)
_MARKS = (("+", "added"), ("~", "changed"), ("-", "removed"))


def diff_lines(
    diff: StateDiff, values: Mapping[str, Sequence[ValueDiff]], *, seconds: float
) -> Iterator[str]:
    """Yield the human form of a comparison, with the differences of values by asset id."""
    yield f"geobatch diff {_target_text(diff.a)} -> {_target_text(diff.b)}  {seconds:.2f} s"
    yield ""
    rows = [
        (f"  {asset.op.value} {_id_text(asset)}", _tile_text(asset), _DIFF_WORDS[asset.op])
        for asset in diff.assets
    ]
    for asset, line in zip(diff.assets, columns(rows, right={1}), strict=True):
        yield line
        reasons = [one for one in asset.because if one.reason is not Reason.RENAMED]
        for because in reasons[:REASONS_SHOWN]:
            yield f"      reason   {reason_text(because)}"
        if len(reasons) > REASONS_SHOWN:
            yield f"      reason   and {len(reasons) - REASONS_SHOWN} more"
        if asset.op in _UPDATES:
            for text in columns(_array_rows(asset.arrays)):
                yield f"      tiles    {text}"
        if asset.table is not None and asset.op is Op.UPDATE:
            yield from column_lines(asset.table)
        for value in values.get(asset.id, ()):
            if value.changed or value.masked or value.unmasked or value.reweighted:
                yield f"      values   {_value_text(value)}"
    if not diff.is_empty:
        yield ""
    counts = ", ".join(
        f"{diff.count(op)} {word}"
        for op, word in _DIFF_WORDS.items()
        if op is not Op.RENAME or diff.count(op)
    )
    yield f"Diff: {counts}.  {diff.unchanged} unchanged."


def diff_json(diff: StateDiff, values: Mapping[str, Sequence[ValueDiff]]) -> dict[str, Any]:
    """Return the machine form of a comparison, with the differences of values by asset id."""
    return {
        "format_version": "1.0",
        "a": _target_json(diff.a),
        "b": _target_json(diff.b),
        "changes": not diff.is_empty,
        "assets": [_asset_json(asset, values.get(asset.id)) for asset in diff.assets],
        "summary": {
            **{word: diff.count(op) for op, word in _DIFF_WORDS.items()},
            "unchanged": diff.unchanged,
        },
    }


def tile_line(asset: AssetDiff, tile: TileChange) -> str:
    """Return a tile that differs: asset, level/row/column, array."""
    array, row, col = tile.key
    return f"{tile.op.value} {asset.id}  {array.level}/{row}/{col}  {_array_name(array)}"


def tile_json(asset: AssetDiff, tile: TileChange) -> dict[str, Any]:
    """Return the machine form of a tile that differs."""
    return {
        "asset": asset.id,
        **_key_json(tile.key.array),
        "row": tile.key.row,
        "col": tile.key.col,
        "change": _DIFF_WORDS[tile.op],
    }


def _target_text(target: Target) -> str:
    digest = (target.head.digest or "none")[:12]
    return f"{target.asset}@{digest}" if target.asset else f"{target.head.number} ({digest})"


def _target_json(target: Target) -> dict[str, Any]:
    fields = {"commit": target.head.digest, "number": target.head.number}
    return fields if target.asset is None else {"asset": target.asset, **fields}


def _id_text(asset: AssetDiff) -> str:
    if asset.op is not Op.RENAME or asset.before is None:
        return asset.id
    return f"{asset.id}  (was {asset.before.id})"


def _tile_text(asset: AssetDiff) -> str:
    if asset.table is not None:
        return row_text(asset.table)
    count = sum(array.added + array.changed + array.removed for array in asset.arrays)
    if asset.op in _UPDATES and asset.after is not None:
        total = max(asset.after.tiles, count)
        return f"{count:,} of {count_text(total, 'tile')}"
    return count_text(count, "tile")


def _array_rows(arrays: Sequence[ArrayDiff]) -> list[tuple[str, str]]:
    by_name: dict[str, list[ArrayDiff]] = {}
    for array in arrays:
        by_name.setdefault(_array_name(array.key), []).append(array)
    return [(name, _levels_text(found)) for name, found in by_name.items()]


def _levels_text(arrays: Sequence[ArrayDiff]) -> str:
    """Return the counts level by level, equal neighbours folded: `L0 ~9 - L1..L2 +1 ~4 each`."""
    parts = []
    for text, group in groupby(arrays, key=_counts_text):
        levels = [array.key.level for array in group]
        span = f"L{levels[0]}" if len(levels) == 1 else f"L{levels[0]}..L{levels[-1]}"
        parts.append(f"{span} {text}" + (" each" if len(levels) > 1 else ""))
    return " - ".join(parts)


def _counts_text(array: ArrayDiff) -> str:
    counts = [f"{mark}{getattr(array, name):,}" for mark, name in _MARKS if getattr(array, name)]
    return " ".join(counts) + ("" if array.is_comparable else " (another grid of tiles)")


def _value_text(value: ValueDiff) -> str:
    parts = [f"{value.band} L{value.level}", f"{count_text(value.changed, 'pixel')} changed"]
    if value.changed:
        parts[-1] += (
            f" by {_number_text(value.smallest)} to {_number_text(value.largest)},"
            f" mean {_number_text(value.mean)}"
        )
    for count, word in (
        (value.masked, "masked"), (value.unmasked, "unmasked"), (value.reweighted, "reweighted"),
    ):  # fmt: skip
        if count:
            parts.append(f"{count:,} {word}")
    return f"{parts[0]}  {', '.join(parts[1:])}"


def _number_text(value: float | None) -> str:
    return "none" if value is None else f"{value:+,}" if isinstance(value, int) else f"{value:+.6g}"


def _asset_json(asset: AssetDiff, values: Sequence[ValueDiff] | None) -> dict[str, Any]:
    names = {"previous_id": asset.before.id} if _is_other(asset) and asset.before else {}
    fields: dict[str, Any] = {
        "id": asset.id,
        **names,
        "change": _DIFF_WORDS[asset.op],
        "reasons": [because_json(because) for because in asset.because],
        "tiles": {name: sum(getattr(array, name) for array in asset.arrays) for _, name in _MARKS},
        "arrays": [
            {
                **_key_json(array.key),
                **{name: getattr(array, name) for _, name in _MARKS},
                "is_comparable": array.is_comparable,
            }
            for array in asset.arrays
        ],
    }
    if asset.table is not None:
        fields["table"] = table_diff_json(asset.table)
    if values is not None:
        fields["values"] = [_value_json(value) for value in values]
    return fields


def _is_other(asset: AssetDiff) -> bool:
    before, after = asset.before, asset.after
    return before is not None and after is not None and before.id != after.id


def _key_json(key: ArrayKey) -> dict[str, Any]:
    return {"band": key.band, "level": key.level, "is_mask": key.is_mask}


def _value_json(value: ValueDiff) -> dict[str, Any]:
    def number(found: float | None) -> Any:
        return None if found is None else number_to_json(found)

    return {
        "band": value.band,
        "level": value.level,
        "tiles": value.tiles,
        "pixels": {
            "changed": value.changed,
            "masked": value.masked,
            "unmasked": value.unmasked,
            "reweighted": value.reweighted,
        },
        "difference": {
            "min": number(value.smallest),
            "max": number(value.largest),
            "mean": number(value.mean),
            "sum": number(value.total),
        },
    }


def _array_name(key: ArrayKey) -> str:
    return f"mask of {key.band}" if key.is_mask else key.band
