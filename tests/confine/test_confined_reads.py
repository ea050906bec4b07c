"""A confined run opens nothing outside, whatever specs name: the kernel and Python are asked."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from watch import Watched, watch
from workbench import write_tiff

SECRET = "s3cret-word"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="inotify")

RULE = "kind: image_collection\nid: a\nfor_each: "
IMAGE = "image:\n  id: '{stem}'\n"
SPECS = {
    "path": "id: a\ntilesets: [{sources: [{uris: [../outside/a.tif]}]}]\n",
    "absolute": "id: a\ntilesets: [{sources: [{uris: [OUT/a.tif]}]}]\n",
    "link": "id: a\ntilesets: [{sources: [{uris: [link.tif]}]}]\n",
    "folder link": "id: a\ntilesets: [{sources: [{uris: [way/a.tif]}]}]\n",
    "glob": "id: a\ntilesets: [{sources: [{uris: ['*.tif']}]}]\n",
    "deep glob": "id: a\ntilesets: [{sources: [{uris: ['**/*.tif']}]}]\n",
    "glob above": "id: a\ntilesets: [{sources: [{uris: ['../*/a.tif']}]}]\n",
    "world file": "id: a\ntilesets: [{sources: [{uris: [bare.tif, way/bare.tfw]}]}]\n",
    "world file link": "id: a\ntilesets: [{sources: [{uris: [bare.tif, bare.tfw]}]}]\n",
    "projection": "id: a\ntilesets: [{sources: [{uris: [bare.tif, ../outside/bare.prj]}]}]\n",
    "mixer": "id: a\ntilesets: [{sources: [{uris: [p.tfrecord, way/m.json]}]}]\n",
    "shard": "id: a\ntilesets: [{sources: [{uris: [way/p.tfrecord, m.json]}]}]\n",
    "table": "kind: table\nid: a\nsources: [{uris: [../outside/p.tfrecord]}]\n",
    "table glob": "kind: table\nid: a\nsources: [{uris: ['way/*.tfrecord']}]\n",
    "external": "kind: external_image\nid: a\ntilesets: [{sources: [{uris: [way/a.tif]}]}]\n",
    "files": f"{RULE}{{files: '../outside/*.tif'}}\n{IMAGE}",
    "one file": f"{RULE}{{files: way/a.tif}}\n{IMAGE}",
    "rows": f"{RULE}{{files: good.tif, csv: {{path: ../outside/t.csv}}}}\n{IMAGE}",
    "rows by link": f"{RULE}{{files: good.tif, csv: {{path: t.csv}}}}\n{IMAGE}",
    "placeholder": f"{RULE}{{files: good.tif}}\n{IMAGE}"
    "  tilesets: [{id: m, sources: [{uris: ['../outside/{stem}.tif']}]}]\n",
    "optional": f"{RULE}{{files: good.tif}}\n{IMAGE}"
    "  tilesets:\n  - {id: m, sources: [{uris: ['{file}']}]}\n"
    "  - {id: n, optional: true, sources: [{uris: ['way/*.tif']}]}\n"
    "  bands: [{id: p, tileset_id: m}, {id: q, tileset_id: n}]\n",
    "mask": "id: a\ntilesets:\n- {id: m, sources: [{uris: [good.tif]}]}\n"
    "- {id: n, sources: [{uris: [way/a.tif]}]}\nbands: [{id: p, tileset_id: m}]\n"
    "mask_bands: {tileset_id: n}\n",
    "bucket": "id: a\ntilesets: [{sources: [{uris: ['gs://b/a.tif']}]}]\n",
    "prefix": "id: a\nuri_prefix: ../outside/\ntilesets: [{sources: [{uris: [a.tif]}]}]\n",
    "missing": "id: a\ntilesets: [{sources: [{uris: [../outside/b.tif]}]}]\n",
}  # fmt: skip


def lay(base: Path) -> tuple[Path, Path]:
    """Make a project with links that lead out, and what they lead to."""
    project, outside = base / "project", base / "outside"
    for folder in (project, outside, outside / "specs"):
        folder.mkdir()
    pixels = np.arange(9 * 10, dtype=np.uint8).reshape(9, 10)
    for path in (project / "good.tif", outside / "a.tif", outside / "good.tif"):
        write_tiff(path, [pixels])
    write_tiff(project / "bare.tif", [pixels], crs=None)
    for name in ("bare.tfw", "bare.prj", "t.csv", "m.json", "p.tfrecord", "good.tif.aux.xml"):
        (outside / name).write_text(f"{SECRET},{SECRET}\n<NoDataValue>{SECRET}</NoDataValue>\n")
    (outside / "specs" / "hidden.yaml").write_text(f"id: {SECRET}\n")
    (project / "p.tfrecord").write_bytes(b"")
    (project / "m.json").write_text("{}")
    (project / "link.tif").symlink_to("../outside/a.tif")
    (project / "way").symlink_to(outside)
    for name in ("t.csv", "bare.tfw", "good.tif.aux.xml"):
        (project / name).symlink_to(outside / name)
    (project / "geobatch.yaml").write_text(f'uri_map: {{"gs://b/": {outside}/}}\n')
    return project, outside


def run(project: Path, outside: Path, *argv: str | Path) -> Watched:
    return watch(
        argv, cwd=project, folders=[outside, outside / "specs"], notes=project.parent / "notes"
    )


@LINUX
def test_a_confined_run_opens_nothing_outside(tmp_path: Path) -> None:
    """All hostile specs at once: each is refused with its line, none is read."""
    project, outside = lay(tmp_path)
    files = {}
    for number, (name, text) in enumerate(SPECS.items()):
        files[name] = project / f"s{number:02}.yaml"
        files[name].write_text(text.replace("OUT", str(outside)).replace("id: a", f"id: a{number}"))
    for command in ("validate", "plan", "apply", "status"):
        store = [] if command == "validate" else ["--store", str(tmp_path / "store")]
        init = ["--init"] if command in ("plan", "apply") else []
        if command == "status":
            geobatch("init", "--store", tmp_path / "store")
        done = run(project, outside, command, *files.values(), "--confine", *store, *init)
        assert done.touched == (), command
        inside = (f"{project}", f"{tmp_path / 'store'}")
        assert [one for one in done.opened if not one.startswith(inside)] == [], command
        assert SECRET not in done.text
        if command == "status":
            continue
        assert done.code == 1, done.text
        for name, file in files.items():
            assert f"{file.name}:" in done.text, name
            lines = [line for line in done.text.splitlines() if f"{file.name}:" in line]
            assert any(": outside: " in line for line in lines), (name, lines)


@LINUX
@pytest.mark.parametrize("name", ["link", "rows"])
def test_without_it_the_watch_sees_what_is_opened(tmp_path: Path, name: str) -> None:
    """The control: the same specs do read outside if nothing confines them."""
    project, outside = lay(tmp_path)
    spec = project / "s.yaml"
    spec.write_text(SPECS[name].replace("OUT", str(outside)))
    done = run(project, outside, "plan", spec, "--init", "--store", tmp_path / "store")
    assert done.touched != ()
    assert SECRET not in done.text


@LINUX
def test_folders_and_files_of_specs_are_confined_too(tmp_path: Path) -> None:
    project, outside = lay(tmp_path)
    specs = project / "specs"
    specs.mkdir()
    (specs / "linked").symlink_to(outside / "specs")
    (specs / "one.yaml").symlink_to(outside / "specs" / "hidden.yaml")
    (specs / "mixer.json").symlink_to(outside / "m.json")
    done = run(project, outside, "validate", "specs", "--confine")
    assert (done.code, done.touched) == (1, ())
    assert done.text.count(": outside: ") == 3
    done = run(project, outside, "validate", "../outside/specs", "--confine")
    assert done.code == 1  # its own folder is the project: the spec is wrong
    done = run(project, outside, "validate", "good.yaml", "way/specs", "--confine")
    assert (done.code, done.touched) == (1, ())
    (specs / "geobatch.yaml").symlink_to(outside / "t.csv")
    done = run(project, outside, "validate", "specs", "--confine")
    assert (done.code, done.touched) == (1, ())


@LINUX
def test_the_neighbours_of_a_source_are_not_followed_out(tmp_path: Path) -> None:
    """A link named as GDAL's metadata lies next to a raster that may be read."""
    project, outside = lay(tmp_path)
    (project / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [good.tif]}]}]\n")
    for suffix in (".msk", ".ovr"):
        (project / f"good.tif{suffix}").symlink_to(outside / "good.tif")
    done = run(
        project, outside, "apply", "s.yaml", "--confine", "--init", "--store", tmp_path / "s"
    )
    assert (done.code, done.touched) == (0, ()), done.text


