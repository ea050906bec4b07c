"""The door from the shell: global options, errors to exit codes, and nothing past it."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import FrameType
from typing import Any, Never

import typer

from geobatch.cli.app import app
from geobatch.cli.exits import Exit, exit_code
from geobatch.cli.output import Output
from geobatch.cli.settings import Settings, UsageProblem, take_settings
from geobatch.errors import GeobatchError, InterruptedRunError

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Click's own base of usage errors, wherever this typer keeps its click."""


def main(argv: Sequence[str] | None = None) -> Never:
    """Run the command line and exit with a code of `Exit`."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def run(argv: Sequence[str]) -> int:
    """Run the command line and return its exit code; prints, but never a traceback."""
    output = Output(is_json="--json" in argv, is_quiet=False)
    interruption = _Interruption()
    before = signal.signal(signal.SIGTERM, interruption.terminate)
    try:
        settings, rest = take_settings(argv, os.environ)
        output = settings.output
        code = _invoke(rest, settings)
    except UsageProblem as problem:
        output.error_text(f"{problem}\nTry `geobatch --help`.", code="usage")
        code = Exit.USAGE
    except _UsageError as error:
        code = _refuse_usage(error, output)
    except (InterruptedRunError, KeyboardInterrupt, typer.Abort) as error:
        if not isinstance(error, GeobatchError):
            error = InterruptedRunError("interrupted; nothing was published")
        output.error(error)
        code = interruption.code
    except GeobatchError as error:
        output.error(error)
        code = exit_code(error)
    except OSError as error:
        code = _refuse_system(error, output)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a bug, said plainly
        if "-v" in argv or "--verbose" in argv:
            traceback.print_exc()
        output.error_text(
            f"a bug of geobatch: {type(error).__name__}: {error}\n"
            "hint: run again with `-v` and report what it prints",
            code="internal",
        )
        code = Exit.ERROR
    finally:
        signal.signal(signal.SIGTERM, before)
    output.end(code)
    return code


class _Interruption:
    """What has interrupted the run: Ctrl-C, or SIGTERM, which is handled alike."""

    code = Exit.INTERRUPTED

    def terminate(self, _signal: int, _frame: FrameType | None) -> None:
        self.code = Exit.TERMINATED
        raise KeyboardInterrupt


def _invoke(argv: Sequence[str], settings: Settings) -> int:
    result = typer.main.get_command(app).main(
        args=list(argv) or ["--help"], prog_name="geobatch", standalone_mode=False, obj=settings
    )
    sys.stdout.flush()
    return result if isinstance(result, int) else Exit.OK


def _refuse_usage(error: Any, output: Output) -> Exit:
    if output.is_json:
        output.error_text(error.format_message(), code="usage")
    else:
        error.show()
    return Exit.USAGE


def _refuse_system(error: OSError, output: Output) -> Exit:
    if isinstance(error, BrokenPipeError):
        # The reader of our output has gone: point stdout elsewhere, so that exiting stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    else:
        place = f": `{error.filename}`" if error.filename else ""
        output.error_text(f"{error.strerror or error}{place}", code="system")
    return Exit.ERROR
