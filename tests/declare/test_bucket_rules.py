"""Earth Engine's rules for the buckets of COGs, as a lint of exported manifests."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from geobatch.buckets.place import Place, place_of
from geobatch.buckets.url import BucketUrl, parse_bucket_url
from geobatch.declare.earth_engine.bucket_rules import bucket_notes

ANSWERS: dict[str, dict[str, Any]] = {
    "us": {"location": "US", "locationType": "multi-region", "storageClass": "STANDARD"},
    "iowa": {"location": "US-CENTRAL1", "locationType": "region", "storageClass": "STANDARD"},
    "nam4": {"location": "NAM4", "locationType": "dual-region", "storageClass": "STANDARD"},
    "pair": {
        "location": "US", "locationType": "dual-region", "storageClass": "STANDARD",
        "customPlacementConfig": {"dataLocations": ["US-EAST1", "US-CENTRAL1"]},
    },
    "far-pair": {
        "location": "US", "locationType": "dual-region", "storageClass": "STANDARD",
        "customPlacementConfig": {"dataLocations": ["US-EAST1", "US-WEST1"]},
    },
    "eu": {"location": "EU", "locationType": "multi-region", "storageClass": "STANDARD"},
    "eur4": {"location": "EUR4", "locationType": "dual-region", "storageClass": "STANDARD"},
    "cold": {"location": "US", "locationType": "multi-region", "storageClass": "NEARLINE"},
    "odd": {"kind": "storage#bucket"},
}  # fmt: skip


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A service that says where buckets are; gives what it was asked."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked.append(self.path)
            found = ANSWERS.get(self.path.partition("?")[0].rpartition("/")[2])
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found or {}).encode())

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("bucket", "words"),
    [
        ("us", []), ("iowa", []), ("nam4", []), ("pair", []),
        ("far-pair", ["dual-region US"]), ("eu", ["multi-region EU"]), ("eur4", ["EUR4"]),
        ("cold", ["NEARLINE"]), ("odd", ["cannot be asked"]), ("absent", ["cannot be asked"]),
    ],
)  # fmt: skip
def test_what_the_service_says_is_compared_with_the_guide(
    service: list[str], bucket: str, words: list[str]
) -> None:
    uris = [f"gs://{bucket}/a.tif", f"gs://{bucket}/b.tif", "local.tif", "s3://other/c.tif"]
    notes = list(bucket_notes(uris, place_of))
    assert len(notes) == len(words)
    assert all(word in note for word, note in zip(words, notes, strict=True))
    assert all("US-CENTRAL1" in note and f"`gs://{bucket}/`" in note for note in notes)
    assert len(service) == 1


def test_without_credentials_it_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("HOME", "/nonexistent")
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert place_of(parse_bucket_url("gs://no-credentials/x")) is None
    assert place_of(parse_bucket_url("s3://no-credentials/x")) is None


def test_each_bucket_is_asked_once() -> None:
    asked: list[str] = []

    def place(url: BucketUrl) -> Place:
        asked.append(str(url))
        return Place(location="US", kind="multi-region", storage_class="ARCHIVE")

    notes = list(bucket_notes(["gs://one/a", "gs://two/a", "gs://one/b"], place))
    assert asked == ["gs://one/", "gs://two/"]
    assert len(notes) == 2
