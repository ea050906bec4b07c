"""What an error of the library says that a service answered."""

from __future__ import annotations

import json
import re
from html import unescape

from msgspec import Struct

from geobatch.buckets.access.access import Access
from geobatch.buckets.errors import Operation
from geobatch.buckets.url import BucketUrl

_STATUS = re.compile(r"status code: ([0-9]{3})[^:]{0,60}:? ?", re.ASCII)
_READ = 64 << 10
"""Characters of an error that are read: a service may send any number."""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer that is an error."""

    status: int = 0
    """Its status; 0 if no answer came."""
    code: str = ""
    """Name of the error, such as `NoSuchKey`; empty if the answer has none."""
    message: str = ""
    """What the service says of it."""
    body: str = ""
    """All of it; may contain secrets."""

    def element(self, name: str) -> str:
        """Return the text of an XML element; empty if there is none."""
        found = re.search(rf"<{name}>([^<]*)</{name}>", self.body)
        return unescape(found[1]).strip() if found else ""


class Request(Struct, frozen=True, kw_only=True):
    """What was asked, and by whom."""

    url: BucketUrl
    """The object or the prefix."""
    operation: Operation
    """What was to be done."""
    access: Access
    """How the bucket is reached."""


def parse_answer(text: str) -> Answer:
    """Return the answer that a text of the library reports; its `status` is 0 if there was none."""
    text = text[:_READ].partition("\n\nDebug source")[0]
    found = _STATUS.search(text)
    if found is None:
        return Answer()
    body = text[found.end() :].strip()
    if body.startswith(("{", "[")):
        return _from_json(int(found[1]), body)
    answer = Answer(status=int(found[1]), body=body)
    code = answer.element("Code")
    message = answer.element("Details") or answer.element("Message")
    return Answer(status=answer.status, code=code, message=message, body=body)


def _from_json(status: int, body: str) -> Answer:
    """Return an answer of a token service: `{"error": "...", "error_description": "..."}`."""
    try:
        said = json.loads(body)
        said = said[0] if isinstance(said, list) else said
        error = said.get("error", "")
        if isinstance(error, dict):
            code, message = str(error.get("status", "")), str(error.get("message", ""))
        else:
            code, message = str(error), str(said.get("error_description", ""))
    except (ValueError, AttributeError, IndexError, TypeError, RecursionError):
        code = message = ""
    return Answer(status=status, code=code, message=message.partition("\n")[0], body=body)
