"""What reviewers and scripts are told: refusals, all failures, mistyped stores and options."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cogs import write_cog
from shell import command, environment, geobatch, process
from workbench import Workbench, image, write_tiff

from geobatch import open_store


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    for seed, name in enumerate("abc"):
        pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
        write_tiff(tmp_path / f"{name}.tif", [pixels], nodata=0)
    monkeypatch.chdir(tmp_path)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([image(name, f"{name}.tif", tile=128) for name in "abc"])
    return bench


@pytest.mark.parametrize("name", ["stroe", "/nowhere/stroe", "other/store"])
def test_a_mistyped_store_is_no_empty_store(bench: Workbench, name: str) -> None:
    for argv in (["plan", "spec.yaml"], ["apply", "spec.yaml"]):
        for done in (
            geobatch("--store", name, *argv),
            process(*argv, cwd=bench.folder, GEOBATCH_STORE=name),
        ):
            assert done.code == 10
            assert f"there is no store at `{name}`" in done.err
            assert f"`geobatch init --store {name}`" in done.err
    assert not Path(name).exists()


READERS = [
    ["status"], ["status", "spec.yaml"], ["ls"], ["info"], ["info", "a"], ["show", "a"], ["log"],
    ["log", "a"], ["diff", "a"], ["why", "a"], ["why", "a", "spec.yaml"],
    ["export", "a", "out", "--format", "cog"],
]  # fmt: skip


@pytest.mark.parametrize("argv", READERS, ids=" ".join)
def test_every_reader_says_so_too(bench: Workbench, argv: list[str]) -> None:
    plan = geobatch("--store", "stroe", "plan", "spec.yaml")
    done = geobatch("--store", "stroe", *argv)
    assert (done.code, done.err) == (10, plan.err)
    error = geobatch("--store", "stroe", "--json", *argv).record("error")
    assert error["code"] == "no_store"
    assert not (bench.folder / "stroe").exists()
    if argv == ["status", "spec.yaml"]:
        assert "none yet" in geobatch(*argv).out
    else:
        assert geobatch(*argv).code == 10


def test_a_new_store_is_made_where_it_is_asked_for(bench: Workbench) -> None:
    assert geobatch("--store", "new", "plan", "spec.yaml", "--init").code == 0
    assert not Path("new").exists()
    assert geobatch("--store", "new", "apply", "spec.yaml", "--init").code == 0
    assert geobatch("--store", "made", "init").code == 0
    assert geobatch("--store", "made", "apply", "spec.yaml").code == 0
    # Beside the specs the default needs no word, however it is spelled.
    assert geobatch("--store", bench.folder / "store", "apply", "spec.yaml").code == 0


def test_the_default_store_of_another_folder_is_not_made(
    bench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = bench.folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert geobatch("apply", bench.folder / "spec.yaml").code == 10
    assert not (elsewhere / "store").exists()


def test_git_passes_over_a_store(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    subprocess.run(["git", "init", "-q"], check=True, cwd=bench.folder)
    added = subprocess.run(
        ["git", "add", "-A", "-n"], check=True, cwd=bench.folder, capture_output=True, text=True
    ).stdout
    assert "spec.yaml" in added
    assert "store" not in added


@pytest.mark.parametrize("argv", [[], ["--detailed-exitcode"], ["-o", "p.json"], ["--json"]])
def test_a_plan_that_would_be_refused_is_5(bench: Workbench, argv: list[str]) -> None:
    geobatch("apply", "spec.yaml")
    bench.write_spec([image("a", "a.tif", tile=128)])
    assert geobatch("plan", "spec.yaml", "--prune", *argv).code == 5
    assert geobatch("plan", "spec.yaml", "--detailed-exitcode").code == 0
    assert geobatch("apply", "spec.yaml", "--prune").code == 5


def test_all_damaged_sources_are_named_at_once(bench: Workbench) -> None:
    (bench.folder / "a.tif").write_bytes(b"no raster")
    (bench.folder / "c.tif").write_bytes(b"")
    text = (bench.folder / "spec.yaml").read_text().splitlines()
    places = [number for number, line in enumerate(text, 1) if "a.tif" in line or "c.tif" in line]
    for name in ("plan", "apply"):
        done = geobatch(name, "spec.yaml")
        assert done.code == 7
        assert "2 problems" in done.err
        for number, asset in zip(places, "ac", strict=True):
            assert f"spec.yaml:{number}:" in done.err
            assert f"source: `{asset}`: `{asset}.tif`" in done.err
    assert not bench.store.exists()
    error = geobatch("plan", "spec.yaml", "--json").record("error")
    assert [problem["line"] for problem in error["problems"]] == places
    kept = geobatch("plan", "spec.yaml", "--keep-going")
    assert kept.code == 3
    assert "  + b  " in kept.out
    assert kept.err.count("failed: ") == 2
    # What is not selected is not read.
    assert geobatch("plan", "spec.yaml", "--select", "b").code == 0


def test_selected_assets_and_their_sources_are_counted(bench: Workbench) -> None:
    assert bench.folder.exists()
    out = geobatch("plan", "spec.yaml", "--select", "b").out
    assert "  1 asset, 1 source (1 hashed)" in out
    assert "1 create, 0 delete.  0 unchanged.  2 not selected." in out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ("apply x --dry-run", "`geobatch plan` shows what apply would do"),
        ("apply x --dryrun", "`geobatch plan` shows"),
        ("apply x --prun", "No such option"),
        ("apply x --replac", "No such option"),
        ("plan x --max-delet", "No such option"),
        ("export a b --overwrit", "No such option"),
        ("plan x --selec", "--select"),
    ],
)
def test_no_option_that_deletes_is_suggested(bench: Workbench, argv: str, said: str) -> None:
    assert bench.folder.exists()
    done = geobatch(*argv.split())
    assert done.code == 64
    assert said in done.err
    for harmful in ("--prune", "--replace", "--max-delete", "--overwrite"):
        assert f"'{harmful}'" not in done.err
        assert f"Did you mean {harmful}" not in done.err


def on_a_terminal(argv: list[str], folder: Path, **more: str) -> str:
    """Return what a command prints on a terminal."""
    parent, child = pty.openpty()
    env = {**environment(**more), "TERM": more.get("TERM", "xterm")}
    done = subprocess.Popen(
        command(*argv), cwd=folder, stdout=child, stderr=child, env=env, close_fds=True
    )
    os.close(child)
    text = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        text += part
    os.close(parent)
    done.wait(timeout=60)
    return text.decode()


def test_colours_are_for_terminals_that_want_them(bench: Workbench) -> None:
    coloured = on_a_terminal(["plan", "spec.yaml"], bench.folder)
    assert "\x1b[32m  + a" in coloured
    plain = process("plan", "spec.yaml", cwd=bench.folder)
    assert "\x1b" not in plain.out + plain.err
    assert "\x1b" not in on_a_terminal(["plan", "spec.yaml"], bench.folder, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(["plan", "spec.yaml"], bench.folder, TERM="dumb")
    assert "\x1b" not in on_a_terminal(["--json", "plan", "spec.yaml"], bench.folder)
    assert "\x1b[31merror:\x1b[0m" in on_a_terminal(["info", "no"], bench.folder)


def test_warnings_and_plan_are_in_one_order(bench: Workbench) -> None:
    """In one file, a warning is before the plan that it is about, as on a terminal."""
    bench.write_spec([image("a", "a.tif", bands=[{"id": "class", "tileset_id": "t"}])])
    for name in ("plan", "apply"):
        done = subprocess.run(
            command(name, "spec.yaml"), cwd=bench.folder, env=environment(), check=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.stdout.startswith("warning: ")
        assert done.stdout.index("warning: ") < done.stdout.index("geobatch plan ")


def test_what_is_taken_over_says_why_it_is_free(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    bench.write_spec([image(name, "a.tif", tile=128) for name in ("a", "again")])
    out = geobatch("plan", "spec.yaml").out
    assert "  + again  0 of 17 tiles  create" in out
    assert "      reused   b1: the tiles are in the store already" in out


@pytest.mark.parametrize(
    ("more", "risk"),
    [
        ({"tile": 64}, "tiling.tile changes: readers find chunks of another size"),
        ({"id": "new/a", "moved_from": "a"}, "a is the former id"),
        ({"bands": [{"id": "other", "tileset_id": "t"}]}, "bands.b1 is removed"),
    ],
)
def test_risks_are_in_the_human_form(bench: Workbench, more: dict[str, Any], risk: str) -> None:
    geobatch("apply", "spec.yaml")
    rest = [image(name, f"{name}.tif", tile=128) for name in "bc"]
    bench.write_spec(
        [{**image("a", "a.tif", **{"tile": 128, **_tile(more)}), **_rest(more)}, *rest]
    )
    out = geobatch("plan", "spec.yaml").out
    assert f"      risk     {risk}" in out


def _tile(more: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in more.items() if key == "tile"}


def _rest(more: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in more.items() if key != "tile"}


def test_why_counts_bands_as_gdalinfo_and_tells_edits_from_retiling(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    pixels = np.random.default_rng(9).integers(1, 255, (300, 280)).astype(np.uint8)
    write_tiff(bench.folder / "a.tif", [pixels], nodata=0)
    geobatch("apply", "spec.yaml")
    bench.write_spec([image(name, f"{name}.tif", tile=64) for name in "abc"])
    geobatch("apply", "spec.yaml")
    done = geobatch("why", "a", "--tile", "0/0/0")
    assert "a.tif" in done.out
    assert "band 1, rows 0 to" in done.out
    assert "      since    commit 3 " in done.out
    assert "      values   as in commit 2 " in done.out
    found = geobatch("why", "a", "--tile", "0/0/0", "--json").record("why")["bands"][0]
    assert found["since"]["number"] == 3
    assert found["edited"]["number"] == 2
    assert [one["code"] for one in found["edited"]["reasons"]] == ["SOURCE_CHANGED"]
    # Another asset's pixels are those of its first commit.
    assert geobatch("why", "b", "--json").record("why")["bands"][0]["edited"]["number"] == 1


def test_differences_without_any_are_left_out(bench: Workbench) -> None:
    write_tiff(bench.folder / "two.tif", [np.full((90, 90), value, np.uint8) for value in (1, 2)])
    bench.write_spec([image("a", "two.tif")])
    geobatch("apply", "spec.yaml")
    write_tiff(bench.folder / "two.tif", [np.full((90, 90), value, np.uint8) for value in (1, 7)])
    geobatch("apply", "spec.yaml")
    lines = geobatch("diff", "HEAD~1", "HEAD", "--stats").out.splitlines()
    values = [line.split() for line in lines if line.startswith("      values")]
    assert [line[1] for line in values] == ["b2"]
    assert "mean +5" in " ".join(values[0])


def test_an_external_image_is_the_same_under_another_path_of_the_store(
    bench: Workbench, tmp_path: Path
) -> None:
    deep = tmp_path / "deep" / "er"
    deep.mkdir(parents=True)
    write_cog(tmp_path / "cog.tif", [np.full((600, 600), 5, np.uint8)])
    external = {
        "id": "x", "kind": "external_image",
        "tilesets": [{"id": "t", "sources": [{"uris": ["cog.tif"]}]}],
    }  # fmt: skip
    spec = bench.write_spec([external])
    assert geobatch("--store", deep / "store", "apply", "--init", spec).code == 0
    assert geobatch("--store", deep / "store", "plan", spec, "--detailed-exitcode").code == 0
    shutil.copytree(deep / "store", tmp_path / "there")
    moved = geobatch("--store", tmp_path / "there", "plan", spec, "--detailed-exitcode")
    assert moved.code == 0, moved
    assert "unreachable-location" in moved.err
    (tmp_path / "link").symlink_to(deep / "store")
    linked = geobatch("--store", tmp_path / "link", "plan", spec, "--detailed-exitcode")
    assert (linked.code, "unreachable" in linked.err) == (0, False)
    # The hint works: afterwards it can be read from there.
    assert geobatch("--store", tmp_path / "there", "apply", spec, "--replace", "x").code == 0
    group = open_store(tmp_path / "there").open("x")
    assert int(np.asarray(group["0/b1"][0, 0])) == 5  # type: ignore[index]


def test_a_tree_that_cannot_be_checked_is_no_word_of_a_commit(bench: Workbench) -> None:
    """An empty apply; what the system refuses is made by a link to nowhere in the way."""
    assert geobatch("apply", "spec.yaml").code == 0
    place = bench.store / "runs" / "zarr.lock"
    place.unlink(missing_ok=True)
    place.symlink_to(bench.folder / "no" / "where")
    done = geobatch("apply", "spec.yaml")
    assert done.code == 1
    assert "nothing was to be done, every asset is as declared; cannot check" in done.err
    assert "hint: " in done.err
    assert "commit" not in done.err
    bench.write_spec([image("a", "a.tif", tile=128, properties={"k": 1})])
    more = geobatch("apply", "spec.yaml", "--json")
    assert more.code == 1
    message = more.record("error")["message"]
    assert message.startswith("nothing was done and nothing was published; cannot check")
    assert geobatch("log").out.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_empty_apply_on_a_store_that_is_read_only(bench: Workbench) -> None:
    assert geobatch("apply", "spec.yaml").code == 0
    folders = [bench.store, *(path for path in bench.store.rglob("*") if path.is_dir())]
    files = [path for path in (bench.store / "runs").rglob("*") if path.is_file()]
    for path in [*files, *folders]:
        path.chmod(0o555)
    try:
        done = geobatch("apply", "spec.yaml")
    finally:
        for path in folders:
            path.chmod(0o755)
    assert done.code == 1
    assert "nothing was to be done, every asset is as declared" in done.err
    assert "make the store writable" in done.err
