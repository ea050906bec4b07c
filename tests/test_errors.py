"""The exception tree is pinned, and every error keeps all that it says through a pickle."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest

from geobatch.cli.exits import exit_code
from geobatch.errors import Code, GeobatchError, Problem, SpecError

TREE = """\
GeobatchError internal 1
  CheckError check 9
  ExecutionError execution 1
    InterruptedRunError interrupted 130
  ExportError export 1
  InternalError internal 1
  PlanError plan 1
    ProtectedError protected 5
    StalePlanError stale_plan 4
  PostError post 1
  SettingError setting 64
  SourceError source 7
  SpecError spec 1
  StoreError store 1
    ConflictError conflict 4
    CorruptObjectError corrupt 6
    FormatError format 12
    LockedError locked 11
    NoStoreError no_store 10
    NotDurableError not_durable 1
    NotFoundError not_found 1
"""
"""Name, code, exit code."""
PROBLEMS = (
    Problem(path="a.yaml", line=3, column=7, rule="unknown-key", message="no key `x`", hint="`y`?"),
    Problem(path="b.yaml", line=1, column=1, rule="empty-file", message="nothing"),
)


def below(kind: type[GeobatchError]) -> Iterator[type[GeobatchError]]:
    yield kind
    # Errors without a name of a source are caught where the source is known.
    public = [child for child in kind.__subclasses__() if child.__module__ == "geobatch.errors"]
    for child in sorted(public, key=lambda child: child.__name__):
        yield from below(child)


def make(kind: type[GeobatchError]) -> GeobatchError:
    if issubclass(kind, SpecError):
        return kind(PROBLEMS)
    return kind("`a.tif`: got 3, expected 4", hint="write 4")


def test_the_tree_is_as_drawn() -> None:
    drawn = ""
    for kind in below(GeobatchError):
        indent = "  " * (len(kind.__mro__) - len(GeobatchError.__mro__))
        drawn += f"{indent}{kind.__name__} {kind.code.value} {exit_code(make(kind))}\n"
    assert drawn == TREE


def test_every_code_is_the_code_of_an_error() -> None:
    assert {kind.code for kind in below(GeobatchError)} == set(Code)


@pytest.mark.parametrize("kind", list(below(GeobatchError)), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_pickles_whole(kind: type[GeobatchError], protocol: int) -> None:
    error = make(kind).with_hint("look again")
    error.add_note("while tests ran")
    for found in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(found) is kind
        assert str(found) == str(error) == found.message
        assert found.args == error.args
        assert found.hint == "look again"
        assert found.__notes__ == ["while tests ran"]
        assert found.problems == (PROBLEMS if kind is SpecError else ())


def test_a_spec_error_says_every_problem_with_its_place() -> None:
    assert str(SpecError(PROBLEMS)).splitlines() == [
        "a.yaml:3:7: unknown-key: no key `x`",
        "    hint: `y`?",
        "b.yaml:1:1: empty-file: nothing",
    ]


def test_problems_sort_by_place() -> None:
    assert sorted([PROBLEMS[1], PROBLEMS[0]]) == list(PROBLEMS)
