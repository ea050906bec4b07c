"""The command `review`: its forms, its files, its errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from plans import change, plan
from shell import geobatch
from workbench import Workbench, image, write_tiff


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """A store with two images, and a saved plan that changes, creates and deletes one each."""
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_SHA", "CI_COMMIT_SHA"):
        monkeypatch.delenv(name, raising=False)
    bench = Workbench(folder=tmp_path)
    for number, name in enumerate("abc"):
        pixels = np.random.default_rng(number).integers(1, 255, (300, 280)).astype(np.uint8)
        write_tiff(tmp_path / f"{name}.tif", [pixels], nodata=0)
    bench.apply(image("x/a", "a.tif"), image("x/b", "b.tif"))
    bench.write_spec([image("x/a", "a.tif", pyramiding_policy="MIN"), image("x/c", "c.tif")])
    assert geobatch("plan", "spec.yaml", "--prune", "--max-delete", "9", "-o", "p.json").code == 0
    return bench


def test_text_markdown_and_json_are_printed(bench: Workbench) -> None:
    text = geobatch("review", "p.json")
    assert (text.code, text.err) == (0, "")
    assert "creates 1 asset, updates 1, deletes 1" in text.out
    assert "is deleted: readers no longer find it: x/b" in text.out
    assert "MEAN -> MIN" in text.out
    comment = geobatch("review", "p.json", "--format", "markdown").out
    assert "`spec.yaml#L1`" in comment
    assert "MEAN -> MIN" in comment
    url = "https://git.test/c"
    linked = geobatch("review", "p.json", "--format", "markdown", "--base-url", url).out
    assert f"[`spec.yaml#L1`](<{url}/spec.yaml#L1>)" in linked
    document = json.loads(geobatch("review", "p.json", "--format", "json").out)
    assert document["counts"]["delete"] == 1
    record = geobatch("review", "p.json", "--json").record("review")
    assert {**document, "type": "review"} == record


def test_links_come_from_the_pipeline(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "GITHUB_SERVER_URL": "https://git.test",
        "GITHUB_REPOSITORY": "a/b",
        "GITHUB_SHA": "0123456789abcdef",
        "GITHUB_WORKSPACE": str(bench.folder.parent),
    }.items():
        monkeypatch.setenv(name, value)
    comment = geobatch("review", "p.json", "--format", "markdown").out
    link = f"https://git.test/a/b/blob/0123456789abcdef/{bench.folder.name}/spec.yaml#L1"
    assert f"](<{link}>)" in comment


def test_files_are_written_to_a_folder(bench: Workbench) -> None:
    assert geobatch("review", "p.json", "-o", "out/x").code == 0
    comment = geobatch("review", "p.json", "--format", "markdown").out
    assert Path("out/x/review.md").read_text(encoding="utf-8") == comment
    assert json.loads(Path("out/x/review.json").read_text())["counts"]["update"] == 1


def test_a_report_needs_no_store(bench: Workbench) -> None:
    before = geobatch("review", "p.json", "--format", "markdown")
    after = geobatch("review", "p.json", "--format", "markdown", "--store", "nowhere")
    assert before == after


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, 1, "`q.json` does not exist"),
        ("id: a\n", 1, "`q.json` is not a saved plan"),
        ("{}", 1, "`q.json` is not a saved plan"),
        (json.dumps(plan(format_version="9.0")), 12, "has format version `9.0`"),
        (json.dumps(plan(change("a", declared={"path": "a"}))), 1, "not a complete plan"),
        (json.dumps(plan(change("a", bounds_4326=[0, 0, 1, float("nan")]))), 1, "not a complete"),
        (json.dumps(plan(change("a", "explode"))), 1, "not a complete plan"),
    ],
)
def test_what_is_no_plan_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, code: int, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("q.json").write_text(content)
    done = geobatch("review", "q.json")
    assert done.code == code
    assert message in done.err
    assert "hint:" in done.err


def test_a_base_that_is_no_url_is_refused(bench: Workbench) -> None:
    for url in ("git.test", "javascript://x/y", "https://x/<y>", "https://"):
        done = geobatch("review", "p.json", "--base-url", url)
        assert (done.code, "--base-url" in done.err) == (64, True)
