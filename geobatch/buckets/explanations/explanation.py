"""Errors of the library that sends requests, turned into ours."""

from __future__ import annotations

import re
from typing import Any

import obstore
from msgspec import structs
from obstore import exceptions

from geobatch.buckets.client import access_of, client, is_reached, mark_reached
from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.explanations import az, gs, network, s3
from geobatch.buckets.explanations.answer import Answer, Request, parse_answer
from geobatch.buckets.redaction import first_line, redact
from geobatch.buckets.url import BucketUrl

_CLOUDS = {"s3": s3.explain, "gs": gs.explain, "az": az.explain}
_METADATA = re.compile(
    r"/latest/(?:api/token|meta-data)|computeMetadata|metadata/identity|169\.254\."
)
_TOKENS = re.compile(
    r"token request|performing POST REDACTED|External \w+ credential provider"
    r"|Error getting credentials|oauth2"
)
_NO_BUCKET = {"s3": "NoSuchBucket", "gs": "NoSuchBucket", "az": "ContainerNotFound"}
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_SILENT = (400, 401, 403, 404, 409)
"""Statuses that a second request explains if the first one, a HEAD, has no text."""


def explain(url: BucketUrl, operation: Operation, error: Exception) -> BucketError:
    """Return the error of geobatch for one of the library; it contains no secret.

    It may send another request, to learn what the answer to a HEAD does not say.

    Args:
        url: The object or the prefix.
        operation: What was to be done.
        error: What the library raised.
    """
    if isinstance(error, BucketError):
        return error
    text = str(error)
    answer = parse_answer(text)
    is_silent = answer.status in _SILENT and not answer.body and " HEAD " in text
    if is_silent and not (answer.status == 404 and is_reached(url)):
        text, answer = _ask_again(url, text, answer)
    request = Request(url=url, operation=operation, access=access_of(url))
    found = _explain(request, answer, error, text)
    is_redirected = "redirect without LOCATION" in text
    if found.failure is Failure.MISSING:
        mark_reached(url)
    found.status = answer.status or (301 if is_redirected else 0)
    return found


def _ask_again(url: BucketUrl, text: str, answer: Answer) -> tuple[str, Answer]:
    """Return the text of a second request for the object, and its answer, if it failed alike."""
    options: Any = {"range": (0, 1)}
    try:
        obstore.get(client(url), url.key, options=options)
    except Exception as again:  # noqa: BLE001 - it is only read
        second = parse_answer(str(again))
        # A service may answer a HEAD of an archived object, but not send it.
        if second.status == answer.status:
            return str(again), second
    return text, answer


def _explain(request: Request, answer: Answer, error: Exception, text: str) -> BucketError:
    access = request.access
    if _METADATA.search(text):
        message = f"{access.way} gave no credentials{_said(answer)}"
        return BucketError(Failure.DENIED, message, hint=_login_hint(request))
    if _TOKENS.search(text) and (answer.status or "External" in text):
        said = _said(answer) or f": {first_line(text.rpartition('provider:')[2])}"
        message = f"{access.who} ({access.way}) got no token{said}"
        return BucketError(Failure.DENIED, message, hint=_login_hint(request))
    if request.url.scheme == "s3" and (
        "redirect without LOCATION" in text or answer.status in (301, 307)
    ):
        return s3.explain_region(request, answer)
    if answer.code in _SKEWED or "time too skewed" in text.lower():
        return BucketError(
            Failure.DENIED,
            "this computer's clock differs too much from the service's",
            hint="synchronise it, such as by `sudo timedatectl set-ntp true`, and try again",
        )
    if answer.status == 404 and request.operation is Operation.LIST:
        # Only a bucket can be missing; services like S3 name other codes.
        answer = structs.replace(answer, code=_NO_BUCKET[request.url.scheme])
    return (
        _CLOUDS[request.url.scheme](request, answer)
        or _busy(answer)
        or _by_kind(error, answer)
        or network.explain(request, text)
        or BucketError(Failure.OTHER, _plain(answer, text))
    )


def _by_kind(error: Exception, answer: Answer) -> BucketError | None:
    """Return what the class of the library's error says."""
    if "Could not parse path" in str(error):
        message = "its name has a part that is empty, `.` or `..`"
        hint = "copy the object to a name without `//`, `/./` and `/../`"
        return BucketError(Failure.OTHER, message, hint=hint)
    if isinstance(error, FileNotFoundError) or answer.status == 404:
        return BucketError(Failure.MISSING, "no such object")
    if isinstance(error, exceptions.AlreadyExistsError):
        return BucketError(Failure.EXISTS, "the name is taken")
    if isinstance(error, exceptions.PreconditionError):
        return BucketError(Failure.CHANGED, "the object changed")
    if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)):
        return BucketError(Failure.DENIED, f"not allowed{_said(answer)}")
    return None


def _busy(answer: Answer) -> BucketError | None:
    if answer.status not in (429, 500, 502, 503, 504):
        return None
    is_throttled = answer.status in (429, 503)
    what = "the service is too busy" if is_throttled else "the service failed"
    code = f", `{redact(answer.code)[:60]}`" if answer.code else ""
    more = "; `-j 1` sends fewer requests, `GEOBATCH_BUCKET_RETRIES=20` waits longer"
    return BucketError(
        Failure.OTHER,
        f"{what} (status code: {answer.status}{code}), also after several attempts",
        hint="try again later" + (more if is_throttled else ""),
    )


def _said(answer: Answer) -> str:
    """Return what a service said, without secrets, to end a sentence; empty if nothing."""
    said = redact(" ".join((answer.message or answer.code).split()))[:200]
    return f": {said}" if said else ""


def _plain(answer: Answer, text: str) -> str:
    if not answer.status:
        return first_line(text)
    code = f", `{redact(answer.code)[:60]}`" if answer.code else ""
    return f"the service refused the request (status code: {answer.status}{code}){_said(answer)}"


def _login_hint(request: Request) -> str:
    return {
        "s3": "`aws sts get-caller-identity` must work with the same environment",
        "gs": "log in again: `gcloud auth application-default login`",
        "az": "log in again: `az login`; `az account get-access-token --resource"
        " https://storage.azure.com/` must work",
    }[request.url.scheme]
