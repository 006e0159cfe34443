"""The body of a request comes in; its JSON, or its form with files as (name, bytes), goes out."""

from __future__ import annotations

import json
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any


def parse_body(kind: str, content: bytes) -> Any:
    if not content:
        return None
    if kind.startswith("multipart/form-data"):
        return _parse_form(kind, content)
    return json.loads(content)


def _parse_form(kind: str, content: bytes) -> dict[str, Any]:
    message = BytesParser(policy=HTTP).parsebytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + content
    )
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }
