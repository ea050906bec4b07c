"""The app: the names of the commands, in the order of work, and where each is."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer

from geobatch.cli.command import AnyCommand, CompletionItem, Context, Group, group
from geobatch.cli.settings import EPILOG, Settings, UsageProblem, take_settings
from geobatch.versions import VERSION

_MODULES = {
    "init": "build.init",
    "validate": "specs.validate",
    "fmt": "specs.fmt",
    "schema": "specs.schema",
    "import": "specs.import_manifests",
    "plan": "build.plan",
    "review": "review.review",
    "review post": "review.post",
    "apply": "build.apply",
    "ls": "published.ls",
    "info": "published.info",
    "show": "published.show",
    "log": "published.log",
    "diff": "published.diff",
    "status": "published.status",
    "why": "published.why",
    "serve": "serve.serve",
    "site": "serve.site",
    "export": "export.export",
    "rollback": "maintenance.rollback",
    "checkout": "maintenance.checkout",
    "copy": "maintenance.copy",
    "pin": "maintenance.pin",
    "unpin": "maintenance.pin",
    "verify": "maintenance.verify",
    "fsck": "maintenance.fsck",
    "gc": "maintenance.gc",
    "doctor": "maintenance.doctor",
    "new": "specs.new",
}
"""The module of each command, in `commands/`."""

_LACKS_VALUE = f"{__name__}.lacks_value"


class _Commands(Group):
    """Loads the module of a command when the command is needed."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the options before the name of a command.

        In a completion, the global options are still there.
        """
        if ctx.resilient_parsing:
            try:
                args = [*take_settings(args, {})[1]]
            except UsageProblem:  # the value of one is not typed yet
                ctx.meta[_LACKS_VALUE] = True
                args = []
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return the options or commands that start like this; a value is for the shell."""
        return [] if _LACKS_VALUE in ctx.meta else super().shell_complete(ctx, incomplete)

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002 - Typer passes it
        """Return the names, in the order of work; one of two words is in the help of the first."""
        return [name for name in _MODULES if " " not in name]

    def get_command(self, ctx: Context, cmd_name: str) -> AnyCommand | None:  # noqa: ARG002
        """Return a command, or None if there is none of this name."""
        if cmd_name in _MODULES and cmd_name not in self.commands:
            module: Any = import_module(f"geobatch.cli.commands.{_MODULES[cmd_name]}")
            self.commands.update(typer.main.get_group(module.app).commands)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, AnyCommand | None, list[str]]:
        """Find the command of a command line; a mistyped one is compared with all names."""
        if (both := " ".join(args[:2])) in _MODULES:  # a name of two words
            args = [both, *args[2:]]
        if args[0] not in _MODULES:
            for name in _MODULES:
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


def _print_version(context: typer.Context, is_asked: bool) -> None:
    if is_asked and not context.resilient_parsing:
        settings: Settings = context.obj
        settings.output.line(f"geobatch {VERSION}")
        settings.output.record("version", version=VERSION)
        raise typer.Exit


_app = group(
    cls=_Commands,
    add_completion=True,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@_app.callback()
def _build(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Build raster assets from reviewed specs; only what changed is rebuilt."""


app = typer.main.get_command(_app)
"""The whole command line."""
