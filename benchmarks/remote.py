"""Objects on a server with a latency: a region of a COG, and the ingest of a TIFF.

    uv run python benchmarks/remote.py --latency 30

The server is another process on this machine, and answers each request after the latency. The
region is 2048 x 2048 pixels of a band of a COG; it is read through `open_store` and zarr by a
process that has read no byte of the object before. The ingest is that of the benchmark raster, from
the server and from the disk, in turns; the report is the median of the ratios.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import rasterio
import rasterio.shutil
import yaml

HERE = Path(__file__).parent
SIDE = 2048
AT = 4096
"""First row and column of the region."""

_READ = """
import sys, time
import geobatch, geobatch.sources.cog.reader
array = geobatch.open_store(sys.argv[1]).open("cog")["0/b1"]
at = int(sys.argv[2])
began, used = time.perf_counter(), time.process_time()
array[at : at + 2048, at : at + 2048]
print(1000 * (time.perf_counter() - began), 1000 * (time.process_time() - used))
"""


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--latency", type=float, default=30, help="milliseconds")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=HERE / "work")
    parser.add_argument("--bands", type=int, default=1, help="bands of the COG")
    parser.add_argument("--only", choices=("region", "ingest"))
    options = parser.parse_args()
    subprocess.run(
        [sys.executable, HERE / "make_workload.py", "--size", str(options.size),
         "--directory", str(options.directory)], check=True,
    )  # fmt: skip
    raster = options.directory / f"workload_{options.size}.tif"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server, url = serve(options.directory.resolve(), options.latency)
        try:
            if options.only != "ingest":
                region(raster, url, folder, turns=options.turns, bands=options.bands)
            if options.only != "region":
                ingest(raster, url, folder, turns=options.turns)
        finally:
            server.kill()
            server.wait()


def serve(folder: Path, latency: float) -> tuple[subprocess.Popen[str], str]:
    """Start the server; return it and its url."""
    command = [sys.executable, HERE / "range_server.py", folder, str(latency)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    return server, f"http://127.0.0.1:{server.stdout.readline().strip()}"


def asked(url: str) -> dict[str, Any]:
    """Return what the server was asked for since the last call."""
    with urllib.request.urlopen(f"{url}/_stats") as answer:
        found: dict[str, Any] = ast.literal_eval(answer.read().decode())
        return found


def region(raster: Path, url: str, folder: Path, *, turns: int, bands: int) -> None:
    """Time a region of a COG."""
    cog = raster.with_name(f"{raster.stem}_cog_{bands}.tif")
    if not cog.exists():
        plain = cog.with_suffix(".plain.tif")
        with rasterio.open(raster) as whole:
            profile = {**whole.profile, "count": bands, "compress": "zstd"}
            with rasterio.open(plain, "w", **profile) as file:
                for band in range(1, bands + 1):
                    file.write(whole.read(band), band)
        rasterio.shutil.copy(
            plain, cog, driver="COG", COMPRESS="DEFLATE", PREDICTOR="YES", BLOCKSIZE=512,
            OVERVIEW_RESAMPLING="NEAREST",
        )  # fmt: skip
        plain.unlink()
    spec = {"kind": "external_image", "id": "cog"}
    spec["tilesets"] = [{"sources": [{"uris": [f"{url}/{cog.name}"]}]}]
    run("apply", spec, folder, folder / "cog_store")
    for _ in range(turns):
        asked(url)
        command = [sys.executable, "-c", _READ, folder / "cog_store", str(AT)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        taken, used = map(float, done.stdout.split())
        seen = asked(url)
        print(
            f"region of {SIDE} x {SIDE}, {bands} bands: {taken:.0f} ms ({used:.0f} of CPU),"
            f" {seen['requests']} requests, {seen['bytes'] / 1e6:.1f} MB",
            flush=True,
        )


def ingest(raster: Path, url: str, folder: Path, *, turns: int) -> None:
    """Time the ingest of the raster from the disk and from the server."""
    ratios, roots = [], set()
    for turn in range(turns):
        seconds = {}
        for kind, uri in (("disk", str(raster.resolve())), ("server", f"{url}/{raster.name}")):
            asked(url)
            spec = {"kind": "image", "id": "a", "tilesets": [{"sources": [{"uris": [uri]}]}]}
            began = time.perf_counter()
            roots.add(run("apply", spec, folder, folder / f"store_{kind}_{turn}"))
            seconds[kind] = time.perf_counter() - began
        seen = asked(url)
        ratios.append(seconds["server"] / seconds["disk"])
        print(
            f"ingest: disk {seconds['disk']:.2f} s, server {seconds['server']:.2f} s,"
            f" ratio {ratios[-1]:.2f}, {seen['requests']} requests, {seen['bytes'] / 1e6:.0f} MB",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f}, {len(roots)} content root")


def run(command: str, spec: dict[str, Any], folder: Path, store: Path) -> str:
    """Run a command of geobatch; return the line with the content root."""
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    done = subprocess.run(
        [sys.executable, "-m", "geobatch", command, path, "--init", "--store", store],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return next(line for line in done.stdout.splitlines() if line.startswith("content root"))


if __name__ == "__main__":
    main()
