"""The entry point of the command line: global options, and exit codes for errors."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Never

import typer
from typer.completion import shell_complete

from geobatch.cli.app import app
from geobatch.cli.command import UsageError
from geobatch.cli.exits import Exit, exit_code
from geobatch.cli.output import Output
from geobatch.cli.settings import Settings, UsageProblem, take_settings
from geobatch.cli.usage import usage_words
from geobatch.errors import GeobatchError, InterruptedRunError
from geobatch.model.limits import check_variables


def main(argv: Sequence[str] | None = None) -> Never:
    """Run the command line and exit with a code of `Exit`."""
    _tune()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # the caller closed it
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as we run
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = run(sys.argv[1:] if argv is None else argv)
    _leave(code)


_COMPLETION = "_GEOBATCH_COMPLETE"
"""The variable by which a shell asks for completion."""
_SHOW_CURSOR = b"\x1b[?25h"


def _leave(code: int) -> Never:
    """End the process, all output being flushed, with what was registered for its end.

    To take all modules apart, as Python would, is a tenth of what a plan takes that finds nothing.
    """
    atexit._run_exitfuncs()  # noqa: SLF001 - there is no public way to do this and no more
    os._exit(code)


def _tune() -> None:
    """Set the process up for what geobatch does."""
    # Nothing here multiplies matrices, and numpy would start a thread per processor to do so.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # What a spec means must not depend on what else is installed; nor is all of that searched.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; prints, but never a traceback."""
    with _terminable() as interruption:
        try:
            return _run(argv, interruption)
        except BrokenPipeError:  # the reader of our output has seen enough
            _close_stdout()
        except OSError as error:
            _close_stdout()
            with contextlib.suppress(OSError):
                sys.stderr.write(f"error: cannot print: {error.strerror or error}\n")
        except KeyboardInterrupt:
            return interruption.code
        return Exit.ERROR


class _Interruption:
    """What has interrupted the run: Ctrl-C, or SIGTERM, which is handled in the same way."""

    code = Exit.INTERRUPTED
    _is_under_way = False

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Stop the run; the second time, end the process at once: this does not harm a store."""
        self.code = Exit.TERMINATED if number == signal.SIGTERM else Exit.INTERRUPTED
        if self._is_under_way:
            with contextlib.suppress(OSError):
                if os.isatty(2):
                    os.write(2, _SHOW_CURSOR)
                os.write(2, b"\ninterrupted again: exiting now, nothing is lost\n")
            os._exit(self.code)
        self._is_under_way = True
        raise KeyboardInterrupt


@contextlib.contextmanager
def _terminable() -> Iterator[_Interruption]:
    interruption = _Interruption()
    # A shell makes a process in the background ignore Ctrl-C.
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    numbers = [signal.SIGTERM, *([] if is_ignored else [signal.SIGINT])]
    before = {number: signal.signal(number, interruption.handle) for number in numbers}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(argv: Sequence[str], interruption: _Interruption) -> Exit:
    output = Output(is_json="--json" in argv, is_quiet=False)
    try:
        settings, rest = take_settings(argv, os.environ)
        output = settings.output
        check_variables(os.environ)
        code = _invoke(rest, settings)
    except UsageProblem as problem:
        output.error_text(str(problem), "Try `geobatch --help`.", code="usage")
        code = Exit.USAGE
    except UsageError as error:
        output.error_text(*usage_words(error), code="usage")
        code = Exit.USAGE
    except (InterruptedRunError, KeyboardInterrupt) as error:
        if not isinstance(error, GeobatchError):
            error = InterruptedRunError(
                "interrupted", hint="run the same command again: what was finished is kept"
            )
        output.error(error)
        code = interruption.code
    except GeobatchError as error:
        output.error(error)
        code = exit_code(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f": `{error.filename}`" if error.filename else ""
        output.error_text(f"{error.strerror or error}{place}", code="system")
        code = Exit.ERROR
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug, said plainly
        if "-v" in argv or "--verbose" in argv:
            traceback.print_exc()
        text, hint, name = _unexpected(error)
        output.error_text(text, f"hint: {hint}", code=name)
        code = Exit.ERROR
    output.end(code)
    return code


def _unexpected(error: Exception) -> tuple[str, str, str]:
    """Return what is said of an error that nothing handled, a hint, and its name for machines."""
    if isinstance(error, MemoryError):
        hint = "give the process more, or use fewer workers: `-j 1`"
        return "there is not enough memory", hint, "system"
    if isinstance(error, ImportError):  # also if there is no memory for a library
        hint = "give the process more memory, or install geobatch again"
        return f"a library cannot be loaded: {error}", hint, "system"
    hint = "run again with `-v` and report what it prints"
    return f"a bug in geobatch: {type(error).__name__}: {error}", hint, "internal"


def _invoke(argv: Sequence[str], settings: Settings) -> Exit:
    text = io.StringIO()
    kind = _printed(argv)
    with (
        contextlib.redirect_stdout(text)
        if kind and settings.output.is_json
        else contextlib.nullcontext()
    ):
        code = _call(list(argv) or ["--help"], settings)
    if kind and text.getvalue():
        settings.output.record(kind, text=text.getvalue())
    return code


def _printed(argv: Sequence[str]) -> str:
    """Return what Typer itself prints for a command line: help, completion, or nothing."""
    if not argv or not {"-h", "--help"}.isdisjoint(argv):
        return "help"
    is_completion = not {"--install-completion", "--show-completion"}.isdisjoint(argv)
    return "completion" if is_completion else ""


def _call(argv: list[str], settings: Settings) -> Exit:
    """Run a command; without Typer's `main`, which would handle some of our errors itself."""
    try:
        asked = os.environ.get(_COMPLETION)
        if asked:  # a shell completes a command line, which other variables hold
            return _complete(asked)
        with app.make_context("geobatch", argv, obj=settings) as context:
            code: Exit = app.invoke(context)
    except typer.Exit as error:  # help, the version or a completion was printed
        if error.exit_code:
            raise UsageProblem("completion works in bash, zsh, fish and PowerShell") from None
        return Exit.OK
    except SystemExit as error:  # completion was installed, or answered
        return Exit.ERROR if error.code else Exit.OK
    return code


def _complete(asked: str) -> Exit:
    try:
        return Exit(shell_complete(app, {}, "geobatch", _COMPLETION, asked))
    except (KeyError, ValueError) as error:  # another variable is missing, or no number
        raise UsageProblem(f"`{_COMPLETION}` is set, but no shell completes: {error}") from None


def _close_stdout() -> None:
    """Point stdout elsewhere, so that what is still to be flushed on exit stays quiet."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
