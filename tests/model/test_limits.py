"""Each limit has a row in `docs/limits.md`, and one variable that replaces it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from geobatch.errors import SettingError
from geobatch.model.limits import BLOCK_BYTES, LIMITS, check_variables

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"


def test_the_page_lists_every_limit() -> None:
    rows = re.findall(
        r"^\| (\w+) \| `(\w+)` \| ([\d,]+) (.+?) \| (.+?) \|$",
        PAGE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert rows == [
        (one.name, one.variable, f"{one.default:,}", one.unit, one.guards) for one in LIMITS
    ]


@pytest.mark.parametrize("text", ["1", "999999999999999999"])
def test_a_variable_replaces_the_default(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(BLOCK_BYTES.variable, text)
    assert BLOCK_BYTES.value == int(text)
    check_variables({BLOCK_BYTES.variable: text})
    monkeypatch.setenv(BLOCK_BYTES.variable, "")
    assert BLOCK_BYTES.value == BLOCK_BYTES.default


@pytest.mark.parametrize("text", ["0", "-1", "1e9", "1 GB", "٣", "1" * 19, "9" * 5000, " 5"])
def test_what_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(BLOCK_BYTES.variable, text)
    with pytest.raises(SettingError, match="`GEOBATCH_MAX_BLOCK_BYTES` is `") as one:
        BLOCK_BYTES.value  # noqa: B018 - it raises
    assert len(str(one.value)) < 200
    with pytest.raises(SettingError):
        check_variables({BLOCK_BYTES.variable: text})


def test_a_variable_of_no_limit_is_refused() -> None:
    with pytest.raises(SettingError, match="`GEOBATCH_MAX_BLOCKS` is not a limit"):
        check_variables({"GEOBATCH_MAX_BLOCKS": "5"})
    check_variables({"GEOBATCH_STORE": "x", "PATH": "y"})
