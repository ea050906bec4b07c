"""The pages have one form: decisions are listed, prose is wrapped, links to headings work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks/README.md"])
SECTIONS = ["Context", "Decision", "Evidence", "Alternatives", "Consequences"]
COLUMNS = 120


def outside_of_code(text: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def headings(page: Path) -> list[str]:
    return re.findall(r"^#+ (.*)$", outside_of_code(page.read_text(encoding="utf-8")), re.MULTILINE)


def anchor(heading: str) -> str:
    """Return what GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_no_two_decisions_have_one_number() -> None:
    numbers = [page.name[:3] for page in DECISIONS]
    assert len(numbers) == len(set(numbers)) >= 30


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:3])
def test_a_decision_has_the_form(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(rf"# {page.name[:3]}: \S.*\n\nStatus: (accepted|replaced by)\b", text)
    _, *found = headings(page)
    assert found == [section for section in SECTIONS if section in found]
    assert {"Context", "Decision", "Consequences"} <= set(found)
    assert not re.search(r"^## .*\n+(## |\Z)", text, re.MULTILINE), "an empty section"


def test_every_decision_is_listed_with_its_title() -> None:
    text = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\d+)\]\((\S+)\) \| (.+?) \| \S.* \|$", text, re.MULTILINE)
    assert rows == [(page.name[:3], page.name, headings(page)[0][5:]) for page in DECISIONS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_prose_is_wrapped(page: Path) -> None:
    for line in outside_of_code(page.read_text(encoding="utf-8")).splitlines():
        assert len(line) <= COLUMNS or line.startswith("|"), line


def test_links_to_headings_lead_somewhere() -> None:
    seen = 0
    for page in PAGES:
        text = outside_of_code(page.read_text(encoding="utf-8"))
        for target, name in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", text):
            anchors = [
                anchor(heading) for heading in headings(page.parent / target if target else page)
            ]
            assert name in anchors, f"{page.name} links to `{target}#{name}`"
            seen += 1
    assert seen
