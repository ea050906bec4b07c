"""The comment on a pull request: short, harmless, and the answer is on the first screen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from plans import change, plan, report

from geobatch.review.links import Links
from geobatch.review.markdown import MOST_CHARACTERS, markdown
from geobatch.review.text import text_lines
from geobatch.review.visible import code_html, code_span, visible

PARSER = MarkdownIt("gfm-like", {"html": True})
OURS = {"<details>", "</details>", "<br>", "<code>", "</code>", "<summary>", "</summary>"}


def tokens(text: str) -> Iterator[Token]:
    """Yield all tokens, those inside of others too."""
    for token in PARSER.parse(text):
        yield token
        yield from token.children or ()


def tags(text: str) -> set[str]:
    """Return the tags of raw HTML."""
    raw = "".join(one.content for one in tokens(text) if one.type in {"html_block", "html_inline"})
    return set(re.findall(r"<[^>]*>?", raw))


def prose(text: str) -> str:
    """Return the text in which a site would search for mentions: what is not code."""
    shown = [one.content for one in tokens(text) if one.type == "text"]
    raw = [one.content for one in tokens(text) if one.type == "html_block"]
    return " ".join([*shown, *(re.sub(r"<code>.*?</code>", "", one) for one in raw)])


HOSTILE = (
    "@octocat", "`@octocat", "``` @octocat", "a|@octocat|b", "\\|@octocat", "\\\\|@octocat",
    "![x](http://x.test/i.png)", "[x](http://x.test)", "<img src=http://x.test/i.png>",
    "</details><h1>@octocat", "</code>@octocat", "&lt;img&gt;@octocat", "http://x.test @octocat",
    "www.x.test", "me@x.test", "#1 !1 @octocat", "\n\n# @octocat\n/close", "a\r\n/close\n@octocat",
    "\u202e@octocat", "\x1b[31m@octocat", "]( @octocat", "`` ` @octocat ` ``", " @octocat ", "`",
    "```", "\\", "|", "", " ", "--- @octocat", "<!-- @octocat", "$@octocat$", ":tada: @octocat",
    "\ud800@octocat", "</summary>@octocat", "a</summary><script>@octocat",
)  # fmt: skip


def hostile_report(text: str) -> str:
    """Return a report of a plan that has a text wherever a foreign text can be."""
    band = {"band": text, "pixels": 9, "changed": 2, "masked": 1}
    reasons = [{"code": "POLICY_CHANGED", "path": text, "detail": f"{text} -> {text}"},
               {"code": text, "path": "", "detail": text}]  # fmt: skip
    one = change(
        text,
        reasons=reasons,
        risks=[{"code": "CLASSES_AVERAGED", "path": text}, {"code": text, "path": text}],
        declared={"path": text, "line": 1},
        previous_id=text,
        checks=[
            {
                "index": 0,
                "kind": text,
                "severity": text,
                "subject": text,
                "expected": text,
                "status": "failed",
                "found": text,
            }
        ],
        blocked=text,
        rehearsed={"levels": [], "bands": [band], "values": [band]},
    )
    warning = {"path": text, "line": 1, "rule": "lossy-source", "message": text, "hint": text}
    document = plan(
        one, one | {"id": f"{text}/x"}, refusals=[text], warnings=[warning], undeclared=[text],
        rehearsal={"id": text, "content_root": text, "expires": text},
    )  # fmt: skip
    return markdown(report(document, Links(base="https://git.test/a/b/blob/c", folder="/w")))


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_neither_markup_nor_mention(text: str) -> None:
    comment = hostile_report(text)
    assert tags(comment) <= OURS
    assert not re.search(r"@octocat|x\.test", prose(comment))
    for one in tokens(comment):
        assert one.type != "image"
        if one.type == "link_open":
            assert str(one.attrs["href"]).startswith("https://git.test/a/b/blob/c/")
    assert not re.search(r"^\s*/", comment, re.MULTILINE)  # a command of GitLab
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e\ud800-\udfff]", comment)


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
def test_foreign_text_changes_no_structure(text: str) -> None:
    def shape(comment: str) -> list[str]:
        return [one.type for one in tokens(comment) if one.type[:4] not in {"text", "link"}]

    assert shape(hostile_report(text)) == shape(hostile_report("harmless"))


texts = st.text(st.one_of(st.sampled_from("`|\\@<>[]()!*_~#&;\n \t$:/"), st.characters()))


@given(texts)
@example("`")
def test_a_code_span_shows_the_text(text: str) -> None:
    shown = visible(text, 160) or " "
    (inline,) = [one for one in PARSER.parse(f"x {code_span(text)}.") if one.type == "inline"]
    assert [one.type for one in inline.children or ()] == ["text", "code_inline", "text"]
    # One space on both sides is removed where the text has some itself.
    assert (inline.children or [])[1].content.strip() == shown.strip()


@given(texts)
def test_a_code_span_is_one_cell(text: str) -> None:
    table = f"| a | b |\n| --- | --- |\n| {code_span(text, is_cell=True)} | @x |\n"
    cells = [one for one in PARSER.parse(table) if one.type == "inline"]
    assert [cell.content for cell in cells[:2]] == ["a", "b"]
    assert cells[3].content == "@x"
    assert [one.type for one in cells[2].children or ()] == ["code_inline"]


@given(texts)
def test_html_of_a_text_is_one_element(text: str) -> None:
    html = code_html(text)
    assert html.count("<") == html.count(">") == 2
    assert not re.search(r"[\n\x00]", html)


@pytest.mark.parametrize("count", [0, 1, 31, 5_000])
@pytest.mark.parametrize("text", ["asset", "@" + "x" * 500, "|`" * 100])
def test_a_comment_is_short_whatever_the_plan(count: int, text: str) -> None:
    changes = [
        change(
            f"f{n % 977}/{n}{text}",
            declared={"path": f"{n % 1999}{text}", "line": n},
            reasons=[{"code": "SOURCE_CHANGED", "path": f"{n}{text}", "detail": f"{n} -> {text}"}],
            risks=[{"code": f"R{n % 300}{text}", "path": f"{n}{text}"}],
        )
        for n in range(count)
    ]
    names = [f"{n}{text}" for n in range(count)]
    comment = markdown(report(plan(*changes, refusals=names, undeclared=names)))
    assert len(comment) < MOST_CHARACTERS
    assert f"updates {count:,} asset" in comment or not count
    assert comment.count("<details>") == comment.count("</details>") <= count


def test_a_comment_is_short_for_100_000_assets() -> None:
    changes = [change(f"a/{n % 100}/{n}", "create") for n in range(100_000)]
    comment = markdown(report(plan(*changes)))
    assert 40_000 < len(comment) < MOST_CHARACTERS
    assert "creates 100,000 assets" in comment.splitlines()[0]
    assert "more assets without details here" in comment


def test_the_first_screen_says_what_where_how_much_and_how_risky() -> None:
    band = {"band": "b", "pixels": 1000, "changed": 20, "masked": 4, "unmasked": 1,
            "reweighted": 3, "minimum": -1.5, "maximum": 2.0, "mean": 0.25}  # fmt: skip
    document = plan(
        change("a/b", bounds_4326=[12.0, 47.0, 12.5, 47.25], rehearsed={
            "levels": [{"level": 0, "tiles": 4, "different": 1}], "bands": [band]
        }),
        change(
            "a/gone", "delete", declared=None, risks=[{"code": "ASSET_DELETED", "path": "a/gone"}]
        ),
        rehearsal={"id": "r", "content_root": "abc123", "expires": "2026-12-14T00:00:00Z"},
    )  # fmt: skip
    comment = markdown(report(document))
    first = "\n".join(comment.splitlines()[:12])
    assert "updates 1 asset, deletes 1" in first
    assert "25 pixels changed (2.50 %): 20 in value, 4 masked now, 1 no longer masked" in first
    assert "12.00° E to 12.50° E, 47.00° N to 47.25° N" in first
    assert "1 risk to check" in first
    assert "**is deleted: readers no longer find it**: `a/gone`" in first
    assert "abc123" in comment
    # What is lost is the first detail.
    assert comment.index("<summary><code>a/gone") < comment.index("<summary><code>a/b")
    assert "| `b` | 20 (2.00 %) | 4 | 1 | 3 | -1.5 | 0.25 | 2 |" in comment
    assert next(text_lines(report(document))) == "geobatch plan 01234567 updates 1 asset, deletes 1"


def test_assets_of_one_spec_are_one_row() -> None:
    changes = [change(f"tiles/{n}", "create") for n in range(2000)]
    other = change("tiles/x", declared={"path": "specs/other.yaml", "line": 9})
    comment = markdown(report(plan(*changes, other), Links(base="https://git.test/blob/c")))
    rows = [line for line in comment.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert "| `tiles/*` | [`specs/a.yaml#L3`](<https://git.test/blob/c/specs/a.yaml#L3>)" in comment
    assert "2,000 create" in rows[0]


def test_values_that_changed_are_listed_once() -> None:
    reasons: list[Any] = [
        {"code": "PROPERTIES_CHANGED", "path": "properties.v", "detail": "1 -> 2"}
    ]
    changes = [change(f"a/{n}", reasons=reasons) for n in range(7)]
    comment = markdown(report(plan(*changes)))
    assert "- `properties.v`: `1 -> 2` in `a/0` and 6 other assets" in comment


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("specs/a b.yaml", "https://git.test/c/specs/a%20b.yaml#L7"),
        ("./specs/a.yaml", "https://git.test/c/specs/a.yaml#L7"),
        ("/w/specs/a.yaml", "https://git.test/c/specs/a.yaml#L7"),
        ("../a.yaml", ""),
        ("/elsewhere/a.yaml", ""),
        ("a>)(b.yaml", "https://git.test/c/a%3E%29%28b.yaml#L7"),
        ("", ""),
    ],
)
def test_links_lead_to_lines_of_files_inside(path: str, url: str) -> None:
    assert Links(base="https://git.test/c", folder="/w").link(path, 7) == url


def test_a_new_band_counts_its_valid_pixels() -> None:
    band = {"band": "b", "pixels": 100, "changed": 40, "masked": 60, "minimum": 1, "maximum": 9}
    document = plan(change("a", "create", rehearsed={"levels": [], "values": [band]}))
    comment = markdown(report(document))
    assert "40 new pixels (40.0 % valid)" in comment
    assert "changed (" not in comment
    assert "| `b` | 40 valid |" in comment


@pytest.mark.parametrize(
    ("counts", "different", "fact"),
    [
        ({"changed": 5}, 1, "5 pixels changed (5.00 %) "),
        ({"masked": 5, "unmasked": 2}, 1, "7 pixels changed (7.00 %): 5 masked now, 2 no longer"),
        ({}, 3, "no pixel of full resolution changed"),
        ({}, 0, "no pixel changed"),
        ({"reweighted": 4}, 1, "no pixel of full resolution changed"),
    ],
)
def test_the_headline_says_how_pixels_change(
    counts: dict[str, int], different: int, fact: str
) -> None:
    band = {"band": "b", "pixels": 100, **counts}
    levels = [{"level": 1, "tiles": 4, "different": different}]
    document = plan(change("a", rehearsed={"levels": levels, "bands": [band]}))
    facts = next(line for line in markdown(report(document)).splitlines() if " · " in line)
    assert fact in facts


def test_a_deletion_has_no_counts_of_what_is_computed() -> None:
    tiles = {"compute": 0, "total": 0, "add": 0, "change": 0, "remove": 3, "unchanged": 0}
    gone = change("a", "delete", declared=None, tiles={**tiles, "by_level": []})
    gone["bytes"] = {"read": 0, "write_max": 0}
    comment = markdown(report(plan(gone)))
    facts = next(line for line in comment.splitlines() if " · " in line)
    assert facts == "3 tiles removed · 5 assets unchanged"
    assert " 0 B" not in comment
    assert "0 of 0" not in comment


def test_a_sample_is_no_exact_number() -> None:
    sample = {"share": 0.05, "regions": 1, "of": 20, "bound": "`@octocat`"}
    rehearsal = {"id": "x", "content_root": None, "expires": None, "sample": sample}
    comment = markdown(report(plan(change("a"), rehearsal=rehearsal)))
    assert "on a sample of 5.00 % of the regions" in comment
    assert "Content root" not in comment


def test_checks_that_fail_are_shown() -> None:
    check = {"index": 0, "kind": "crs", "severity": "warn", "subject": "b", "expected": "EPSG:1"}
    checks = [{**check, "status": "passed"}, {**check, "status": "failed", "found": "EPSG:2"}]
    comment = markdown(report(plan(change("a", checks=checks))))
    assert comment.count("check fails") == 1
    assert "**check fails**: `crs of b: EPSG:2, expected EPSG:1 (warn)`" in comment
