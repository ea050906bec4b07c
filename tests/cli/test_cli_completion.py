"""A shell completes commands, options and choices, by the variables that Typer's scripts set."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from shell import Done, environment, geobatch, process
from test_cli_help import COMMANDS

GLOBAL = "--store --json -j --jobs -q --quiet -v --verbose"


@pytest.fixture(scope="module")
def on_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a `geobatch` that a shell finds."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "geobatch"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m geobatch "$@"\n')
    program.chmod(0o755)
    return folder


def completed(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """Return what bash is told at the end of a command line."""
    words = line.split(" ")
    monkeypatch.setenv("_GEOBATCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    done = geobatch()
    assert (done.code, done.err) == (0, "")
    return done.out.split()


def test_commands_are_completed_in_the_order_of_work(monkeypatch: pytest.MonkeyPatch) -> None:
    assert completed(monkeypatch, "geobatch ") == list(COMMANDS)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "new"])
def test_all_options_of_a_command_are_completed(
    monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    options = f"{COMMANDS[command][1]} -h --help {GLOBAL}".split()
    assert sorted(completed(monkeypatch, f"geobatch {command} -")) == sorted(options)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("geobatch pl", "plan"),
        ("geobatch s", "schema show status serve site"),
        ("geobatch x", ""),
        ("geobatch new ", "image"),
        ("geobatch new image --ti", "--time-start --time_start --time-end --time_end"),
        ("geobatch --ve", "--version --verbose"),
        ("geobatch --version pl", "plan"),
        ("geobatch plan --s", "--sample --select --store"),
        ("geobatch plan specs --select a --s", "--sample --select --store"),
        ("geobatch plan --rehash --re", "--rehearse --replace"),
        ("geobatch plan --nope --re", "--rehearse --rehash --replace"),
        # The global options may be anywhere; their values are files, or numbers.
        ("geobatch --store elsewhere pl", "plan"),
        ("geobatch -j 2 --json -q pl", "plan"),
        ("geobatch ls --store elsewhere --si", "--since"),
        ("geobatch --store ", ""),
        ("geobatch --store pl", ""),
        ("geobatch export a b --format cog --store ", ""),
        # Values: choices are known, paths are the shell's.
        ("geobatch export a b --format ", "tfrecord cog parquet csv stac manifest"),
        ("geobatch export a b --format c", "cog csv"),
        ("geobatch export a b --format=c", "cog csv"),
        ("geobatch plan ", ""),
        ("geobatch plan spec", ""),
        ("geobatch log -n x --h", "--help"),
    ],
)
def test_what_is_completed(monkeypatch: pytest.MonkeyPatch, line: str, expected: str) -> None:
    assert completed(monkeypatch, line) == expected.split()


def test_zsh_and_fish_get_help_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "geobatch plan --se")
    monkeypatch.setenv("_GEOBATCH_COMPLETE", "complete_zsh")
    done = geobatch()
    assert done.out.startswith('_arguments \'*: :(("--select":"Only assets whose id matches; ')
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "geobatch plan --st")
    assert '"--store":"Folder or url of the store."' in geobatch().out
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "geobatch plan ")
    assert geobatch().out == "_files\n"
    monkeypatch.setenv("_GEOBATCH_COMPLETE", "complete_fish")
    for action, code, out in (("is-args", 1, ""), ("get-args", 0, "\n")):
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", action)
        assert geobatch() == Done(code=code, out=out, err="")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", "geobatch va")
    assert geobatch().out == "validate\tCheck specs, and that their source files...\n"


@pytest.mark.parametrize("instruction", ["nope", "complete_ksh", "nope_bash"])
def test_what_no_shell_asks_is_an_error(monkeypatch: pytest.MonkeyPatch, instruction: str) -> None:
    monkeypatch.setenv("_GEOBATCH_COMPLETE", instruction)
    done = geobatch()
    assert (done.code, done.out) == (1, "")
    assert "upported" in done.err or "Invalid" in done.err


@pytest.mark.parametrize("words", [{}, {"COMP_WORDS": "geobatch ", "COMP_CWORD": "x"}])
def test_variables_that_no_shell_set_are_an_error(
    monkeypatch: pytest.MonkeyPatch, words: dict[str, str]
) -> None:
    monkeypatch.setenv("_GEOBATCH_COMPLETE", "complete_bash")
    for name in ("COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    done = geobatch()
    assert (done.code, done.out) == (64, "")
    assert done.err.startswith("error: `_GEOBATCH_COMPLETE` is set, but no shell completes: ")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_installed_for_the_shell_that_asks(
    tmp_path: Path, on_path: Path, shell: str
) -> None:
    """The shell is found among the parents of the process: a script named like it will do."""
    program = shutil.which(shell) or shutil.which("bash")
    assert program is not None
    named = tmp_path / "bin" / shell
    named.parent.mkdir()
    named.symlink_to(program)
    variables = environment(
        HOME=str(tmp_path), PATH=f"{on_path}:{os.environ['PATH']}", SHELL=str(named)
    )
    scripts = {
        option: subprocess.run(
            [named, "-c", f"geobatch {option}; exit $?"],
            env=variables, capture_output=True, text=True, check=True, timeout=60,
        ).stdout
        for option in ("--show-completion", "--install-completion")
    }  # fmt: skip
    assert f"_GEOBATCH_COMPLETE=complete_{shell}" in scripts["--show-completion"]
    assert f"{shell} completion installed in {tmp_path}" in scripts["--install-completion"]
    written = tmp_path / {"bash": ".bash_completions/geobatch.sh", "zsh": ".zfunc/_geobatch"}[shell]
    assert written.read_text().strip() == scripts["--show-completion"].strip()
    assert (tmp_path / f".{shell}rc").exists()


def test_bash_completes_with_the_script(tmp_path: Path, on_path: Path) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    variables = environment(PATH=f"{on_path}:{os.environ['PATH']}")
    script = process(_GEOBATCH_COMPLETE="source_bash").out
    asked = (
        'COMP_WORDS=(geobatch fm); COMP_CWORD=1; _geobatch_completion geobatch; echo "$COMPREPLY"'
    )
    done = subprocess.run(
        [bash, "--norc", "-c", f"{script}\n{asked}"],
        env=variables, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "fmt\n"
    assert re.search(r"^complete -o default ", script, re.MULTILINE), "bash completes files"


def test_a_script_for_machines_is_a_json_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    script = geobatch("--show-completion").out
    done = geobatch("--json", "--show-completion")
    assert done.code == 0
    assert done.record("completion") == {"type": "completion", "text": script}
    assert json.loads(done.out.splitlines()[-1]) == {"type": "exit", "code": 0}


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_another_shell_is_refused(monkeypatch: pytest.MonkeyPatch, option: str) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "tcsh")
    monkeypatch.setattr("typer._completion_shared._get_shell_name", lambda: "tcsh")
    done = geobatch(option)
    assert done.code == 64
    assert "error: completion works in bash, zsh, fish and PowerShell\n" in done.err


def test_help_names_the_options_of_the_whole_command_line() -> None:
    options = geobatch("--help").out.partition("\nOptions:\n")[2].partition("\n\n")[0]
    assert re.findall(r"--[a-z][a-z-]+", options) == [
        "--version", "--install-completion", "--show-completion", "--help",
    ]  # fmt: skip
