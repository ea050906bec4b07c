"""Credentials that only boto3 can get; it is optional."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from obstore.auth.boto3 import Boto3CredentialProvider


def credentials_of_profile(name: str) -> Any:
    """Return a function that returns credentials of a profile; it was called once.

    Raises:
        ValueError: There are none.
    """
    try:
        provider = Boto3CredentialProvider(boto3.Session(profile_name=name))
        provider()
    except (BotoCoreError, ClientError, AssertionError) as error:
        raise ValueError(str(error)) from error
    return provider
