"""What the server did comes in; metrics, in KServe's own registry, and log lines go out."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gitops.serving.logs import Access, AccessLog

if TYPE_CHECKING:
    from gitops.serving.predictor import Identity

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What there is to know about a request before its body: no feature value.

    Attributes:
        route: ``v1``, ``v2`` or ``other``.
        method: HTTP method.
        path: path without the query.
        started: reading of `time.perf_counter`.
        length: announced size of the body in bytes, or None.
        plain: the body is bare JSON, not a cloud event or binary tensors.
        request_id: what the client calls this request, or empty.
    """

    route: str
    method: str
    path: str
    started: float
    length: int | None
    plain: bool
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer; `reason` is one word and empty when all went well."""

    status: int
    body: bytes
    rows: int = 0
    reason: str = ""


class Telemetry:
    """Counts, times and logs every request once."""

    def __init__(self, identity: Identity, log: AccessLog) -> None:
        """Register the metrics; a process can hold one server, as KServe's registry is global."""
        from prometheus_client import Counter, Histogram, Info

        self._log = log
        self._requests = Counter(
            "gitops_requests", "Requests answered, by route and status", ["route", "status"]
        )
        self._errors = Counter("gitops_errors", "Requests refused or failed, by reason", ["reason"])
        self._predictions = Counter("gitops_predictions", "Rows predicted from JSON")
        self._seconds = Histogram(
            "gitops_request_seconds", "Time to answer a request", ["route"], buckets=_BUCKETS
        )
        Info("gitops_model", "Identity of the model that answers").info(asdict(identity))

    def record(self, request: Request, answer: Answer) -> None:
        """Record one request and its answer."""
        seconds = time.perf_counter() - request.started
        self._requests.labels(request.route, str(answer.status)).inc()
        self._seconds.labels(request.route).observe(seconds)
        if answer.reason:
            self._errors.labels(answer.reason).inc()
        elif answer.rows:
            self._predictions.inc(answer.rows)
        access = Access(
            time=time.time() - seconds,
            method=request.method,
            path=request.path,
            status=answer.status,
            rows=answer.rows,
            seconds=seconds,
            reason=answer.reason,
            request_id=request.request_id,
        )
        self._log.add(access)
