"""What the errors of Google Cloud Storage mean, and what helps."""

from __future__ import annotations

import re
from shlex import quote

from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.explanations.answer import Answer, Request
from geobatch.buckets.redaction import redact

_PERMISSIONS = {
    Operation.READ: "storage.objects.get",
    Operation.LIST: "storage.objects.list",
    Operation.WRITE: "storage.objects.create",
    Operation.DELETE: "storage.objects.delete",
}
_ROLES = {
    "storage.objects.get": "roles/storage.objectViewer",
    "storage.objects.list": "roles/storage.objectViewer",
    "storage.objects.create": "roles/storage.objectUser",
    "storage.objects.delete": "roles/storage.objectUser",
    "storage.objects.update": "roles/storage.objectUser",
    "storage.buckets.get": "roles/storage.legacyBucketReader",
    "serviceusage.services.use": "roles/serviceusage.serviceUsageConsumer",
}
"""The least role that has a permission."""
_LACKS = re.compile(r"([^\s<>\"'`]+@[\w.-]+|Anonymous caller) does not have ([a-z]+\.[\w.]+)")
_PERMISSION = re.compile(r"\b((?:storage|serviceusage)\.[a-z]+\.[a-z]+)\b")
_MAIL = re.compile(r"`([^`\s]+@[^`\s]+)`")


def explain(request: Request, answer: Answer) -> BucketError | None:
    """Return the error that an answer means; None if it is not known."""
    bucket, access = request.url.bucket, request.access
    code = answer.code
    if code == "NoSuchBucket" or "bucket does not exist" in answer.message:
        return BucketError(
            Failure.NO_BUCKET,
            f"there is no bucket `{bucket}`",
            hint="`gcloud storage ls` lists the buckets of your project; correct the name, or make"
            f" it: `gcloud storage buckets create {quote(f'gs://{bucket}')}`",
        )
    if code == "UserProjectMissing" or "requester pays" in answer.message.lower():
        return BucketError(
            Failure.DENIED,
            "the bucket's requesters pay, and the request names no project that does",
            hint=f"`export GEOBATCH_BUCKET_REQUESTER_PAYS=gs://{bucket}"
            " GOOGLE_CLOUD_PROJECT=$(gcloud config get project)`",
        )
    if code in ("AccountProblem", "UserProjectAccountProblem"):
        message = f"billing of the project is not active: {redact(answer.message)[:200]}"
        hint = "`gcloud billing projects describe $(gcloud config get project)` shows its state"
        return BucketError(Failure.DENIED, message, hint=hint)
    if answer.status == 401:
        if access.is_anonymous:
            return _denied(request, answer)
        return BucketError(
            Failure.DENIED,
            f"the login of {access.who} ({access.way}) has expired or is not valid",
            hint="log in again: `gcloud auth application-default login`",
        )
    return _denied(request, answer) if answer.status == 403 else None


def _denied(request: Request, answer: Answer) -> BucketError:
    url, access, verb = request.url, request.access, request.operation.value
    found = _LACKS.search(answer.message)
    permission = found[2].rstrip(".") if found else ""
    if not permission:
        permission = (_PERMISSION.findall(answer.message) or [_PERMISSIONS[request.operation]])[0]
    if access.is_anonymous or (found and found[1] == "Anonymous caller"):
        message = (
            f"without credentials, `{permission}` is not allowed: it is not public, or it does not"
            " exist"
        )
        hint = (
            "unset `GEOBATCH_BUCKET_ANONYMOUS`, and log in: `gcloud auth application-default login`"
        )
        return BucketError(Failure.DENIED, message, hint=hint)
    mail = found[1] if found else (_MAIL.findall(access.who) or [""])[0]
    who = f"`{mail}`" if mail else f"{access.who} ({access.way})"
    message = f"{who} may not {verb} it: the permission `{permission}` is missing"
    role = _ROLES.get(permission, "roles/storage.objectUser")
    if not mail:
        hint = f"allow it: give the role `{role}` on `gs://{url.bucket}` to {access.who}"
        return BucketError(Failure.DENIED, message, hint=hint)
    kind = "serviceAccount" if mail.endswith(".gserviceaccount.com") else "user"
    if permission.startswith("serviceusage."):
        command = "gcloud projects add-iam-policy-binding $(gcloud config get project)"
    else:
        command = f"gcloud storage buckets add-iam-policy-binding {quote(f'gs://{url.bucket}')}"
    member = quote(f"{kind}:{mail}")
    hint = f"allow it: `{command} --member={member} --role={role}`"
    return BucketError(Failure.DENIED, message, hint=hint)
