"""A run of a few cases of each test.

`--most-cases 3` keeps three parameter sets of each test function: the first, the last and one
between. Each function runs, so a run on another interpreter passes through all that is tested.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

OPTION = "--most-cases"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        OPTION, type=int, default=0, help="keep at most so many parameter sets of each test"
    )


def spread(count: int, most: int) -> set[int]:
    """Return at most `most` of the numbers below `count`, from the first to the last."""
    if count <= most:
        return set(range(count))
    return {round(number * (count - 1) / max(most - 1, 1)) for number in range(most)}


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_collection_modifyitems(
    items: list[pytest.Item], config: pytest.Config
) -> Iterator[None]:
    """Keep a few of the cases that markers have left."""
    yield
    most = config.getoption(OPTION)
    if most < 1:
        return
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {id(of[at]) for of in cases.values() for at in spread(len(of), most)}
    left = [item for item in items if id(item) not in kept]
    items[:] = [item for item in items if id(item) in kept]
    config.hook.pytest_deselected(items=left)
