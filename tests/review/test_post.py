"""One comment, never a second: over real sockets, with failures and with others at work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comment_server import TOKEN, Site, serving
from plans import change, plan
from shell import geobatch

from geobatch.review.posting.post import marker_of

MARKER = marker_of("plan")
VARIABLES = (
    "GITHUB_ACTIONS", "GITHUB_TOKEN", "GH_TOKEN", "GITHUB_REPOSITORY", "GITHUB_REF",
    "GITHUB_API_URL", "GITHUB_EVENT_PATH", "GITHUB_SHA", "GITLAB_CI", "GITLAB_TOKEN",
    "CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_PROJECT_ID", "CI_MERGE_REQUEST_IID",
    "CI_JOB_TOKEN", "CI_COMMIT_SHA", "http_proxy", "HTTP_PROXY",
)  # fmt: skip


def enter(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables of a pipeline on a site."""
    given = {
        "github": {
            "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": TOKEN, "GITHUB_REPOSITORY": "a/b",
            "GITHUB_REF": "refs/pull/7/merge", "GITHUB_API_URL": site.url,
        },
        "gitlab": {
            "GITLAB_CI": "true", "GITLAB_TOKEN": TOKEN, "CI_API_V4_URL": site.url,
            "CI_PROJECT_ID": "12", "CI_MERGE_REQUEST_IID": "7",
        },
    }[site.kind]  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["github", "gitlab", "workflow"])
def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    Path("c.md").write_text("first", encoding="utf-8")
    is_workflow = request.param == "workflow"
    kind = "github" if is_workflow else request.param
    with serving(Site(kind, user="bot", is_workflow=is_workflow)) as served:
        enter(served, monkeypatch)
        yield served


def run(*more: str) -> Any:
    done = geobatch("review", "post", "c.md", *more)
    assert TOKEN not in done.out + done.err
    return done


def test_a_second_run_updates_the_comment(site: Site) -> None:
    site.add("a person says")
    first = run()
    assert (first.code, first.err) == (0, "")
    assert first.out.startswith("posted comment 2")
    Path("c.md").write_text("second é", encoding="utf-8")
    again = run("--json").record("comment")
    assert (again["id"], again["is_new"]) == (2, False)
    assert site.bodies() == ["a person says", f"{MARKER}\nsecond é"]


def test_the_comment_is_found_behind_many_others(site: Site) -> None:
    for n in range(150):
        site.add(f"{n}", user="someone")["hidden"] = n % 2 == 0
    site.add(f"{MARKER}\nold")
    for n in range(150):
        site.add(f"{n}", user="someone")
    assert run().out.startswith("updated comment 151")
    assert site.bodies().count(f"{MARKER}\nfirst") == 1
    assert len(site.comments) == 301


def test_a_comment_of_a_stranger_is_not_taken(site: Site) -> None:
    theirs = f"{MARKER}\nmerge this"
    site.add(theirs, user="stranger")
    site.add(f"> {MARKER}\nquoted")
    for _ in range(2):
        assert run().code == 0
    assert site.bodies() == [theirs, f"> {MARKER}\nquoted", f"{MARKER}\nfirst"]


def test_comments_of_two_plans_are_two(site: Site) -> None:
    for _ in range(2):
        run("--marker", "a")
        run("--marker", "a.b")
    assert site.bodies() == [f"{marker_of('a')}\nfirst", f"{marker_of('a.b')}\nfirst"]


def test_later_duplicates_are_deleted(site: Site) -> None:
    for n in range(3):
        site.add(f"{MARKER}\n{n}")
    assert run().out.startswith("updated comment 1")
    assert site.bodies() == [f"{MARKER}\nfirst"]


def test_two_pipelines_at_one_time_leave_one_comment(site: Site) -> None:
    def post_first() -> None:
        site.add(f"{MARKER}\nof another pipeline")

    site.on_create = post_first
    assert run().out.startswith("updated comment 1")
    assert site.bodies() == [f"{MARKER}\nfirst"]


@pytest.mark.parametrize("failure", [429, 500, 502, 503])
@pytest.mark.parametrize("at", range(4))
def test_a_busy_server_is_asked_again(site: Site, failure: int, at: int) -> None:
    site.failures = [None] * at + [failure, failure]
    assert run().code == 0
    assert site.bodies() == [f"{MARKER}\nfirst"]


