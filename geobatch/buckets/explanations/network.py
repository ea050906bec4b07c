"""Failures before a service answers: names, connections, certificates, proxies, silence."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from geobatch.buckets.access.access import shown
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.explanations.answer import Request
from geobatch.buckets.redaction import redact

_HOST = re.compile(r"https?://([^/\s?,@]+@)?(\[[0-9a-fA-F:]+\]|[^/\s:?,]+)(:[0-9]+)?")
_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "gs": ("STORAGE_EMULATOR_HOST", "GOOGLE_BASE_URL"),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
"""Variables that name an endpoint; the first that is set is taken."""


def explain(request: Request, text: str) -> BucketError | None:
    """Return the error of a request that got no answer; None if it is not known.

    Args:
        request: The request.
        text: The whole text of the library's error.
    """
    found = _HOST.search(text)
    host = redact((found[2] + (found[3] or "")) if found else "the service")
    scheme = "http" if found and found[0].startswith("http:") else "https"
    variable, proxy = _proxy(scheme, found[2] if found else "")
    by = f" by the proxy `{proxy}`" if proxy else ""
    hint = _proxy_hint(variable, proxy) if proxy else _endpoint_hint(request)
    for sign, message, remedy in (
        ("ProxyAuthRequired", f"the proxy `{proxy}` demands a login", _LOGIN),
        ("status code: 407", f"the proxy `{proxy}` demands a login", _LOGIN),
        ("Tunnel", f"the proxy `{proxy}` refuses to connect to `{host}`", hint),
        (
            "InvalidCertificate",
            f"the certificate of `{host}` is not trusted ({_certificate(text)})",
            "if it is of your own authority, `export GEOBATCH_BUCKET_CA_FILE=/path/to/ca.pem`",
        ),
        (
            "InvalidContentType",
            f"`{host}` does not speak TLS",
            "write `http://` in the endpoint if the service has no certificate",
        ),
        ("dns error", f"there is no server `{proxy or host}`, or no network", hint),
        ("ConnectionRefused", f"`{host}` refuses connections{by}", hint),
        ("NetworkUnreachable", f"there is no network to `{host}`", hint),
        ("HostUnreachable", f"there is no network to `{host}`", hint),
        ("kind: Timeout", f"`{host}` did not answer in time{by}", _PATIENCE),
        ("TimedOut", f"`{host}` did not answer in time{by}", _PATIENCE),
        ("kind: Connect", f"`{host}` cannot be reached{by}", hint),
        ("kind: Interrupted", f"`{host}` broke the connection{by}", "try again"),
        ("IncompleteMessage", f"`{host}` broke the connection{by}", "try again"),
        ("kind: Request", f"the connection to `{host}` failed{by}", hint),
    ):
        if sign in text:
            return BucketError(Failure.OTHER, message, hint=remedy)
    return None


_LOGIN = "write it into the variable, as in `HTTPS_PROXY=http://user:password@proxy:3128`"
_PATIENCE = (
    "try again; on a slow network, `export GEOBATCH_BUCKET_CONNECT_SECONDS=30"
    " GEOBATCH_BUCKET_STALL_SECONDS=600`"
)


def _certificate(text: str) -> str:
    found = re.search(r"InvalidCertificate\(\s*([A-Za-z]+)", text)
    return {
        "UnknownIssuer": "its issuer is unknown",
        "Expired": "it has expired",
        "ExpiredContext": "it has expired",
        "NotValidForName": "it is of another name",
        "NotValidForNameContext": "it is of another name",
    }.get(found[1] if found else "", "it is not valid")


def _proxy(scheme: str, host: str) -> tuple[str, str]:
    """Return the variable that names the proxy of a server, and it, without a password; or none."""
    excluded = {
        part.strip().lstrip(".").lower()
        for name in ("NO_PROXY", "no_proxy")
        for part in os.environ.get(name, "").split(",")
    }
    if any(part and (host == part or host.endswith(f".{part}")) for part in excluded):
        return "", ""
    names = [f"{kind}_proxy" for kind in (scheme, "all")]
    both = [one for name in names for one in (name.upper(), name)]
    variable = next((name for name in both if os.environ.get(name)), "")
    text = os.environ.get(variable, "")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = f":{parts.port}" if parts.port else ""
        return variable, shown(parts.hostname or "") + port
    except ValueError:
        return variable, "***"


def _proxy_hint(variable: str, proxy: str) -> str:
    return (
        f"check `{variable}` (`{proxy}`), or name the server in `NO_PROXY`, as in"
        " `NO_PROXY=localhost,.internal.example.com`"
    )


def _endpoint_hint(request: Request) -> str:
    names = _ENDPOINTS[request.url.scheme]
    variable = next((f"`{name}`" for name in names if os.environ.get(name)), "it")
    if request.access.endpoint:
        endpoint = redact(request.access.endpoint)
        return f"the endpoint is `{endpoint}`: correct {variable}, or start the service"
    return "check the network; behind a proxy, set `HTTPS_PROXY`"
