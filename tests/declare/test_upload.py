"""The flags of `earthengine upload image`, against the client itself: what would it send?"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from earth_engine_client import Client, RefusedError
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.declare import ImageSpec, load
from geobatch.declare.earth_engine.from_manifest import spec_of_flags
from geobatch.declare.earth_engine.upload_flags import FlagError, UploadFlags, upload_manifest
from geobatch.declare.text.canonical import fmt_text

NAME = "projects/some-project/assets/folder/asset"
FILES = ("gs://bucket/a.tif", "gs://bucket/b.tif")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    made = Client()
    yield made
    made.close()


def argv_of(flags: UploadFlags) -> list[str]:
    """Return the command line of the client that says the same."""
    argv = [f"--asset_id={flags.asset_id}"]
    for name in ("bands", "nodata_value", "pyramiding_policy", "crs", "time_start", "time_end"):
        value = getattr(flags, name)
        if value is not None:
            argv.append(f"--{name}={value}")
    if flags.last_band_alpha:
        argv.append("--last_band_alpha")
    argv += [f"--property={text}" for text in flags.properties]
    return [*argv, *flags.files]


def sent_by(client: Client, flags: UploadFlags) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return client.upload_image(*argv_of(flags))


def comparable(manifest: dict[str, Any]) -> str:
    """Return a manifest as text: NaN equals itself, and times are those of the specs."""
    times = {key: manifest[key].removesuffix("Z") for key in manifest if key.endswith("_time")}
    cut = {key: time[:-3] if time[-7:-6] == "." else time for key, time in times.items()}
    padded = {key: time if "." in time else f"{time}.000" for key, time in cut.items()}
    # `2019` is written as it was given; the client sends `2019.0`, the same number in JSON.
    said = manifest.get("properties") or {}
    floats = {key: float(v) if isinstance(v, int) else v for key, v in said.items()}
    more = {"properties": floats} if said else {}
    return json.dumps({**manifest, **padded, **more}, sort_keys=True)


def spec_from(folder: Path, name: str, text: str) -> ImageSpec:
    file = folder / name
    file.write_text(text)
    (spec,) = load([file]).specs
    assert isinstance(spec, ImageSpec)
    return spec


def assert_same(client: Client, flags: UploadFlags, folder: Path | None = None) -> None:
    """Assert that the client sends our manifest, or refuses what we refuse."""
    try:
        theirs = sent_by(client, flags)
    except RefusedError:
        with pytest.raises(FlagError):
            upload_manifest(flags)
        return
    ours = upload_manifest(flags)
    assert comparable(json.loads(json.dumps(ours))) == comparable(theirs)
    if folder is None:
        return
    # What geobatch makes of the manifest that the client sends, and of the spec that we write.
    # Equal numbers by the assertion above; only ours tell whole ones.
    said = ours.get("properties", {})
    theirs["properties"] = {k: said[k] for k, v in theirs["properties"].items() if v is not None}
    text = spec_of_flags(flags, start=folder, folder=folder)
    assert fmt_text(text, path="new.yaml") == text
    written = spec_from(folder, "new.yaml", text)
    assert repr(written) == repr(spec_from(folder, "theirs.json", json.dumps(theirs)))


PLAIN = UploadFlags(asset_id=NAME, files=FILES)


@pytest.mark.parametrize(
    "flags",
    [
        {},
        {"files": FILES[:1]},
        {"bands": "a,b", "nodata_value": "-9999,0", "pyramiding_policy": "mode,Mean"},
        {"bands": "a,b", "nodata_value": "-9999", "pyramiding_policy": "SAMPLE"},
        {"nodata_value": "1,2.5,nan"},
        {"nodata_value": "1e3"},
        {"nodata_value": "inf,-inf"},
        {"nodata_value": "1_000"},
        {"pyramiding_policy": "min,max,median"},
        {"pyramiding_policy": "mode,mode", "nodata_value": "1,2"},
        {"pyramiding_policy": "mode,mode", "nodata_value": "1,2,3"},
        {"bands": "a,b,c", "nodata_value": "1,2"},
        {"bands": "a", "pyramiding_policy": "mode,mode"},
        {"bands": "a,,b"},
        {"bands": ""},
        {"nodata_value": "1,x"},
        {"nodata_value": ""},
        {"pyramiding_policy": "mode,modal"},
        {"pyramiding_policy": ""},
        {"last_band_alpha": True},
        {"last_band_alpha": True, "bands": "a,b"},
        {"last_band_alpha": True, "nodata_value": "0"},
        {"last_band_alpha": True, "pyramiding_policy": "mode"},
        {"crs": "EPSG:32633"},
        {"crs": ""},
        {"files": ()},
        {"files": ("gs://b/x-00000.tfrecord", "gs://b/x-00001.tfrecord", "gs://b/x.json")},
        {"files": ("gs://b/x.TFRecord.GZ", "gs://b/x-mixer.json")},
        {"files": ("gs://b/xtfrecord.gz", "gs://b/a.tif")},
        {"files": ("gs://b/x.tfrecords", "gs://b/y.tfrecords")},
        {"time_start": "2020-01-02", "time_end": "2020-01-02T03:04:05.678"},
        {"time_start": "1577923200000", "time_end": "1577923200001"},
        {"time_start": "-1", "time_end": "0"},
        {"time_start": "", "time_end": ""},
        {"time_start": "2020-01-02T03:04:05.678999"},
        {"time_start": "1969-12-31T23:59:59.999"},
        {"time_start": "2020-01-02T03:04"},
        {"time_start": "2020-13-02"},
        {"time_start": "soon"},
        {"properties": ("a=1", "b=1_000", "c=x", "d=", "e=null", "f=a=b", "g= 1 ")},
        {"properties": ("(string)b=1", "(number)c=1e3", "(date)d=2020-01-02", "(string)f=null")},
        {"properties": ("(number)c=x",)},
        {"properties": ("(number)c=null", "(date)d=null", "(date)e=", "(date)f=12")},
        {"properties": ("(date)d=tomorrow",)},
        {"properties": ("(int)x=1",)},
        {"properties": ("()x=1",)},
        {"properties": ("a=1", "(string)a=2")},
        {"properties": ("a==x", "b=(date)2020-01-01", "c=(x)=1")},
        {"properties": ("a",)},
        {"properties": ("=1",)},
        {"properties": ("(string=1",)},
    ],
    ids=str,
)
def test_the_client_sends_what_we_write(
    client: Client, tmp_path: Path, flags: dict[str, Any]
) -> None:
    is_odd = "(string=1" in flags.get("properties", ())
    assert_same(client, replace(PLAIN, **flags), None if is_odd else tmp_path)


NUMBERS = st.one_of(
    st.integers(-(10**12), 10**12).map(str),
    st.floats(allow_nan=False, width=32).map(repr),
    st.sampled_from(["nan", "x", "", "1e3", "0x10", " 7"]),
)
POLICIES = st.sampled_from(["mean", "MODE", "Sample", "min", "max", "median", "modal", ""])
NAMES = st.sampled_from(["a", "b", "c", "B4", "qa", ""])
TIMES = st.one_of(
    st.integers(-(10**12), 4 * 10**12).map(str),
    st.datetimes().filter(lambda t: 1900 <= t.year <= 2200).map(lambda t: t.isoformat()),
    st.dates().filter(lambda d: 1900 <= d.year <= 2200).map(str),
    st.sampled_from(["", "soon", "2020-1-2"]),
)
TEXTS = st.one_of(NUMBERS.filter(lambda text: text not in ("nan", "inf", "-inf")), TIMES,
                  st.sampled_from(["null", "x y", "a=b", "(date)"]))  # fmt: skip
PROPERTIES = st.builds(
    "{}{}={}".format, st.sampled_from(["", "(string)", "(number)", "(date)", "(int)"]),
    st.sampled_from(["p", "q", "r"]), TEXTS,
)  # fmt: skip


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[str | None]:
    return st.one_of(st.none(), st.lists(values, max_size=3).map(",".join))


@settings(max_examples=100, deadline=None)
@given(
    flags=st.builds(
        UploadFlags,
        asset_id=st.just(NAME),
        files=st.lists(
            st.sampled_from([*FILES, "gs://b/x.tfrecord", "gs://b/y.tfrecord.gz"]), max_size=3
        ).map(tuple),
        bands=some(NAMES),
        nodata_value=some(NUMBERS),
        pyramiding_policy=some(POLICIES),
        last_band_alpha=st.booleans(),
        crs=st.sampled_from([None, "", "EPSG:4326"]),
        properties=st.lists(PROPERTIES, max_size=3).map(tuple),
        time_start=st.one_of(st.none(), TIMES),
        time_end=st.one_of(st.none(), TIMES),
    )
)
def test_any_flags_mean_the_same_to_the_client(client: Client, flags: UploadFlags) -> None:
    assert_same(client, flags)


@pytest.mark.parametrize(
    ("asset_id", "expected"),
    [
        (NAME, "folder/asset"),
        ("a/b", "a/b"),
        ("users/someone/a", "users/someone/a"),
        ("projects/p/assets/a", "a"),
    ],
)
def test_ids_are_those_of_specs(tmp_path: Path, asset_id: str, expected: str) -> None:
    flags = replace(PLAIN, asset_id=asset_id)
    text = spec_of_flags(flags, start=tmp_path, folder=tmp_path)
    assert spec_from(tmp_path, "a.yaml", text).id == expected


def test_local_files_start_from_the_spec(tmp_path: Path) -> None:
    flags = replace(PLAIN, files=("data/a.tif", "../b_*.tif", str(tmp_path / "c.tif")))
    text = spec_of_flags(flags, start=tmp_path / "here", folder=tmp_path / "there/specs")
    spec = spec_from(tmp_path, "a.yaml", text)
    assert [source.uris[0] for source in spec.tilesets[0].sources] == [
        "../../here/data/a.tif", "../../b_*.tif", str(tmp_path / "c.tif"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"asset_id": "a.b"}, "`a_b`"),
        ({"bands": "a b"}, "`a_b`"),
        ({"properties": ("a b=1",)}, "property key"),
        ({"properties": ("h=nan",)}, "finite"),
        ({"properties": ("h=inf",)}, "finite"),
        ({"time_start": "99999999999999999"}, "9999"),
        ({"time_start": "2020-01-02", "time_end": "2020-01-01"}, "before"),
    ],
)
def test_what_a_spec_cannot_say_is_refused_though_the_client_would_send_it(
    tmp_path: Path, flags: dict[str, Any], words: str
) -> None:
    with pytest.raises(FlagError, match=words):
        spec_of_flags(replace(PLAIN, **flags), start=tmp_path, folder=tmp_path)


def test_whole_numbers_stay_whole() -> None:
    given = ("year=2019", "n=-3", "f=1.50", "e=1e3", "t=(x)", "(string)s=2019", "(number)k=4")
    flags = UploadFlags(asset_id="a", files=("gs://b/a.tif",), properties=given)
    made = upload_manifest(flags)["properties"]
    assert {key: (type(value), value) for key, value in made.items()} == {
        "year": (int, 2019), "n": (int, -3), "f": (float, 1.5), "e": (float, 1000.0),
        "t": (str, "(x)"), "s": (str, "2019"), "k": (int, 4),
    }  # fmt: skip
