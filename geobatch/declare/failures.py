"""Errors of sources, with the asset and the line of the spec file that they are about."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence

from geobatch.declare.files.find import GLOB
from geobatch.declare.spec_set import SpecSet
from geobatch.declare.specs import AssetSpec, Loc, sources_of
from geobatch.errors import CheckError, GeobatchError, PlanError, Problem, SourceError, joined
from geobatch.model.plans.plan import Failure

_QUOTED = re.compile("`([^`]+)`")
"""What a message names."""


def failures_of(specs: SpecSet, errors: Mapping[str, SourceError]) -> tuple[Failure, ...]:
    """Return what is wrong with the sources of some assets, source by source.

    Args:
        specs: Loaded specs.
        errors: What was raised while they were read, by asset id.
    """
    return tuple(
        failure
        for name, first in sorted(errors.items())
        for error in first.every
        for failure in asset_failures(specs.spec(name), error)
    )


def asset_failures(spec: AssetSpec, error: GeobatchError) -> Iterator[Failure]:
    """Yield what an error says of one asset; where that is declared is said by itself."""
    code = error.code.value
    if error.problems:
        for one in error.problems:
            yield Failure(
                id=spec.id,
                code=code,
                message=one.message,
                hint=one.hint,
                path=one.path,
                line=one.line,
                column=one.column,
            )
        return
    path, line, _ = spec.where()
    message = error.message.removeprefix(f"{path}:{line}: `{spec.id}`: ")
    path, line, column = _where(spec, message)
    yield Failure(
        id=spec.id,
        code=code,
        message=message,
        hint=error.hint,
        path=path,
        line=line,
        column=column,
    )


def refusal_of(failures: Sequence[Failure]) -> GeobatchError:
    """Return the error that names every asset which fails, of which there is one at least."""
    is_source = any(failure.code == SourceError.code.value for failure in failures)
    is_check = any(failure.code == CheckError.code.value for failure in failures)
    kind = SourceError if is_source else CheckError if is_check else PlanError
    problems = tuple(map(_problem, failures))
    if len(problems) > 1:
        return joined(kind, problems)
    [only] = problems
    error = kind(f"{only.path}:{only.line}: {only.message}", hint=only.hint)
    error.problems = problems
    return error


def _problem(failure: Failure) -> Problem:
    return Problem(
        path=failure.path,
        line=failure.line,
        column=failure.column,
        rule=failure.code,
        message=f"`{failure.id}`: {failure.message}",
        hint=failure.hint,
    )


def _where(spec: AssetSpec, message: str) -> tuple[str, int, int]:
    """Return the place of the uri that a message is about; of the asset if it names none."""
    names = _QUOTED.findall(message)
    globs: list[Loc] = []
    for loc, source in sources_of(spec):
        for index, uri in enumerate(source.uris):
            whole = spec.uri_prefix + uri
            if whole in names or f"`{whole}#" in message:
                return spec.where(*loc, "uris", index)
            if GLOB.search(whole) and any(fnmatch.fnmatchcase(name, whole) for name in names):
                globs.append((*loc, "uris", index))
    return spec.where(*globs[0]) if globs else spec.where()
