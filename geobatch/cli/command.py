"""Typer's commands as geobatch needs them: how values are read, and the layout of help.

Only this module imports private names of Typer. Typer reads each value with pydantic, which takes
longer to load than Typer itself and all commands; so values are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import typer
from typer._click import Command as AnyCommand
from typer._click import Context, HelpFormatter
from typer._click.exceptions import NoSuchOption, UsageError
from typer._click.shell_completion import CompletionItem
from typer._coercion import RuntimeParam
from typer._display import describe_number_range
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from geobatch.cli.settings import GLOBAL_OPTIONS

__all__ = [
    "AnyCommand",
    "Command",
    "CompletionItem",
    "Context",
    "Group",
    "NoSuchOption",
    "UsageError",
    "group",
]

_NUMBERS = {int: "integer", float: "float"}


class _Plain(RuntimeParam):
    """Reads the values of one parameter without pydantic."""

    def _coerce_value(self, value: Any, param: Any, ctx: Context) -> Any:
        """Return what was typed as what the function of the command takes.

        Raises:
            typer.BadParameter: The text is no such value.
        """
        if isinstance(value, (list, tuple)):
            return [self._coerce_value(item, param, ctx) for item in value]
        if not isinstance(value, str):  # a flag, or a default
            return value
        described = param.type_descriptor
        if described.is_choice:
            if value in described.choices:
                return value
            names = ", ".join(map(repr, described.choices))
            raise typer.BadParameter(f"{value!r} is not one of {names}.", ctx=ctx, param=param)
        kind = get_args(self.annotation)[0] if described.is_list else self.annotation
        if kind in _NUMBERS:
            return self._number(kind, value, param, ctx)
        if kind not in {str, Path}:
            raise TypeError(f"`{param.name}` is a {kind}: it needs a way to be read here")
        return kind(value)

    @staticmethod
    def _number(kind: type[float], text: str, param: Any, ctx: Context) -> float:
        limits = describe_number_range(param.min, param.max)
        try:
            number = kind(text)
        except ValueError:
            message = f"{text!r} is not a valid {_NUMBERS[kind]}{' range' if limits else ''}."
            raise typer.BadParameter(message, ctx=ctx, param=param) from None
        is_low = param.min is not None and number < param.min
        if is_low or (param.max is not None and number > param.max):
            message = f"{number} is not in the range {limits}."
            raise typer.BadParameter(message, ctx=ctx, param=param)
        return number


def _read_plainly(command: TyperCommand | TyperGroup, context: Context) -> None:
    for param in command.get_params(context):
        if isinstance(param, (TyperArgument, TyperOption)):
            described = param.type_descriptor
            param._runtime_param = _Plain(described.parameter_info, described.annotation)  # noqa: SLF001


def _global_options(incomplete: str) -> list[CompletionItem]:
    return [
        CompletionItem(name, help=text)
        for name, text in GLOBAL_OPTIONS.items()
        if incomplete.startswith("-") and name.startswith(incomplete)
    ]


class Command(TyperCommand):
    """A command; its help names arguments as they are declared."""

    allow_extra_args = True  # so that they are refused here, with the number in the message

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the values of a command line."""
        _read_plainly(self, ctx)
        left = super().parse_args(ctx, args)
        if left and not ctx.resilient_parsing:
            ctx.fail(f"Got unexpected extra argument{'s' * (len(left) > 1)} ({' '.join(left)})")
        return left

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return the options that start like this."""
        return [*super().shell_complete(ctx, incomplete), *_global_options(incomplete)]

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        """Return what follows the name in the line of usage."""
        arguments = (param for param in self.get_params(ctx) if isinstance(param, TyperArgument))
        return ["[OPTIONS]", *(argument.display_name_raw for argument in arguments)]

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the arguments and the options, each with its help."""
        params = self.get_params(ctx)
        arguments = [
            (param.display_name_raw, param.help or "")
            for param in params
            if isinstance(param, TyperArgument)
        ]
        options = [param.get_help_record(ctx) for param in params if isinstance(param, TyperOption)]
        for heading, rows in (("Positional arguments", arguments), ("Options", options)):
            shown = [row for row in rows if row is not None]
            if shown:
                with formatter.section(heading):
                    formatter.write_dl(shown)


class Group(TyperGroup):
    """Commands under one name."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the options before the name of a command."""
        _read_plainly(self, ctx)
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Return the options or commands that start like this."""
        return [*super().shell_complete(ctx, incomplete), *_global_options(incomplete)]


def group(**settings: Any) -> typer.Typer:
    """Return a Typer app for commands; help is plain text, and errors are raised."""
    return typer.Typer(
        **{"cls": Group, "rich_markup_mode": None, "add_completion": False} | settings
    )
