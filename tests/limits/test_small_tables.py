"""A CSV table of short rows or of empty cells takes fifty times its bytes: rows and cells count."""

from __future__ import annotations

from pathlib import Path

import pytest
from measured import run

from geobatch.declare.collections.csv_rows import RowsError, read_rows
from geobatch.declare.projects.project import Location

SPEC = """\
kind: image_collection
id: c
for_each:
  files: '*.tif'
  csv: {path: t.csv}
image: {id: '{stem}'}
"""


@pytest.mark.parametrize(
    ("text", "variable"),
    [("file\n" + "\n".join("abcdefghij"), "ROWS"), ("file,a\nx,y\n" + "," * 40, "CELLS")],
)
def test_what_is_too_much_is_refused_and_can_be_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, variable: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    path = Location("t.csv", tmp_path, "t.csv")
    monkeypatch.setenv(f"GEOBATCH_MAX_CSV_{variable}", "10")
    with pytest.raises(RowsError, match=f"more than 10 {variable.lower()}") as one:
        read_rows(path, uri="t.csv", key="file")
    assert one.value.rule == "too-large"
    assert f"`GEOBATCH_MAX_CSV_{variable}=100`" in str(one.value.hint)
    monkeypatch.setenv(f"GEOBATCH_MAX_CSV_{variable}", "100")
    if variable == "ROWS":
        assert len(read_rows(path, uri="t.csv", key="file").rows) == 10


def test_a_row_of_empty_cells_takes_little_memory(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,a\nx" + "," * (31 << 20))
    (tmp_path / "x.tif").touch()
    (tmp_path / "s.yaml").write_text(SPEC)
    found = run("validate", "s.yaml", folder=tmp_path)
    assert found.code == 1
    assert "`t.csv:2`: more than 4,000,000 cells" in found.text
    assert found.megabytes < 500
