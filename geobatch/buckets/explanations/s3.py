"""What the errors of S3 mean, and what helps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from shlex import quote

from geobatch.buckets.access.region import ask_region
from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.explanations.answer import Answer, Request
from geobatch.buckets.redaction import redact

_PERMISSIONS = {
    Operation.READ: "s3:GetObject",
    Operation.LIST: "s3:ListBucket",
    Operation.WRITE: "s3:PutObject",
    Operation.DELETE: "s3:DeleteObject",
}
_PAST = {
    Operation.READ: "read", Operation.LIST: "listed", Operation.WRITE: "written",
    Operation.DELETE: "deleted",
}  # fmt: skip
_ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::[0-9]*:[\w+=,.@/-]+", re.ASCII)
_ACTION = re.compile(r"perform: ([a-z0-9-]+:[A-Za-z]+)")
_EXPECTED = re.compile(r"expecting '([a-z0-9-]+)'")


def explain_region(request: Request, answer: Answer) -> BucketError:
    """Return the error of a request that was sent to another region than the bucket's."""
    right = answer.element("Region") or (_EXPECTED.findall(answer.message) or [""])[0]
    if not right:
        endpoint = request.access.endpoint or "https://s3.amazonaws.com"
        right = ask_region(f"{endpoint}/{request.url.bucket}")
    region = request.access.region
    if not right:
        message = f"bucket `{request.url.bucket}` is in another region than `{region}`"
        hint = f"`aws s3api get-bucket-location --bucket {quote(request.url.bucket)}` prints it"
        return BucketError(Failure.OTHER, message, hint=f"{hint}; set `AWS_REGION` to it")
    right = redact(right)[:40]
    message = f"bucket `{request.url.bucket}` is in region `{right}`, expected `{region}`"
    return BucketError(Failure.OTHER, message, hint=f"`export AWS_REGION={quote(right)}`")


def explain(request: Request, answer: Answer) -> BucketError | None:
    """Return the error that an answer means; None if it is not known."""
    known = _KNOWN.get(answer.code)
    if known is not None:
        return known(request, answer)
    return _denied(request, answer) if answer.status in (401, 403) else None


def _no_bucket(request: Request, _: Answer) -> BucketError:
    bucket = request.url.bucket
    return BucketError(
        Failure.NO_BUCKET,
        f"there is no bucket `{bucket}`",
        hint="`aws s3 ls` lists your buckets; correct the name, or the endpoint in"
        f" `AWS_ENDPOINT_URL`, or make it: `aws s3 mb {quote(f's3://{bucket}')}`",
    )


def _archived(request: Request, answer: Answer) -> BucketError:
    storage = redact(answer.element("StorageClass"))[:40] or "of an archive"
    return BucketError(
        Failure.ARCHIVED,
        f"the object is archived (storage class `{storage}`)",
        hint="restore it, which takes minutes to hours, and try again: `aws s3api restore-object"
        f" --bucket {quote(request.url.bucket)} --key {quote(request.url.key)}"
        " --restore-request Days=7`",
    )


def _expired(request: Request, _: Answer) -> BucketError:
    access = request.access
    return BucketError(
        Failure.DENIED,
        f"the session of {access.who} ({access.way}) has expired or is not valid",
        hint="log in again, such as by `aws sso login`, or renew `AWS_SESSION_TOKEN`",
    )


def _unknown_key(request: Request, _: Answer) -> BucketError:
    access = request.access
    return BucketError(
        Failure.DENIED,
        f"the service does not know {access.who} ({access.way})",
        hint="`aws configure list` shows which key is used; check that `AWS_ENDPOINT_URL` is the"
        " service that the key is of",
    )


def _wrong_secret(request: Request, _: Answer) -> BucketError:
    access = request.access
    return BucketError(
        Failure.DENIED,
        f"the secret of {access.who} ({access.way}) is wrong",
        hint="copy the secret key again: `aws configure`, or `AWS_SECRET_ACCESS_KEY`",
    )


_KNOWN: dict[str, Callable[[Request, Answer], BucketError]] = {
    "AuthorizationHeaderMalformed": explain_region,
    "PermanentRedirect": explain_region,
    "IllegalLocationConstraintException": explain_region,
    "NoSuchBucket": _no_bucket,
    "InvalidObjectState": _archived,
    "ExpiredToken": _expired,
    "ExpiredTokenException": _expired,
    "TokenRefreshRequired": _expired,
    "InvalidToken": _expired,
    "InvalidAccessKeyId": _unknown_key,
    "SignatureDoesNotMatch": _wrong_secret,
}
"""What the names of errors mean."""


def _denied(request: Request, answer: Answer) -> BucketError:
    url, access = request.url, request.access
    verb = request.operation.value
    if access.is_anonymous:
        return BucketError(
            Failure.DENIED,
            f"it may not be {_PAST[request.operation]} without credentials: it is not public, or it"
            " does not exist",
            hint="unset `GEOBATCH_BUCKET_ANONYMOUS` and `AWS_SKIP_SIGNATURE`, and log in",
        )
    arn = (_ARN.findall(answer.message) or [""])[0]
    permission = (_ACTION.findall(answer.message) or [_PERMISSIONS[request.operation]])[0]
    who = f"`{arn}`" if arn else f"{access.who} ({access.way})"
    message = f"{who} may not {verb} it: the permission `{permission}` is missing"
    if "explicit deny" in answer.message:
        message = f"{who} may not {verb} it: a policy denies `{permission}`"
        return BucketError(Failure.DENIED, message, hint=_identity_hint(permission, url.bucket))
    notes = []
    if request.operation is Operation.READ and not arn:
        notes.append("S3 also answers so if there is no such object and `s3:ListBucket` is missing")
    if "request_payer" not in access.config and not arn:
        pays = f"`export GEOBATCH_BUCKET_REQUESTER_PAYS=s3://{url.bucket}`"
        notes.append(f"if the bucket's requesters pay, {pays}")
    hint = "; ".join([_grant(arn, permission, url.bucket), *notes])
    return BucketError(Failure.DENIED, message, hint=hint)


def _identity_hint(permission: str, bucket: str) -> str:
    return (
        f"ask who keeps bucket `{bucket}` which policy denies `{permission}`: "
        f"`aws s3api get-bucket-policy --bucket {quote(bucket)}` prints the bucket's"
    )


def _grant(arn: str, permission: str, bucket: str) -> str:
    """Return a hint with the command that gives a permission to an identity."""
    kind, _, rest = arn.rpartition(":")[2].partition("/")
    name = rest.partition("/")[0] if kind == "assumed-role" else rest.rpartition("/")[2]
    if kind not in ("user", "role", "assumed-role") or not permission.startswith("s3:"):
        return (
            f"allow `{permission}`; `aws sts get-caller-identity` shows whom to allow it, and"
            " docs/cloud.md has whole policies"
        )
    target = "user" if kind == "user" else "role"
    resource = f"arn:aws:s3:::{bucket}" + ("" if "Bucket" in permission else "/*")
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": permission, "Resource": resource}],
    }
    return (
        f"allow it: `aws iam put-{target}-policy --{target}-name {quote(name)} --policy-name"
        f" geobatch-{permission.partition(':')[2]} --policy-document {quote(json.dumps(policy))}`"
    )