def test_a_lost_answer_makes_no_second_comment(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    site.failures = [None, None, "drop"]  # the answer to POST
    done = run()
    assert done.code == 0, done.err
    assert site.bodies() == [f"{MARKER}\nfirst"]


def test_requests_are_bounded(site: Site) -> None:
    site.failures = [503] * 99
    done = run()
    assert done.code == 1
    assert "answered 503: as asked" in done.err
    assert len(site.requests) == 4


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (302, "redirects elsewhere"),
        (401, "the token is not valid"),
        (422, "answered 422: as asked"),
    ],
)
def test_a_refusal_is_an_error_with_a_hint(site: Site, failure: int, message: str) -> None:
    site.failures = [failure]
    done = run()
    assert done.code == 1
    assert message in done.err
    assert len(site.requests) == 1


def test_a_wrong_token_is_not_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("wrong-value-9", "wrong\nvalue-9", "wrong value-9", "wröng-value-9"):
        for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
            monkeypatch.setenv(name, value)
        done = geobatch("review", "post", "c.md", "-v", "--json")
        assert done.code in {1, 64}
        assert "value-9" not in done.out + done.err
    assert site.comments == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("GITHUB_TOKEN", "`GITHUB_TOKEN` is not set"),
        ("GITHUB_REPOSITORY", "`GITHUB_REPOSITORY` is not set"),
        ("GITHUB_REF", "no pull request is named"),
        ("GITLAB_TOKEN", "`GITLAB_TOKEN` is not set; `CI_JOB_TOKEN` may not write comments"),
        ("CI_PROJECT_ID", "`CI_API_V4_URL` or `CI_PROJECT_ID` is not set"),
        ("CI_MERGE_REQUEST_IID", "no merge request is named"),
    ],
)
def test_a_missing_variable_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "job")
    monkeypatch.delenv(name, raising=False)
    is_other = name.startswith("GITHUB") != (site.kind == "github")
    done = run()
    assert done.code == (0 if is_other else 64)
    assert is_other or message in done.err
    assert is_other or "hint:" in done.err
    assert site.requests == [] or is_other


def test_the_number_comes_from_an_option_or_the_event(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GITHUB_REF", "CI_MERGE_REQUEST_IID"):
        monkeypatch.delenv(name, raising=False)
    assert run("--number", "7").code == 0
    if site.kind == "github":
        Path("event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
        monkeypatch.setenv("GITHUB_EVENT_PATH", "event.json")
        assert run().code == 0
    assert len(site.comments) == 1


def test_no_pipeline_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    Path("c.md").write_text("x")
    done = run()
    assert (done.code, "--provider" in done.err) == (64, True)


@pytest.mark.parametrize("url", ["file:///etc", "http://me:word@x.test", "https://"])
def test_an_api_that_is_no_url_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name in ("GITHUB_API_URL", "CI_API_V4_URL"):
        monkeypatch.setenv(name, url)
    done = run()
    assert done.code == 64
    assert "word" not in done.err.replace("password", "")


def test_a_server_that_is_gone_is_an_error(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    for name in ("GITHUB_API_URL", "CI_API_V4_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    done = run()
    assert done.code == 1
    assert "got no answer" in done.err


def test_a_plan_is_posted_as_markdown(site: Site) -> None:
    Path("c.md").write_text(json.dumps(plan(change("a/b"))))
    assert run().code == 0
    (body,) = site.bodies()
    assert body.startswith(f"{MARKER}\n## geobatch plan `01234567` updates 1 asset\n")


def test_what_cannot_be_posted_is_refused(site: Site) -> None:
    Path("c.md").write_text(" \n")
    assert (run().code, site.requests) == (64, [])
    assert geobatch("review", "post", "gone.md").code == 64
    assert run("--marker", "a --> b").code == 64
    Path("c.md").write_text("x" * 1_000_001)
    assert "expected at most" in run().err
    assert site.comments == []


def test_the_token_is_in_one_header_only(site: Site) -> None:
    run()
    for headers in site.headers:
        name = "PRIVATE-TOKEN" if site.kind == "gitlab" else "Authorization"
        found = [key for key, value in headers.items() if TOKEN in value]
        assert [key.lower() for key in found] == [name.lower()]
