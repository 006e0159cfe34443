"""A port and rows come in; what the server there predicts, and who it says it is, goes out."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

from gitops.errors import OutsideError
from gitops.rollout import ServedIdentity, parse_identity

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 500
ANSWER_LIMIT = 64 << 20


def ask_identity(port: int, name: str, *, timeout: float) -> ServedIdentity:
    """Ask a server which model it is; raise OutsideError when it does not answer."""
    body = _ask(port, "GET", f"/v2/models/{name}", None, timeout)
    parameters = body.get("parameters")
    if not isinstance(parameters, dict):
        raise OutsideError("the answer says nothing about the model", where=_address(port))
    return parse_identity(parameters)


def replay(
    port: int, name: str, rows: Sequence[dict[str, Any]], *, timeout: float
) -> tuple[object, ...]:
    """Send rows as a client would, in batches; return the predictions in order."""
    answers: list[object] = []
    for start in range(0, len(rows), BATCH):
        content = json.dumps({"instances": list(rows[start : start + BATCH])})
        body = _ask(port, "POST", f"/v1/models/{name}:predict", content, timeout)
        found = body.get("predictions")
        answers += found if isinstance(found, list) else []
    return tuple(answers)


def _ask(port: int, method: str, path: str, content: str | None, timeout: float) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, content, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read(ANSWER_LIMIT)
    except (OSError, http.client.HTTPException) as error:
        raise OutsideError(
            f"the server does not answer: {error}", where=_address(port), hint="gitops status"
        ) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        said = text[:300].decode("utf-8", "replace")
        raise OutsideError(f"{method} {path}: status {answer.status}: {said}", where=_address(port))
    return _parse(text, port)


def _parse(text: bytes, port: int) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise OutsideError("the answer is not JSON", where=_address(port)) from error
    if not isinstance(body, dict):
        raise OutsideError("the answer is not a JSON object", where=_address(port))
    return body


def _address(port: int) -> str:
    return f"http://127.0.0.1:{port}"
