"""Resolves as much as possible when some sources fail."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from geobatch.errors import GeobatchError, PlanError, Problem, SourceError, SpecError, joined
from geobatch.model.asset import Resolution
from geobatch.model.plan import Failure
from geobatch.spec import ImageSpec, SpecSet


def salvage(
    specs: SpecSet, resolve: Callable[[SpecSet], Resolution]
) -> tuple[Resolution, tuple[Failure, ...]]:
    """Return the resolution of the specs with good sources, and the errors of the others.

    Specs among which one fails are resolved again in two halves, so that few failures among many
    specs cost little; what was looked at is known to the cache by then.

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
            return Resolution(assets=()), (_failure(specs.specs[0], error),)
    half = len(specs.specs) // 2
    first, first_failures = salvage(SpecSet(specs=specs.specs[:half]), resolve)
    second, second_failures = salvage(SpecSet(specs=specs.specs[half:]), resolve)
    joined = replace(
        first,
        assets=(*first.assets, *second.assets),
        warnings=tuple(dict.fromkeys((*first.warnings, *second.warnings))),
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
    by_id = {spec.id: spec for spec in specs.specs}
    problems = tuple(_problem(by_id[failure.id], failure) for failure in failures)
    if len(problems) < 2:
        return _placed(error, problems)
    is_source = any(failure.code == SourceError.code.value for failure in failures)
    return joined(SourceError if is_source else PlanError, problems)


def _placed(error: GeobatchError, problems: tuple[Problem, ...]) -> GeobatchError:
    """Return the error of the only asset that fails, with the place where it is declared."""
    for problem in problems:
        where = f"{problem.path}:{problem.line}: "
        if not error.message.startswith(where):
            return type(error)(f"{where}{problem.message}", hint=error.hint)
    return error


def _failure(spec: ImageSpec, error: GeobatchError) -> Failure:
    """Return what is wrong with one asset; its position is a separate field."""
    path, line, _ = spec.where()
    message = error.message.removeprefix(f"{path}:{line}: `{spec.id}`: ")
    return Failure(id=spec.id, code=error.code.value, message=message, hint=error.hint)


def _problem(spec: ImageSpec, failure: Failure) -> Problem:
    path, line, column = _where(spec, failure.message)
    return Problem(
        path=path,
        line=line,
        column=column,
        rule=failure.code,
        message=f"`{spec.id}`: {failure.message}",
        hint=failure.hint,
    )


def _where(spec: ImageSpec, message: str) -> tuple[str, int, int]:
    """Return the position of the uri that a message names; else that of the asset."""
    for number, tileset in enumerate(spec.tilesets):
        for position, source in enumerate(tileset.sources):
            for index, uri in enumerate(source.uris):
                if f"`{uri}" in message:
                    return spec.where("tilesets", number, "sources", position, "uris", index)
    return spec.where()


def is_of_sources(error: GeobatchError) -> bool:
    """Return whether an error is about one asset's sources, and leaves other assets as they are."""
    if isinstance(error, SpecError):
        return all(problem.rule == "missing-file" for problem in error.problems)
    return isinstance(error, SourceError | PlanError)
