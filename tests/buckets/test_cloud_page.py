"""What docs/cloud.md says holds: the settings, the policies, the workflows, the commands."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from geobatch.buckets.settings import SETTINGS, Settings, read_settings

PAGE = (Path(__file__).parents[2] / "docs" / "cloud.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_page_lists_every_setting() -> None:
    rows = re.findall(r"^\| `(GEOBATCH_BUCKET_\w+)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
    assert rows == [(one.variable, one.default, one.purpose) for one in SETTINGS]


def test_defaults_of_numbers_are_those_of_the_code() -> None:
    numbers = {one.name: int(one.default) for one in SETTINGS if one.default.isdecimal()}
    assert len(numbers) == 4
    assert {name: getattr(Settings(), name) for name in numbers} == numbers
    assert read_settings({}) == Settings()


def test_policies_allow_what_the_table_says() -> None:
    _, publisher, condition = (json.loads(text) for text in blocks("json"))
    allowed = {one["Action"]: one["Resource"] for one in publisher["Statement"]}
    assert {*allowed} == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert allowed["s3:ListBucket"] == "arn:aws:s3:::BUCKET"
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| publisher")]
    folders = row.split("|")[5].strip(" `").split()
    assert [
        one.removeprefix("arn:aws:s3:::BUCKET/store/") for one in allowed["s3:DeleteObject"]
    ] == [f"{folder}*" for folder in folders]
    assert all(f"/objects/store/{folder}')" in condition["expression"] for folder in folders)


def test_workflows_are_yaml() -> None:
    found = [yaml.safe_load(text) for text in blocks("yaml")]
    assert len(found) == 6
    assert sum("steps" in one for one in found) == 3


@pytest.mark.parametrize("text", blocks("sh"))
def test_commands_are_complete(text: str) -> None:
    done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_example_of_costs_follows_from_the_formula() -> None:
    for shard, written, read in ((512, "5.00", "0.40"), (2048, "0.31", "0.03")):
        objects = 1_000_000 / (shard / 512) ** 2
        assert f"{objects * (1 + 1 / 4096) * 5 / 1e6:.2f}" == written
        assert f"{objects * 0.4 / 1e6:.2f}" == read
        assert f"| {objects:,.0f} | {written} | {read} | 2.00 |" in PAGE
