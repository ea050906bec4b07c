"""What help says of every command, written down apart from the code: scripts hold on to it."""

from __future__ import annotations

import re

import pytest
from shell import geobatch

LISTED = "--since --until --property --bounds --bounds-crs --at"
REHEARSED = "--rehearse --sample --expires"
COVERED = (
    "--rehash --select --replace --prune --max-delete --keep-project-prefix --confine --allow-from"
)
PATCHES = (
    "--patch-dimensions --kernel-size --compressed --uncompressed --max-file-size --default-value "
    "--tensor-depths --sequence-data --collapse-bands --masked-threshold --pad-border"
)
EXPORTED = (
    "--format --bands --level --region --file-dimensions --compress --overwrite "
    f"{PATCHES} --format-options "
    "--project --uri-prefix"
)
UPLOADED = (
    "--asset-id --asset_id --bands --nodata-value --nodata_value --pyramiding-policy "
    "--pyramiding_policy --last-band-alpha --last_band_alpha --crs -p --property "
    "-ts --time-start --time_start -te --time-end --time_end -o --output"
)
ABOUT = "-m --message --git --no-git --pull-request"
COMMANDS = {
    "init": ("", "--views"),
    "validate": ("SPECS...", "--keep-project-prefix --confine --allow-from --offline"),
    "fmt": ("SPECS...", "--check"),
    "schema": ("", ""),
    "import": ("MANIFEST...", "-o --output --keep-project-prefix"),
    "plan": (
        "SPECS...",
        f"-o --output --detailed-exitcode --keep-going {REHEARSED} {COVERED} --init --executor",
    ),
    "review": ("PLAN", "--format -o --output --base-url"),
    "apply": (
        "SPECS|PLAN...",
        f"{COVERED} --init --expect-plan --keep-going {ABOUT} --executor -y --yes",
    ),
    "ls": ("[PREFIX]", LISTED),
    "info": ("[ASSET]", LISTED),
    "show": ("ASSET", "--at"),
    "log": ("[ASSET]", "-n --max-count"),
    "diff": ("A [B]", "--stats --level --tiles --exit-code"),
    "status": ("[SPECS]...", "--keep-project-prefix --confine --allow-from --detailed-exitcode"),
    "why": ("ASSET [SPECS]...", "--tile --band --keep-project-prefix --confine --allow-from"),
    "serve": ("[STORE]", "--port --host --allow-host --allow-origin --plan"),
    "site": ("DEST", "--tiles --commits"),
    "export": ("ASSET[@COMMIT] [DEST]", EXPORTED),
    "rollback": ("COMMIT [ASSET]...", "-n --dry-run -y --yes"),
    "checkout": ("ASSET[@COMMIT] DEST", "--link"),
    "copy": ("SOURCE TARGET", "--at --keep-last --views -n --dry-run"),
    "pin": ("[NAME] [COMMIT]", "--force"),
    "unpin": ("NAME", ""),
    "verify": ("[ASSET]...", "--sample --seed --at --rehash --executor -o --output --against"),
    "fsck": ("[SPECS]...", "--read-data --read-data-subset --repair -n --dry-run --executor"),
    "gc": ("", "--apply --keep-last --keep-within --grace --now --trust-clock --executor"),
    "doctor": ("", ""),
    "new": ("COMMAND [ARGS]...", ""),
}
"""Per command: what follows `[OPTIONS]`, and its options."""


@pytest.fixture(autouse=True)
def width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines under each heading, up to the next blank line."""
    found = {}
    for block in text.split("\n\n"):
        heading, *lines = block.splitlines()
        found[heading] = lines
    return found


@pytest.mark.parametrize(
    ("command", "positional", "options"),
    [
        *((name, *what) for name, what in COMMANDS.items()),
        ("new image", "FILES...", UPLOADED),
        ("review post", "FILE", "--provider --number --marker --base-url"),
    ],
)
def test_help_of_a_command(command: str, positional: str, options: str) -> None:
    done = geobatch(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out == geobatch(*command.split(), "-h").out
    lines = done.out.splitlines()
    assert lines[0] == f"Usage: geobatch {command} [OPTIONS] {positional}".rstrip()
    assert max(map(len, lines)) <= 80
    found = sections(done.out)
    flags = [
        flag
        for line in found["Options:"]
        if line.startswith("  -")
        for flag in re.findall(r"(?<![\w-])--?[a-z][\w-]*", line[2:].partition("  ")[0])
    ]
    assert flags == [*options.split(), "-h", "--help"]
    # Every argument is explained, beside its name or below it.
    arguments = found.get("Positional arguments:", [])
    names = [line.split()[0] for line in arguments if re.match(r"  \S", line)]
    assert names == ([] if command == "new" else positional.split())
    assert all(re.search(r"\S  +\S", line) for line in arguments if re.match(r"  \S", line))
    if command != "new":
        assert "Every command also accepts: --store DIR" in done.out


def test_help_lists_the_commands_in_the_order_of_work() -> None:
    done = geobatch("--help")
    assert (done.code, done.err) == (0, "")
    assert done.out == geobatch().out == geobatch("-h").out
    found = sections(done.out)
    assert done.out.startswith("Usage: geobatch [OPTIONS] COMMAND [ARGS]...\n")
    rows = [line.split(maxsplit=1) for line in found["Commands:"]]
    assert [name for name, _ in rows] == list(COMMANDS)
    assert all(words for _, words in rows)


def test_defaults_are_shown() -> None:
    for command, option, default in (
        ("ls", "--bounds-crs", "EPSG:4326"),
        ("info", "--bounds-crs", "EPSG:4326"),
        ("log", "--max-count", "1000000"),
        ("export", "--level", "0"),
        ("plan", "--max-delete", "20%"),
        ("gc", "--keep-last", "10"),
        ("gc", "--keep-within", "90d"),
        ("gc", "--grace", "14d"),
    ):
        text = " ".join(geobatch(command, "--help").out.split())
        assert re.search(rf"{option} [^\[]*\[default: {default}[;\]]", text), command


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("plan x --replac y", "No such option '--replac'. (Did you mean"),
        ("fmt x --chck", "Did you mean '--check'?"),
        ("new imgae", "Did you mean 'image'?"),
        ("plan", "Missing argument 'SPECS...'."),
        ("show", "Missing argument 'ASSET'."),
        ("export a b", "Missing option '--format'. Choose from:"),
        (
            "export a b --format COG",
            "'COG' is not one of 'tfrecord', 'cog', 'parquet', 'csv', 'stac', 'manifest'.",
        ),
        ("export a b --format cog --level -1", "-1 is not in the range x>=0."),
        ("log -n 1.5", "'-n' / '--max-count'"),
        ("init x", "Got unexpected extra argument (x)"),
        ("ls --prune", "No such option '--prune'."),
        ("new", "Missing command."),
    ],
)
def test_a_usage_error_says_what_and_where_to_read_on(argv: str, message: str) -> None:
    done = geobatch(*argv.split())
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith("error: ")
    assert message in done.err
    words = argv.split()
    name = "new image" if words[:2] == ["new", "image"] else words[0]
    assert done.err.endswith(f"\nTry `geobatch {name} --help`.\n")
    error = geobatch(*argv.split(), "--json").record("error")
    assert error["hint"] == f"Try `geobatch {name} --help`."
    assert message in error["message"]
    assert "Try " not in error["message"]
