"""Tables on the command line: every command says something sensible of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from shell import Done, geobatch
from table_workbench import Row, floats, longs, texts, view, write_spec, write_split

ROWS: list[Row] = [
    {"longitude": floats(10 + n), "latitude": floats(45), "class": longs(n), "name": texts("é")}
    for n in range(5)
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_spec(tmp_path, more="properties: {title: one}\nstart_time: 2025-01-01\n")
    write_split(tmp_path, ROWS, [3])
    return tmp_path


def run(folder: Path, *argv: str | Path) -> Done:
    return geobatch("--store", folder / "store", *argv)


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "table.yaml"
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))


def test_a_table_from_its_plan_to_its_end(folder: Path) -> None:
    spec = folder / "table.yaml"
    assert "table.yaml" not in run(folder, "validate", spec).err
    made = run(folder, "plan", spec).out
    assert "+ t/rows  table, " in made
    assert "to read  create" in made
    planned = run(folder, "--json", "plan", spec).record("plan")["asset_changes"][0]
    assert planned["table"] == {"is_read": True, "rows": None}
    assert planned["bytes"]["read"] == sum(path.stat().st_size for path in folder.glob("rows-*"))
    applied = run(folder, "--json", "apply", spec)
    assert applied.code == 0
    assert applied.record("summary")["rows"] == {"read": 5}
    assert "Nothing to do" in run(folder, "apply", spec).out
    assert "up to date" in run(folder, "status", spec).out
    assert run(folder, "-q", "ls").out.split()[:6] == [
        "t/rows",
        "table",
        "5",
        "rows",
        "4",
        "columns",
    ]
    about = run(folder, "--json", "info", "t/rows").record("asset")
    assert about["rows"] == 5
    assert about["columns"][0] == {"name": "class", "type": "int64", "is_array": False}
    assert about["geometry"]["bounds"] == [10.0, 45.0, 14.0, 45.0]
    assert "float32" in run(folder, "info", "t/rows").out
    assert json.loads(run(folder, "show", "t/rows").out)["visible"]["kind"] == "table"
    assert "1 asset" in run(folder, "log").out
    assert "t/rows" in run(folder, "ls", "--bounds", "11,40,12,50").out
    assert "t/rows" not in run(folder, "ls", "--bounds", "0,40,9,50").out
    assert "t/rows" in run(folder, "ls", "--property", "title=one", "--since", "2025-01-01").out


def test_metadata_alone_reads_no_row(folder: Path) -> None:
    spec = folder / "table.yaml"
    run(folder, "apply", spec)
    before = view(folder).stat().st_ino
    edit(folder, "title: one", "title: two")
    for path in folder.glob("rows-*"):
        path.touch()
    said = run(folder, "plan", spec).out
    assert "~ t/rows  5 rows kept  update" in said
    assert "properties.title one -> two" in said
    summary = run(folder, "--json", "apply", spec).record("summary")
    assert "rows" not in summary
    assert summary["bytes"] == {"read": 0, "written": 0}
    assert view(folder).stat().st_ino == before
    assert "5 rows  changed" in run(folder, "diff", "HEAD~1").out


def test_a_change_is_explained(folder: Path) -> None:
    spec = folder / "table.yaml"
    run(folder, "apply", spec)
    write_split(folder, [*ROWS, {"class": longs(9), "more": floats(1)}], [3])
    status = run(folder, "--json", "status", spec).record("status")
    assert status["sources"]["changed"] == ["rows-00001.tfrecord.gz"]
    why = run(folder, "--json", "why", "t/rows", spec).record("why")["table"]
    assert why["since"]["number"] == 1
    assert why["next"]["verdict"] == "read_anew"
    run(folder, "apply", spec)
    said = run(folder, "diff", "HEAD~1", "--stats", "--tiles").out
    assert "5 -> 6 rows" in said
    assert "rows-00001.tfrecord.gz changed" in said
    assert "columns  + more" in said
    assert "columns  ~ class" in said
    diff = run(folder, "--json", "diff", "t/rows@1", "t/rows").record("diff")["assets"][0]["table"]
    assert diff["rows"] == [5, 6]
    assert "rows-00001.tfrecord.gz changed" in run(folder, "why", "t/rows").out
    refused = run(folder, "why", "t/rows", "--tile", "0/0/0")
    assert (refused.code, "neither tiles nor bands" in refused.err) == (1, True)


def test_selection_saved_plans_protection_and_pruning(folder: Path) -> None:
    spec = folder / "table.yaml"
    other = folder / "other.yaml"
    other.write_text(spec.read_text().replace("t/rows", "t/other"))
    saved = folder / "saved.plan"
    assert run(folder, "plan", spec, other, "--select", "t/ro*", "-o", saved).code == 0
    assert run(folder, "apply", saved).code == 0
    assert run(folder, "-q", "ls").out.split()[0] == "t/rows"
    edit(folder, "title: one", "title: two")
    stale = run(folder, "apply", saved)
    assert (stale.code, "stale" in stale.err) == (4, True)
    with spec.open("a") as stream:
        stream.write("lifecycle: {protect: true}\n")
    assert run(folder, "apply", spec, other).code == 0
    assert "5 rows read" not in run(folder, "apply", spec).out
    again = run(folder, "apply", spec, "--replace", "t/rows").out
    assert "is computed again" in again
    spec.unlink()
    blocked = run(folder, "apply", folder, "--prune", "--max-delete", "1")
    assert blocked.code == 5
    assert "protected" in blocked.err
    other.write_text(other.read_text().replace("t/other", "t/third"))
    assert run(folder, "apply", other, "--prune", "--max-delete", "1").code == 0
    assert not view(folder, "t/other").exists()
    assert view(folder, "t/third").exists()


def test_what_fails_leaves_the_others(folder: Path) -> None:
    other = folder / "other.yaml"
    other.write_text("kind: table\nid: t/other\nsources: [{uris: [bad.tfrecord]}]\n")
    (folder / "bad.tfrecord").write_text("no records")
    alone = run(folder, "apply", folder / "table.yaml", other)
    assert (alone.code, "bad.tfrecord" in alone.err) == (7, True)
    done = run(folder, "apply", folder / "table.yaml", other, "--keep-going")
    assert done.code == 3
    assert "t/rows" in run(folder, "ls").out
    assert "t/other" not in run(folder, "ls").out
