"""Resolves as much as possible when some sources fail."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.declare.failures import asset_failures, refusal_of
from geobatch.errors import GeobatchError, PlanError, SourceError, SpecError
from geobatch.model.assets.asset import Resolution
from geobatch.model.plans.plan import Failure


def salvage(
    specs: SpecSet, resolve: Callable[[SpecSet], Resolution]
) -> tuple[Resolution, tuple[Failure, ...]]:
    """Return the resolution of the specs with good sources, and the errors of the others.

    Specs among which one fails are resolved again in two halves, so that few failures among many
    specs cost little; what was probed is in the cache by then.

    Args:
        specs: Loaded specs; their sources need not exist.
        resolve: Resolves some of them, or raises.

    Raises:
        SpecError: A spec is wrong in itself.
    """
    try:
        return resolve(specs), ()
    except (SourceError, PlanError, SpecError) as error:
        if not is_of_sources(error):
            raise
        if len(specs.specs) == 1:
            return Resolution(assets=()), tuple(asset_failures(specs.specs[0], error))
    half = len(specs.specs) // 2
    first, first_failures = salvage(SpecSet(specs=specs.specs[:half]), resolve)
    second, second_failures = salvage(SpecSet(specs=specs.specs[half:]), resolve)
    joined = replace(
        first,
        assets=(*first.assets, *second.assets),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
        files=first.files | second.files,
        by_image={**first.by_image, **second.by_image},
        beside=first.beside | second.beside,
        sources_hashed=first.sources_hashed + second.sources_hashed,
        sources_by_stat=first.sources_by_stat + second.sources_by_stat,
    )
    return joined, (*first_failures, *second_failures)


def refuse_all(
    specs: SpecSet, resolve: Callable[[SpecSet], Resolution], error: GeobatchError
) -> GeobatchError:
    """Return the error that names every asset that cannot be resolved, after the first was found.

    Args:
        specs: Loaded specs.
        resolve: Resolves some of them, or raises.
        error: What it has raised for all of them.
    """
    if not is_of_sources(error) or isinstance(error, SpecError):
        return error
    _, failures = salvage(specs, resolve)
    return refusal_of(failures) if failures else error


def is_of_sources(error: GeobatchError) -> bool:
    """Return whether an error is about one asset's sources, and leaves other assets as they are."""
    if isinstance(error, SpecError):
        return all(problem.rule == "missing-file" for problem in error.problems)
    return isinstance(error, SourceError | PlanError)
