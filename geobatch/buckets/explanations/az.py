"""What the errors of Azure Blob Storage mean, and what helps."""

from __future__ import annotations

import re
from collections.abc import Callable
from shlex import quote

from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.explanations.answer import Answer, Request

_ROLES = {
    Operation.READ: "Storage Blob Data Reader",
    Operation.LIST: "Storage Blob Data Reader",
    Operation.WRITE: "Storage Blob Data Contributor",
    Operation.DELETE: "Storage Blob Data Contributor",
}
_LETTERS = {
    Operation.READ: "r", Operation.LIST: "l", Operation.WRITE: "cw", Operation.DELETE: "d",
}  # fmt: skip
"""Letters of a shared access signature's permissions."""
_NAMED = re.compile(r"`([^`]+)`")


def explain(request: Request, answer: Answer) -> BucketError | None:
    """Return the error that an answer means; None if it is not known."""
    known = _KNOWN.get(answer.code)
    # What is not public does not exist for those without credentials.
    if request.access.is_anonymous and (
        answer.code == "ResourceNotFound" or answer.status in (401, 403)
    ):
        known = _anonymous
    if known is None and answer.status in (401, 403):
        known = _denied
    return None if known is None else known(request, answer)


def _account(request: Request) -> str:
    return str(request.access.config.get("account_name", ""))


def _no_container(request: Request, _: Answer) -> BucketError:
    account, bucket = _account(request), request.url.bucket
    return BucketError(
        Failure.NO_BUCKET,
        f"there is no container `{bucket}` in account `{account}`",
        hint=f"make it: `az storage container create --account-name {quote(account)} --name"
        f" {quote(bucket)} --auth-mode login`, or correct the name",
    )


def _archived(request: Request, answer: Answer) -> BucketError:
    is_coming = answer.code == "BlobBeingRehydrated"
    return BucketError(
        Failure.ARCHIVED,
        "the object is archived (access tier `Archive`)"
        + (", and is being restored" if is_coming else ""),
        hint="restore it, which takes hours, and try again: `az storage blob set-tier"
        f" --account-name {quote(_account(request))} --container-name {quote(request.url.bucket)}"
        f" --name {quote(request.url.key)} --tier Hot --auth-mode login`",
    )


def _anonymous(request: Request, _: Answer) -> BucketError:
    return BucketError(
        Failure.DENIED,
        f"container `{request.url.bucket}` of account `{_account(request)}` allows nothing without"
        " credentials",
        hint="unset `GEOBATCH_BUCKET_ANONYMOUS` and `AZURE_SKIP_SIGNATURE`, and log in: `az login`",
    )


def _no_keys(request: Request, _: Answer) -> BucketError:
    return BucketError(
        Failure.DENIED,
        f"account `{_account(request)}` allows no keys",
        hint="log in instead: `unset AZURE_STORAGE_KEY AZURE_STORAGE_CONNECTION_STRING` and"
        " `az login`",
    )


def _not_valid(request: Request, _: Answer) -> BucketError:
    access = request.access
    return BucketError(
        Failure.DENIED,
        f"{access.who} ({access.way}) is not valid for account `{_account(request)}`, or has"
        " expired",
        hint="`az login`, or copy the key or signature again, and compare this computer's clock"
        " with a time server's",
    )


def _not_let_in(request: Request, _: Answer) -> BucketError:
    account = _account(request)
    return BucketError(
        Failure.DENIED,
        f"account `{account}` does not let {request.access.who} in: its network rules forbid it, or"
        " the key or signature is wrong",
        hint="copy the key or signature again, or print the rules: `az storage account show --name"
        f" {quote(account)} --query networkRuleSet`",
    )


def _denied(request: Request, _: Answer) -> BucketError:
    url, access, verb = request.url, request.access, request.operation.value
    account = _account(request)
    if "sas_key" in access.config:
        letters = _LETTERS[request.operation]
        return BucketError(
            Failure.DENIED,
            f"{access.who} ({access.way}) does not allow to {verb} it: `{letters}` is missing in"
            " its permissions",
            hint="make another: `az storage container generate-sas --account-name"
            f" {quote(account)} --name {quote(url.bucket)} --permissions rl{letters.strip('rl')}"
            " --expiry $(date -u -d '+1 day' +%Y-%m-%dT%H:%MZ) --https-only --auth-mode login"
            " --as-user`",
        )
    role = _ROLES[request.operation]
    named = _NAMED.search(access.who)
    whom = quote(named[1]) if named else "ID_OF_THE_IDENTITY"
    return BucketError(
        Failure.DENIED,
        f"{access.who} ({access.way}) may not {verb} it: the role `{role}` is missing",
        hint=f'allow it: `az role assignment create --role "{role}" --assignee {whom} --scope "$(az'
        f" storage account show --name {quote(account)} --query id --output tsv)/blobServices"
        f'/default/containers/{url.bucket}"`; a new role works after up to 10 minutes',
    )


_KNOWN: dict[str, Callable[[Request, Answer], BucketError]] = {
    "ContainerNotFound": _no_container,
    "ContainerBeingDeleted": _no_container,
    "BlobArchived": _archived,
    "BlobBeingRehydrated": _archived,
    "PublicAccessNotPermitted": _anonymous,
    "NoAuthenticationInformation": _anonymous,
    "KeyBasedAuthenticationNotPermitted": _no_keys,
    "AuthenticationFailed": _not_valid,
    "InvalidAuthenticationInfo": _not_valid,
    "ExpiredAuthenticationToken": _not_valid,
    "AuthorizationFailure": _not_let_in,
}
"""What the names of errors mean."""
