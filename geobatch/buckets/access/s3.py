"""How a bucket of S3, or of a service like it, is reached."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from geobatch.buckets import access
from geobatch.buckets.access.access import (
    DEFAULT_REGION,
    Access,
    checked_url,
    checked_word,
    named_file,
    shown,
    tail,
)
from geobatch.buckets.access.aws_profiles import read_profile, run_process
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.redaction import redact
from geobatch.buckets.settings import Settings
from geobatch.buckets.url import BucketUrl
from geobatch.errors import SettingError
from geobatch.extras import install_hint

_INSTANCE = "http://169.254.169.254"
_ROLES = "/latest/meta-data/iam/security-credentials/"
_CONTAINER = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_BY_BOTO3 = ("role_arn", "sso_session", "sso_start_url", "login_session")
"""Keys of profiles whose credentials only boto3 can get."""


def s3_access(url: BucketUrl, environment: Mapping[str, str], settings: Settings) -> Access:
    """Return how a bucket is reached, in the order in which the tools of AWS search.

    Args:
        url: The bucket.
        environment: Variables and home folder in which credentials are searched for.
        settings: Whether requests are not to be signed, and who pays.

    Raises:
        SettingError: A variable or a profile cannot be used.
        BucketError: There are no credentials.
    """
    name, profile = read_profile(environment)
    endpoint = _endpoint(environment, profile, name)
    region = (
        environment.get("AWS_REGION")
        or environment.get("AWS_DEFAULT_REGION")
        or profile.get("region")
        or (DEFAULT_REGION if endpoint else access.find_region(url.bucket, settings.ca_file))
    )
    checked_word(region, "AWS_REGION")
    is_unsigned = environment.get("AWS_SKIP_SIGNATURE", "").lower() in ("true", "1")
    if is_unsigned or settings.is_anonymous(url):
        found = Access(
            way="anonymous", who="nobody", is_anonymous=True, config={"skip_signature": True}
        )
    else:
        found = (
            _keys(environment)
            or (_boto3(name, profile) if profile.get("role_arn") else None)
            or _web_identity(environment, region)
            or _profile(name, profile)
            or _container(environment)
            or _instance(environment)
            or _none(url.bucket)
        )
    config = {"region": region, **found.config}
    if settings.is_requester_paid(url):
        config["request_payer"] = True
    if endpoint:
        # The library reads `AWS_ENDPOINT_URL_S3` itself, before the endpoint that it is given.
        config["aws_endpoint_url_s3"] = endpoint
    elif region.startswith("cn-") or any(name in environment for name in _ENDPOINTS):
        # It also takes an empty variable for an endpoint.
        config["aws_endpoint_url_s3"] = _own_endpoint(region)
    return Access(
        way=found.way,
        who=found.who,
        endpoint=endpoint,
        region=region,
        is_anonymous=found.is_anonymous,
        config=config,
        provider=found.provider,
    )


def _endpoint(environment: Mapping[str, str], profile: Mapping[str, str], name: str) -> str:
    for variable in _ENDPOINTS:
        if environment.get(variable):
            return checked_url(environment[variable], variable)
    return checked_url(profile.get("endpoint_url", ""), f"endpoint_url of profile {name}")


def _own_endpoint(region: str, *, service: str = "s3") -> str:
    suffix = ".cn" if region.startswith("cn-") else ""
    return f"https://{service}.{region}.amazonaws.com{suffix}"


def _static(
    key: str, secret: str, token: str | None, *, way: str, expires_at: Any = None
) -> Access:
    for value, name in ((key, "access key"), (secret, "secret key"), (token or "", "token")):
        checked_word(value, f"the {name} of {way}".replace("`", ""))
    credential = {
        "access_key_id": key,
        "secret_access_key": secret,
        "token": token or None,
        "expires_at": expires_at,
    }
    return Access(way=way, who=f"access key `{tail(key)}`", provider=lambda: credential)


def _keys(environment: Mapping[str, str]) -> Access | None:
    key = environment.get("AWS_ACCESS_KEY_ID")
    secret = environment.get("AWS_SECRET_ACCESS_KEY")
    if not key and not secret:
        return None
    if not key or not secret:
        lacking = "AWS_SECRET_ACCESS_KEY" if key else "AWS_ACCESS_KEY_ID"
        given = "AWS_ACCESS_KEY_ID" if key else "AWS_SECRET_ACCESS_KEY"
        raise SettingError(
            f"`{given}` is set, and `{lacking}` is not", hint=f"set both, or `unset {given}`"
        )
    return _static(key, secret, environment.get("AWS_SESSION_TOKEN"), way="the environment")


def _web_identity(environment: Mapping[str, str], region: str) -> Access | None:
    file, role = (environment.get(n) for n in ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"))
    if not file or not role:
        return None
    named_file(environment, "AWS_WEB_IDENTITY_TOKEN_FILE")
    config = {"web_identity_token_file": file, "role_arn": role}
    for variable in ("AWS_ENDPOINT_URL_STS", "AWS_STS_ENDPOINT"):
        if variable in environment and "endpoint_url_sts" not in config:
            # The library also takes an empty variable for an endpoint.
            url = checked_url(environment[variable], variable)
            config["endpoint_url_sts"] = url or _own_endpoint(region, service="sts")
    return Access(way="a web identity", who=f"role `{shown(role)}`", config=config)


def _profile(name: str, profile: Mapping[str, str]) -> Access | None:
    way = f"profile `{shown(name)}`"
    key, secret = profile.get("aws_access_key_id"), profile.get("aws_secret_access_key")
    if key and secret:
        return _static(key, secret, profile.get("aws_session_token"), way=way)
    if command := profile.get("credential_process"):
        # It runs now, so that its failure is this error and not one of a request.
        first = run_process(command, name)
        return Access(
            way=f"the `credential_process` of {way}",
            who=f"access key `{tail(first['access_key_id'])}`",
            provider=_once(first, lambda: run_process(command, name)),
        )
    if any(one in profile for one in _BY_BOTO3):
        return _boto3(name, profile)
    return None


def _once(first: dict[str, Any], more: Callable[[], dict[str, Any]]) -> Callable[[], Any]:
    """Return a function that returns a value the first time, and calls another afterwards."""
    kept = [first]
    return lambda: kept.pop() if kept else more()


def _boto3(name: str, profile: Mapping[str, str]) -> Access:
    """Return access by what only boto3 can do: assume a role, or single sign-on."""
    means = "role_arn" if "role_arn" in profile else "single sign-on"
    name = shown(name)
    role = profile.get("role_arn")
    who = f"role `{shown(role)}`" if role else f"profile `{name}`"
    try:
        credentials_of_profile = access.credentials_of_profile
    except ImportError:
        message = f"profile `{name}` uses {means}, which requires the extra `geobatch[s3]`"
        raise BucketError(Failure.DENIED, message, hint=install_hint("s3")) from None
    hint = f"log in again: `aws sso login --profile {name}`" if means != "role_arn" else None
    try:
        provider = credentials_of_profile(name)
    except ValueError as error:
        message = f"profile `{name}` gives no credentials: {redact(str(error))}"
        raise BucketError(Failure.DENIED, message, hint=hint) from None
    return Access(way=f"profile `{name}`", who=who, provider=provider)


def _container(environment: Mapping[str, str]) -> Access | None:
    if not any(environment.get(name) for name in _CONTAINER):
        return None
    config = {
        name.removeprefix("AWS_").lower(): environment[name]
        for name in _CONTAINER
        if environment.get(name)
    }
    checked_url(environment.get(_CONTAINER[1], ""), _CONTAINER[1])
    if relative := environment.get(_CONTAINER[0], ""):
        is_path = relative.startswith("/")
        checked_url(f"http://169.254.170.2{relative}" if is_path else relative, _CONTAINER[0])
    if file := environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        config["container_authorization_token_file"] = file
    elif "container_credentials_relative_uri" not in config:
        message = (
            "`AWS_CONTAINER_CREDENTIALS_FULL_URI` is set, and "
            "`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` is not"
        )
        raise SettingError(message, hint="write the token to a file, and set the variable to it")
    return Access(way="a role of the container", who="the role of this container", config=config)


def _instance(environment: Mapping[str, str]) -> Access | None:
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT"
    endpoint = checked_url(environment.get(variable, ""), variable) or _INSTANCE
    ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = access.ask(endpoint, "/latest/api/token", headers=ttl, method="PUT")
    if token is None:
        return None
    with contextlib.suppress(ValueError):
        role = access.ask(endpoint, _ROLES, headers={"X-aws-ec2-metadata-token": token})
        if role and role.strip():
            return Access(
                way="a role of the instance",
                who=f"role `{role.split()[0][:100]}` of this instance",
                config={"metadata_endpoint": endpoint},
            )
    return None


def _none(bucket: str) -> Access:
    raise BucketError(Failure.DENIED, "no credentials of AWS were found", hint=none_hint(bucket))


def none_hint(bucket: str) -> str:
    """Return what to do without credentials."""
    return (
        "log in as for the tools of AWS (`aws configure`, or `AWS_PROFILE`, or"
        " `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`); if the bucket is public,"
        f" `export GEOBATCH_BUCKET_ANONYMOUS=s3://{bucket}`"
    )
