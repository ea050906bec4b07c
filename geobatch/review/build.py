"""A saved plan becomes a report: what is risky first, then what is large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from geobatch.model.plans.plan import Reason, Risk
from geobatch.model.plans.plan_document import BandDocument, ChangeDocument, PlanDocument
from geobatch.model.plans.words import reason_words, risk_words
from geobatch.review.links import Links
from geobatch.review.report import (
    ACTIONS,
    Group,
    Report,
    ReportedAsset,
    ReportedReason,
    ReportedRisk,
    RiskGroup,
    SpecLine,
    ValueChange,
    Work,
)
from geobatch.sources.projections.bounds import box_around

EXAMPLES = 5
"""Subjects of a risk that are named."""
_ORDER = {str(risk): number for number, risk in enumerate(Risk)}
"""Risks in the order in which they are declared: losses first."""
_OF_SPECS = frozenset(
    {Reason.NEW_ASSET, Reason.RENAMED, Reason.NOT_DECLARED, Reason.REPLACE_REQUESTED}
)
"""Reasons whose words need no subject: it is the asset itself."""
_RISKY_RULES = frozenset({"lossy-source"})
"""Rules of warnings that a reviewer should see among the risks."""
UNDECLARED = "UNDECLARED"
"""Code of published assets without a spec, among the risks."""


def report_of(plan: PlanDocument, links: Links) -> Report:
    """Return the report of a plan."""
    assets = sorted(
        (_asset(change, links) for change in plan.asset_changes),
        key=lambda one: (not one.is_destructive, not one.risks, -one.work.compute, one.id),
    )
    done = [asset for asset in assets if asset.actions[0] != "blocked"]
    summary = plan.summary
    return Report(
        plan_id=plan.plan_id,
        store_id=plan.store_id or "",
        base=plan.base_commit or "",
        counts={name: getattr(summary, name) for name in (*ACTIONS, "unchanged", "not_selected")},
        work=_total(done),
        bounds=box_around([asset.bounds for asset in done if asset.bounds is not None]),
        refusals=tuple(plan.refusals),
        risks=tuple(_risk_groups(assets, plan)),
        groups=tuple(_groups(assets)),
        values=tuple(_values(assets)),
        warnings=tuple(plan.warnings),
        undeclared=tuple(plan.undeclared),
        cubes=len(plan.cubes),
        rehearsal=plan.rehearsal,
        estimate=plan.estimate,
        assets=tuple(assets),
    )


def _asset(change: ChangeDocument, links: Links) -> ReportedAsset:
    rehearsed = change.rehearsed
    bands, values = ([], []) if rehearsed is None else (rehearsed.bands, rehearsed.values)
    declared = change.declared
    return ReportedAsset(
        id=change.id,
        previous_id=change.previous_id,
        actions=tuple(change.actions),
        declared=None if declared is None else _spec_line(declared.path, declared.line, links),
        work=Work(
            compute=change.tiles.compute,
            total=change.tiles.total,
            remove=change.tiles.remove,
            read=change.bytes.read,
            write_max=change.bytes.write_max,
            pixels=sum(band.pixels for band in (*bands, *values)),
            changed=sum(map(_changed_pixels, bands)) + sum(band.changed for band in values),
            masked=sum(band.masked for band in bands),
            unmasked=sum(band.unmasked for band in bands),
            new=sum(band.pixels for band in values),
            valid=sum(band.changed for band in values),
            different=sum(one.different for one in rehearsed.levels) if rehearsed else 0,
        ),
        by_level=tuple(change.tiles.by_level),
        reasons=tuple(
            ReportedReason(
                code=one.code,
                path=one.path,
                detail=one.detail,
                text=reason_words(one.code, one.path, one.detail),
            )
            for one in change.reasons
        ),
        risks=tuple(
            ReportedRisk(
                code=one.code,
                text=risk_words(one.code),
                path="" if one.path == change.id else one.path,
            )
            for one in change.risks
        ),
        blocked=change.blocked,
        bounds=change.bounds_4326,
        grids=tuple(change.grids),
        differences=tuple(bands),
        values=tuple(values),
        failed_checks=tuple(_failed_checks(change)),
        is_table=change.table is not None,
    )


def _failed_checks(change: ChangeDocument) -> Iterator[str]:
    for check in change.checks:
        if check.status == "failed":
            what = f"{check.kind} of {check.subject}"
            yield f"{what}: {check.found}, expected {check.expected} ({check.severity})"


def _changed_pixels(band: BandDocument) -> int:
    """Return how many pixels differ; `values` of a new band count their masked pixels, too."""
    return band.changed + band.masked + band.unmasked


@lru_cache(maxsize=4096)
def _spec_line(path: str, line: int, links: Links) -> SpecLine:
    return SpecLine(path=links.path(path), line=line, url=links.link(path, line))


def _total(assets: Iterable[ReportedAsset]) -> Work:
    found = [asset.work for asset in assets]
    names = Work.__struct_fields__
    return Work(**{name: sum(getattr(work, name) for work in found) for name in names})


def _risk_groups(assets: Sequence[ReportedAsset], plan: PlanDocument) -> Iterator[RiskGroup]:
    found: dict[str, list[str]] = {}
    texts: dict[str, str] = {}
    for asset in assets:
        for risk in asset.risks:
            texts.setdefault(risk.code, risk.text)
            subject = f"{asset.id}: {risk.path}" if risk.path else asset.id
            found.setdefault(risk.code, []).append(subject)
    for code in sorted(found, key=lambda code: (_ORDER.get(code, len(_ORDER)), code)):
        yield _risk_group(code, texts[code], found[code])
    for rule in sorted(_RISKY_RULES):
        named = [f"{one.path}:{one.line}" for one in plan.warnings if one.rule == rule]
        if named:
            yield _risk_group(rule, "the source is stored with lossy compression", named)
    if plan.undeclared:
        text = "is published, has no spec here, and stays"
        yield _risk_group(UNDECLARED, text, plan.undeclared)


def _risk_group(code: str, text: str, subjects: Sequence[str]) -> RiskGroup:
    named = tuple(dict.fromkeys(subjects))[:EXAMPLES]
    return RiskGroup(code=code, text=text, count=len(subjects), examples=named)


def _groups(assets: Iterable[ReportedAsset]) -> Iterator[Group]:
    """Yield the groups, those with destructive changes and risks first, then by tiles."""
    groups: dict[tuple[str, SpecLine | None], list[ReportedAsset]] = {}
    for asset in assets:
        folder = asset.id.rpartition("/")[0]
        groups.setdefault((folder, asset.declared), []).append(asset)
    for (folder, declared), members in groups.items():
        reasons = dict.fromkeys(_short(reason) for one in members for reason in one.reasons)
        yield Group(
            name=members[0].id if len(members) == 1 else f"{folder}/*".lstrip("/"),
            declared=declared,
            counts=dict(Counter(one.actions[0] for one in members)),
            work=_total(members),
            reasons=tuple(reasons),
            risks=sum(len(one.risks) for one in members),
        )


def _short(reason: ReportedReason) -> str:
    """Return a reason that is the same for similar assets."""
    if reason.code in _OF_SPECS:
        return reason_words(reason.code, "", "")
    if reason.code.startswith("SOURCE_"):
        return f"source {reason_words(reason.code, '', '')}"
    return reason_words(reason.code, reason.path, "")


def _values(assets: Iterable[ReportedAsset]) -> Iterator[ValueChange]:
    """Yield values that changed: those of the most assets first."""
    found: dict[tuple[str, str], list[str]] = {}
    for asset in assets:
        for reason in asset.reasons:
            if reason.is_value:
                found.setdefault((reason.path, reason.detail), []).append(asset.id)
    for (path, detail), ids in sorted(found.items(), key=lambda item: -len(item[1])):
        yield ValueChange(path=path, detail=detail, count=len(ids), example=ids[0])
