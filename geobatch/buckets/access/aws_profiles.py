"""Profiles of `~/.aws/config` and `~/.aws/credentials`, and the programs that they name."""

from __future__ import annotations

import configparser
import json
import shlex
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from geobatch.buckets.access.access import shown
from geobatch.buckets.errors import BucketError, Failure
from geobatch.errors import SettingError

_PROCESS_SECONDS = 60
"""Longest time that a `credential_process` may take: it may ask a person."""
_VERSION = 1
"""Version of the answer of a `credential_process`."""


def read_profile(environment: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the name of the profile in use, and what both files say of it.

    Raises:
        SettingError: `AWS_PROFILE` names a profile that neither file has, or a file is not valid.
    """
    asked = environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or ""
    name = asked or "default"
    found: dict[str, str] = {}
    config = _read(environment, "AWS_CONFIG_FILE", "config")
    credentials = _read(environment, "AWS_SHARED_CREDENTIALS_FILE", "credentials")
    # Keys of the credentials file count more, as in the tools of AWS.
    sections = [(config, f"profile {name}"), (credentials, name)]
    if name == "default":
        sections.insert(0, (config, name))
    for file, section in sections:
        if file.has_section(section):
            found |= dict(file.items(section, raw=True))
    if asked and not found:
        raise SettingError(
            f"`AWS_PROFILE` is `{shown(asked)}`, and there is no such profile",
            hint="`aws configure list-profiles` lists the profiles; "
            f"`aws configure --profile {shlex.quote(shown(asked))}` makes this one",
        )
    return name, found


def _read(environment: Mapping[str, str], variable: str, name: str) -> configparser.RawConfigParser:
    home = environment.get("HOME", "")
    path = environment.get(variable) or (str(Path(home, ".aws", name)) if home else "")
    # A key may be indented below `s3 =`; nothing of these blocks is used.
    file = configparser.RawConfigParser(strict=False, default_section="\0", delimiters=("=",))
    try:
        file.read(Path(path).expanduser() if path else [], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError, RuntimeError) as error:
        lines = getattr(error, "errors", None) or [(getattr(error, "lineno", None), "")]
        line = lines[0][0]
        where = f"`{shown(path)}`" + (f", line {line}," if isinstance(line, int) else "")
        # The message of the library quotes the line, which may hold a key.
        raise SettingError(
            f"{where} is not valid as a file of AWS profiles",
            hint="correct it, or name another: `aws configure list` shows what is read",
        ) from None
    return file


def run_process(command: str, profile: str) -> dict[str, Any]:
    """Return the credentials that a profile's `credential_process` prints.

    Raises:
        BucketError: It fails, or prints something else. The message never contains its output.
    """
    hint = f"run it by hand, as `aws sts get-caller-identity --profile {shlex.quote(profile)}`"
    who = f"the `credential_process` of profile `{profile}`"
    try:
        done = subprocess.run(  # noqa: S603 - the user's own profile names it, as for other tools
            shlex.split(command), capture_output=True, timeout=_PROCESS_SECONDS, check=False
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise BucketError(Failure.DENIED, f"{who} cannot be run: {why}", hint=hint) from None
    if done.returncode:
        message = f"{who} failed with exit code {done.returncode}"
        raise BucketError(Failure.DENIED, message, hint=hint)
    try:
        said = json.loads(done.stdout)
        expires = said.get("Expiration")
        found = {
            "access_key_id": said["AccessKeyId"],
            "secret_access_key": said["SecretAccessKey"],
            "token": said.get("SessionToken"),
            "expires_at": datetime.fromisoformat(expires) if expires else None,
        }
        is_right = said.get("Version") == _VERSION
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        is_right = False
    if not is_right:
        message = f"{who} printed something else than credentials of version 1"
        raise BucketError(Failure.DENIED, message, hint=hint)
    return found
