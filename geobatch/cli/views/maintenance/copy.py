"""What a copy of a store did, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import byte_text, count_text
from geobatch.model.text.shortened import shortened

if TYPE_CHECKING:
    from geobatch.workflow.maintenance.copy import StoreCopy


def copy_lines(done: StoreCopy, *, is_dry_run: bool) -> Iterator[str]:
    """Yield the human form of a copy."""
    copied, found = done.copied, done.copied.histories
    yield f"geobatch copy  {done.source} -> {done.target}"
    yield ""
    if not found.missing:
        yield "Nothing to copy: every commit is there."
    else:
        verb = "Would copy" if is_dry_run else "Copied"
        reduced = len(found.missing) - len(found.kept)
        rest = f", {reduced:,} of them without assets" if reduced else ""
        yield f"{verb} {count_text(len(found.missing), 'commit')}{rest}, to a " + (
            "new store." if copied.is_new else "store that has the commits before."
        )
    sent = "would be sent" if is_dry_run else "sent"
    yield (
        f"Objects: {copied.sent:,} {sent} ({byte_text(copied.sent_bytes)}), "
        f"{copied.present:,} there already."
    )
    if found.pins:
        yield f"Pins: {', '.join(pin.name for pin in found.pins)}."
    if not is_dry_run and copied.commit is not None:
        yield ""
        yield f"commit        {copied.commit}"
        yield f"content root  {copied.content_root}"


def copy_notes(done: StoreCopy) -> Iterator[str]:
    """Yield what the user should know of a copy besides."""
    for name in done.copied.histories.other_pins:
        yield (
            f"warning: pin `{name}` is not copied: the receiver has another pin of that name, or "
            "does not keep its commit"
        )
    if done.unfound:
        yield (
            "warning: the files of these external images are named relative to the folder of the "
            f"source: {shortened(', '.join(done.unfound), 500)}"
        )


def copy_json(done: StoreCopy, *, is_dry_run: bool) -> dict[str, Any]:
    """Return the machine form of a copy."""
    copied, found = done.copied, done.copied.histories
    return {
        "format_version": "1.0",
        "source": done.source,
        "target": done.target,
        "is_dry_run": is_dry_run,
        "is_new": copied.is_new,
        "commits": list(found.missing),
        "commits_without_assets": sorted(set(found.missing) - found.kept),
        "objects": {
            "sent": copied.sent,
            "bytes": copied.sent_bytes,
            "present": copied.present,
        },
        "pins": [pin.name for pin in found.pins],
        "pins_not_copied": list(found.other_pins),
        "relative_external_images": list(done.unfound),
        "number": found.top,
        "commit": copied.commit,
        "content_root": copied.content_root,
    }
