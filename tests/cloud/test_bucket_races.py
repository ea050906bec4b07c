"""Many who write to one bucket at the same instant: one wins each name, and no commit is lost."""

from __future__ import annotations

from itertools import pairwise

from buckets import Enter
from gc_workbench import read
from racing import race
from servers import Bucket

from geobatch.model.digest import Digest
from geobatch.model.published import Head
from geobatch.store.tilestore import TileStore


def test_of_twenty_racers_one_wins_each_name(bucket: Bucket, is_long: bool) -> None:
    # SeaweedFS lets those who lose a race wait for some seconds.
    names = 200 if is_long else 20 if bucket.kind == "s3" else 40
    jobs = [("create", str(number), str(names), "5") for number in range(4)]
    said = "".join(race(bucket, jobs, seconds=3000)).splitlines()
    winners = dict(line.split(" ", 1) for line in said)
    assert len(said) == len(winners) == names
    store = bucket.store()
    there = {name: bytes(store.get(f"races/{name}").bytes()).decode() for name in winners}
    assert there == winners
    assert len({who.partition("-")[0] for who in winners.values()}) > 1, "it was no race"


def test_all_who_publish_different_assets_succeed(
    bucket: Bucket, enter: Enter, is_long: bool
) -> None:
    writers, each = (30, 10) if is_long else (6, 3)
    names = [f"w{number}" for number in range(writers)]
    said = race(bucket, [("publish", name, str(each)) for name in names], seconds=3000)
    assert said == [""] * writers
    store = TileStore.open(enter(bucket).url)
    memos: dict[Digest, str] = {}

    def versions(head: Head) -> dict[str, str]:
        for entry in head.tree.entries:
            if entry.stored not in memos:
                memos[entry.stored] = store.record(entry).asset.memo
        return {entry.id: memos[entry.stored] for entry in head.tree.entries}

    done = [{}, *[versions(head) for head in store.log()][::-1]]
    assert len(done) == writers * each + 1
    for old, new in pairwise(done):
        changed = [name for name in new if new[name] != old.get(name)]
        assert len(changed) == 1, "each commit is the one before it and one change"
    assert read(store, store.head()) == dict.fromkeys(names, str(each))
    refs = [one["path"] for page in bucket.store().list("refs/main") for one in page]
    assert len([name for name in refs if not name.endswith("head")]) == writers * each
