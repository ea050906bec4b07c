"""What is said of a command line that is wrong."""

from __future__ import annotations

from geobatch.cli.command import NoSuchOption, UsageError

_NEVER_SUGGESTED = frozenset({"--prune", "--replace", "--max-delete", "--overwrite", "--init"})
"""Options that delete, compute again, or create something: they are never suggested."""
_DRY = frozenset({"--dry-run", "--dryrun", "--check", "--what-if", "--whatif", "--preview", "-n"})
"""What other tools call a run that changes nothing."""


def usage_words(error: UsageError) -> tuple[str, str]:
    """Return the message of a usage error, and a hint where to read on."""
    command = error.ctx.command_path if error.ctx is not None else "geobatch"
    message = _unknown(error) if isinstance(error, NoSuchOption) else error.format_message()
    return message, f"Try `{command} --help`."


def _unknown(error: NoSuchOption) -> str:
    """Return the message of an unknown option; it suggests none which deletes or overwrites."""
    name = error.option_name
    if name in _DRY:
        return f"No such option: {name}; `geobatch plan` shows what apply would do"
    harmless = sorted(one for one in error.possibilities or () if one not in _NEVER_SUGGESTED)
    names = ", ".join(map(repr, harmless))
    if len(harmless) > 1:
        return f"No such option {name!r}. (Did you mean one of: {names}?)"
    return f"No such option {name!r}." + (f" Did you mean {names}?" if names else "")
