"""Texts of services and libraries without secrets: messages and logs are read by others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from geobatch.buckets.access.access import tail

_LONGEST = 300
_READ = 4000
_SHORTEST = 6
"""Characters of a secret: shorter texts are also parts of words."""
_HIDDEN = "***"
_SECRET_NAMES = re.compile(
    r"(SECRET|PASSWORD|TOKEN|_KEY$|ACCESS_KEY$|SAS|CONNECTION_STRING|SESSION|CREDENTIAL|HEADER$)"
)
_NOT_SECRET = re.compile(r"(_FILE|_URI|_URL|_TYPE|_ID|CREDENTIALS)$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
"""What could change how a terminal shows a text that a service sent."""
_PATTERNS = (
    # user:password@ in urls, also of proxies
    (re.compile(r"(?<=://)[^/\s@]*@"), f"{_HIDDEN}@"),
    # queries of urls: signatures, credentials, tokens
    (re.compile(r"(https?://[^\s?\"'<>`]*)\?[^\s\"'<>`,)]*"), rf"\1?{_HIDDEN}"),
    # pairs outside urls
    (
        re.compile(
            r"(?i)\b(sig|signature|x-amz-[a-z-]+|x-goog-(?:signature|credential)|accountkey"
            r"|sharedaccesssignature|access_token|refresh_token|client_secret|client_assertion"
            r"|private_key|secretaccesskey|sessiontoken|security-token|password)"
            r"(\"?\s*[=:>]\s*\"?)[^\s&;,\"'<>]+"
        ),
        rf"\1\2{_HIDDEN}",
    ),
    (re.compile(r"(?i)\b(bearer|sharedkey|basic|credential=)\s*[^\s,\"'<>]+"), rf"\1 {_HIDDEN}"),
    (re.compile(r"\b(?:A[KS]IA|AROA|GOOG)[A-Z0-9]{8,}([A-Z0-9]{4})\b"), r"...\1"),
    (re.compile(r"\bya29\.[\w.-]+"), _HIDDEN),
    (re.compile(r"\beyJ[\w-]+\.[\w.-]+"), _HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*", re.DOTALL), _HIDDEN),
)


def redact(text: str) -> str:
    """Return a text without secrets: those of known forms, and those of the environment.

    Of a long text only the start is returned: a service may send any number of bytes.
    """
    text = text[:_READ]
    for secret in _secrets():
        text = text.replace(secret, _HIDDEN)
    key = os.environ.get("AWS_ACCESS_KEY_ID", "")
    if len(key) >= _SHORTEST:
        text = text.replace(key, tail(key))
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return _CONTROL.sub(" ", text)


def _secrets() -> Iterator[str]:
    """Yield the secrets of the environment, the longest parts first."""
    for name, value in os.environ.items():
        if not _SECRET_NAMES.search(name) or _NOT_SECRET.search(name):
            continue
        parts = [part.partition("=")[2] for part in value.split(";")[1:] if "Key=" in part]
        yield from (part for part in (value, *parts) if len(part) >= _SHORTEST)


def first_line(text: str) -> str:
    """Return the start of an error's text, without secrets and without what debuggers read."""
    text = text.partition("Debug source")[0]
    text = " ".join(text.split())
    found = redact(text)
    return found if len(found) <= _LONGEST else f"{found[:_LONGEST]}..."
