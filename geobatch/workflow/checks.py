"""Checks of data in the stages: which refuse a plan or an asset, and how they are reported."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec.structs import replace

from geobatch.declare import AssetSpec, SpecSet, problem
from geobatch.errors import CheckError, Code, Problem, joined
from geobatch.model.assets.asset import Resolution
from geobatch.model.assets.image import Raster
from geobatch.model.checks.result import CheckResult
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Changes, Failure, Op, Plan, Risk
from geobatch.model.published import AssetRecord, BandTiles
from geobatch.planner import grid_results, pending_results

_RULE = "check"


def without_refused(
    specs: SpecSet, resolution: Resolution
) -> tuple[Resolution, tuple[Failure, ...]]:
    """Return the assets whose grids pass, and why the others are not published."""
    failures = tuple(
        failure
        for asset in resolution.images
        if asset.checks
        for failure in failures_of_checks(specs.spec(asset.id), grid_results(asset))
    )
    refused = {failure.id for failure in failures}
    kept = tuple(asset for asset in resolution.assets if asset.id not in refused)
    return replace(resolution, assets=kept), failures


def with_checks(
    plan: Plan,
    specs: SpecSet,
    *,
    records: Mapping[str, AssetRecord],
    known: Mapping[Digest, BandTiles],
) -> Plan:
    """Return a plan whose changes say what is known of their checks, and that is refused by them.

    Args:
        plan: The plan.
        specs: What declares its assets.
        records: Published records that the work builds upon, by asset id.
        known: Tiles of finished bands that are taken over, by pyramid fingerprint.
    """
    changes = tuple(_with_checks(one, records.get(one.id), known) for one in plan.changed)
    if changes == plan.changed:
        return plan
    made = replace(plan, changes=Changes(changes, plan.kept))
    refusals = [f"{one.path}:{one.line}: {one.message}" for one in refused_checks(made, specs)]
    return replace(made, refusals=(*plan.refusals, *refusals))


def refused_checks(plan: Plan, specs: SpecSet) -> tuple[Problem, ...]:
    """Return which checks refuse a plan, each with its line."""
    return tuple(
        _problem(specs.spec(change.id), result)
        for change in plan.changed
        for result in change.checks
        if result.is_refusing
    )


def _with_checks(
    change: AssetChange, record: AssetRecord | None, known: Mapping[Digest, BandTiles]
) -> AssetChange:
    asset = change.asset
    if not isinstance(asset, Raster) or not asset.checks or change.op is Op.KEEP:
        return change
    found = [*grid_results(asset), *pending_results(change, record, known)]
    risks = [
        (Risk.CHECK_FAILED, f"checks[{one.index}]")
        for one in found
        if one.is_failed and not one.is_refusing
    ]
    return replace(
        change,
        checks=tuple(sorted(found, key=lambda one: one.index)),
        risks=(*change.risks, *dict.fromkeys(risks)),
    )


def grid_warnings(specs: SpecSet, resolution: Resolution) -> Iterator[Problem]:
    """Yield warnings of grids that do not pass a check of severity `warn`."""
    for asset in resolution.images:
        if asset.checks:
            yield from warnings_of_checks(specs.spec(asset.id), grid_results(asset))


def warnings_of_checks(spec: AssetSpec, results: Iterable[CheckResult]) -> Iterator[Problem]:
    """Yield warnings of failed checks of severity `warn`."""
    for result in results:
        if result.is_failed and not result.is_refusing:
            yield problem(spec, ("checks", result.index), _RULE, _text(spec, result))


def failures_of_checks(spec: AssetSpec, results: Iterable[CheckResult]) -> Iterator[Failure]:
    """Yield what prevents the publication of an asset."""
    for result in results:
        if result.is_refusing:
            path, line, column = spec.where("checks", result.index)
            yield Failure(
                id=spec.id,
                code=Code.CHECK.value,
                message=result.message,
                hint=_hint(result),
                path=path,
                line=line,
                column=column,
            )


def refuse_failed(problems: tuple[Problem, ...]) -> None:
    """Raise an error of checks that fail, if any does.

    Raises:
        CheckError: It names each, with the line of its spec.
    """
    if problems:
        raise joined(CheckError, problems)


def _problem(spec: AssetSpec, result: CheckResult) -> Problem:
    loc = ("checks", result.index)
    return problem(spec, loc, _RULE, _text(spec, result), _hint(result))


def _text(spec: AssetSpec, result: CheckResult) -> str:
    return f"`{spec.id}`: {result.message}"


def _hint(result: CheckResult) -> str:
    return (
        f"correct the {'data' if result.kind.is_of_pixels else 'sources'}, or edit the check; "
        "`severity: warn` makes it a warning"
    )
