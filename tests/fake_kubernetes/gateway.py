"""Requests by host name come in; answers of the servers behind the services go out, split by the weights of now."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.fake_kubernetes.controller import Controller
from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.listener import Listener
from tests.fake_kubernetes.pods import Pods, Workload
from tests.fake_kubernetes.status import Target

_TIMEOUT = 30.0
# What belongs to one connection, or is written anew on this side.
_NOT_PASSED_ON = {"connection", "transfer-encoding", "content-length", "host", "authorization"}
_NOT_PASSED_BACK = {
    "connection",
    "transfer-encoding",
    "content-length",
    "keep-alive",
    "date",
    "server",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer, whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Gateway(Listener):
    """The ingress; `served` counts what each workload was asked.

    Attributes:
        served: requests by (namespace, workload).
    """

    def __init__(self, controller: Controller, pods: Pods, faults: Faults) -> None:
        super().__init__(_Request)
        self.controller, self.pods, self.faults = controller, pods, faults
        self.served: Counter[tuple[str, str]] = Counter()
        self._turns: dict[str, _Turns] = {}
        self._turning = threading.Lock()

    def ask(self, host: str, request: Request) -> Reply:
        """Send a request to what answers under a host name."""
        targets = self.controller.find_targets(host)
        if targets is None:
            return Reply(status=404, body=f"no route to {host}".encode())
        with self._turning:
            workload = self._turns.setdefault(host, _Turns()).take(targets)
        if workload is None:
            return Reply(status=503, body=b"no healthy upstream")
        return self._forward(workload, request)

    def _forward(self, workload: Workload, request: Request) -> Reply:
        names = self.pods.names(workload)
        with self._turning:
            self.served[workload.namespace, workload.name] += 1
        mark = ("X-Fake-Revision", workload.name)
        if delay := self.faults.read_delay(names):
            time.sleep(delay)
        if self.faults.take_crash(names):
            self.pods.crash(workload)
        if self.faults.take_error(names):
            return Reply(status=500, headers=(mark,), body=b"a fault of the test")
        if not workload.ready:
            return Reply(status=503, headers=(mark,), body=b"no healthy upstream")
        try:
            reply = _exchange(workload.port, request)
        except (OSError, http.client.HTTPException):
            return Reply(status=503, headers=(mark,), body=b"upstream connect error")
        return Reply(status=reply.status, headers=(*reply.headers, mark), body=reply.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is passed on."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(slots=True)
class _Turns:
    """Whose turn it is: smooth weighted round robin, which is exact over each hundred requests."""

    current: dict[str, int] = field(default_factory=dict)

    def take(self, targets: list[Target]) -> Workload | None:
        shares: Counter[str] = Counter()
        found: dict[str, Workload | None] = {}
        for target in targets:
            name = target.workload.name if target.workload else ""
            shares[name] += target.percent
            found[name] = target.workload
        weights = {name: share for name, share in shares.items() if share > 0}
        if set(weights) != set(self.current):
            self.current = dict.fromkeys(weights, 0)
        for name, weight in weights.items():
            self.current[name] += weight
        chosen = max(weights, key=lambda name: self.current[name], default="")
        if weights:
            self.current[chosen] -= sum(weights.values())
        return found.get(chosen)


def _exchange(port: int, request: Request) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        headers = {k: v for k, v in request.headers if k.lower() not in _NOT_PASSED_ON}
        connection.request(request.method, request.path, body=request.body or None, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        kept = tuple((k, v) for k, v in answer.getheaders() if k.lower() not in _NOT_PASSED_BACK)
        return Reply(status=answer.status, headers=kept, body=body)
    finally:
        connection.close()


def read_request(handler: BaseHTTPRequestHandler, path: str) -> Request:
    """Take a request from the wire, to be sent on to a path."""
    length = int(handler.headers.get("Content-Length") or 0)
    return Request(
        method=handler.command,
        path=path,
        headers=tuple(handler.headers.items()),
        body=handler.rfile.read(length),
    )


def send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
    """Write an answer."""
    handler.send_response(reply.status)
    for key, value in reply.headers:
        handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(reply.body)))
    handler.end_headers()
    handler.wfile.write(reply.body)


class _Request(BaseHTTPRequestHandler):
    server: Gateway
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").partition(":")[0].lower()
        send(self, self.server.ask(host, read_request(self, self.path)))

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing; the counts are what tests read."""
