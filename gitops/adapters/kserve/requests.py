"""An endpoint and rows come in; what the model there predicts, how fast, and who it says it is, goes out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from gitops.adapters.kserve.endpoints import Endpoint
from gitops.errors import OutsideError
from gitops.rollout import ServedIdentity, parse_identity
from gitops.traffic import Sample

BATCH = 500


def ask_identity(endpoint: Endpoint, name: str) -> ServedIdentity:
    """Ask which model answers; raise OutsideError when nothing does, or it does not say."""
    body = endpoint.ask(f"/v2/models/{name}")
    return _read_identity(body.get("parameters"), endpoint)


def replay(endpoint: Endpoint, name: str, rows: Sequence[dict[str, Any]]) -> tuple[object, ...]:
    """Send rows as a client would, in batches; return the predictions in order."""
    answers: list[object] = []
    for start in range(0, len(rows), BATCH):
        batch = list(rows[start : start + BATCH])
        found = endpoint.ask(f"/v1/models/{name}:predict", {"instances": batch}).get("predictions")
        answers += found if isinstance(found, list) else []
    return tuple(answers)


def take_sample(endpoint: Endpoint, name: str, row: dict[str, Any] | None) -> Sample:
    """Send one request, a prediction if there is a row to send; a failure is a sample as well."""
    start = time.perf_counter()
    try:
        if row is None:
            identity = ask_identity(endpoint, name)
        else:
            body = endpoint.ask(f"/v1/models/{name}:predict", {"instances": [row]})
            identity = _read_identity(body.get("model"), endpoint)
    except OutsideError as error:
        return Sample(seconds=time.perf_counter() - start, problem=str(error)[:200])
    return Sample(seconds=time.perf_counter() - start, identity=identity)


def _read_identity(body: object, endpoint: Endpoint) -> ServedIdentity:
    if not isinstance(body, dict):
        raise OutsideError("the answer says nothing about the model", where=endpoint.where)
    return parse_identity(body)