def test_a_pruning_run_examines_nothing_outside(tmp_path: Path) -> None:
    """The store names specs and files of another time; a confined run does not search for them."""
    project, outside = lay(tmp_path)
    store = ["--store", str(tmp_path / "store")]
    shutil.copy(project / "good.tif", outside / "b.tif")
    for where in (project, outside):
        (where / "s.yaml").write_text(
            f"id: {where.name}\ntilesets: [{{sources: [{{uris: [good.tif]}}]}}]\n"
        )
    assert geobatch("apply", project / "s.yaml", outside / "s.yaml", "--init", *store).code == 0
    (outside / "s.yaml").unlink()
    done = geobatch("plan", project / "s.yaml", outside, "--prune", "--confine", *store)
    assert done.code != 0
    assert SECRET not in done.err


def test_a_saved_plan_is_confined_to_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan names its specs; whoever wrote it does not choose what may be read."""
    project, outside = lay(tmp_path)
    (outside / "s.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    plan, store = tmp_path / "plan.json", ["--store", str(tmp_path / "store")]
    assert geobatch("plan", outside / "s.yaml", "-o", plan, "--init", *store).code == 0
    monkeypatch.chdir(project)
    done = geobatch("apply", plan, "--confine", *store)
    assert done.code == 1
    assert ": outside: " in done.err
    monkeypatch.chdir(outside)
    (document := json.loads(plan.read_text()))["paths"] = ["s.yaml"]
    plan.write_text(json.dumps(document))
    assert geobatch("apply", plan, "--confine", *store).code == 0
