"""Kubeflow Pipelines on 127.0.0.1: it checks each request, records each call, and fails on demand."""

from __future__ import annotations

import copy
import json
import re
import sys
import threading
from dataclasses import dataclass
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fake_kubeflow.answers import ENDPOINTS, Question, RefusalError
from tests.fake_kubeflow.faults import Fault, FaultKind
from tests.fake_kubeflow.world import Body, Run, World

TOKEN = "kfp-token-of-the-job"
_AFTER = (FaultKind.LOST, FaultKind.BROKEN_AFTER, FaultKind.ALTERED)


@dataclass(kw_only=True)
class Call:
    """A request as it came; `path` begins behind the API's version."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    token: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class FakeKubeflow(ThreadingHTTPServer):
    """The server; change `world` and `faults` while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.world = World(folder=folder)
        self.world.tokens[TOKEN] = self.world.namespaces
        self.token = TOKEN
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def runs(self) -> list[Run]:
        return list(self.world.runs.values())

    def named(self, name: str) -> list[Run]:
        """Return the runs of a name, oldest first."""
        return [run for run in self.runs if run.body["display_name"] == name]

    def asked(self, match: str) -> list[Call]:
        """Return the calls such as `POST /runs` that match."""
        return [call for call in self.calls if re.search(match, str(call))]

    def fail(self, kind: FaultKind, match: str = "", **facts: Any) -> None:
        """Let matching requests go wrong from now on, once unless `times` says otherwise."""
        with self.lock:
            self.faults.append(Fault(kind=kind, match=match, **facts))

    def fire(self, name: str) -> Run:
        """Let the recurring run of a name come due; it must be the only one, and enabled."""
        with self.lock:
            (found,) = [s for s in self.world.schedules.values() if s["display_name"] == name]
            assert found["status"] == "ENABLED"
            kept = (
                "experiment_id",
                "pipeline_version_reference",
                "runtime_config",
                "service_account",
            )
            given = {key: found[key] for key in kept if key in found}
            given["recurring_run_id"] = found["recurring_run_id"]
            return self.world.add_run({**given, "display_name": f"{name}-{len(self.runs)}"})

    def take_fault(self, request: str) -> Fault | None:
        with self.lock:
            return next((fault for fault in self.faults if fault.takes(request)), None)

    def answer(self, call: Call, path: str, upload: str) -> Body | str:
        """Check a request as Kubeflow does, then carry it out."""
        with self.lock:
            if call.token not in self.world.tokens:
                raise RefusalError(401, "Jwt is not known")
            for method, pattern, handler in ENDPOINTS:
                found = re.fullmatch(pattern, path)
                if found and method == call.method:
                    question = Question(
                        world=self.world,
                        parts={key: unquote(value) for key, value in found.groupdict().items()},
                        query=call.query,
                        body=call.body or {},
                        upload=upload,
                        allowed=self.world.tokens[call.token],
                    )
                    return copy.deepcopy(handler(question))
        raise RefusalError(404, f"no endpoint {call.method} {path}")

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client goes away; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed names sockets

    def stop(self) -> None:
        """End what runs, and every request that hangs."""
        self.closing.set()
        with self.lock:
            for run in self.runs:
                if run.execution is not None:
                    run.execution.terminate()
                    run.execution.wait()


class _Request(BaseHTTPRequestHandler):
    server: FakeKubeflow
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_DELETE(self) -> None:
        self._take()

    def _take(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        parts = urlsplit(self.path)
        kind = self.headers.get("Content-Type", "")
        is_file = kind.startswith("multipart/form-data")
        call = Call(
            method=self.command,
            path=re.sub(r"^/apis/[^/]+", "", parts.path),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            body=json.loads(content) if content and not is_file else None,
            token=self.headers.get("Authorization", "").removeprefix("Bearer "),
        )
        with self.server.lock:
            self.server.calls.append(call)
        self._serve(call, parts.path, _read_file(kind, content) if is_file else "")

    def _serve(self, call: Call, path: str, upload: str) -> None:
        fault = self.server.take_fault(str(call))
        if fault and fault.kind not in _AFTER:
            self._spoil(fault)
            return
        try:
            answer = self.server.answer(call, path, upload)
        except RefusalError as error:
            self._send({"code": 2, "message": str(error)}, error.status)
            return
        if fault and fault.kind is FaultKind.LOST:
            self.close_connection = True
        elif fault and fault.kind is FaultKind.BROKEN_AFTER:
            self._send("<h1>502 Bad gateway</h1>", 502)
        else:
            if fault and isinstance(answer, dict):
                fault.alter(answer)
            self._send(answer)

    def _spoil(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.BROKEN:
                self._send("<h1>503</h1>", 503, {"Retry-After": fault.retry_after})
            case FaultKind.BUSY:
                self._send({"message": "slow down"}, 429, {"Retry-After": fault.retry_after})
            case FaultKind.PAGE:
                self._send("<html>Sign in</html>")
            case FaultKind.REDIRECT:
                self._send({}, 302, {"Location": fault.location + self.path})
            case FaultKind.UNKNOWN_TOKEN:
                self._send({"message": "Jwt is expired"}, 401)
            case FaultKind.ECHO:
                self._send({"message": f"what is this? {self.headers}"}, 400)
            case FaultKind.HIDDEN:
                self._send({})
            case _:
                if fault.kind is FaultKind.HANG:
                    self.server.closing.wait()
                self.close_connection = True

    def _send(
        self, answer: Body | str, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        is_text = isinstance(answer, str)
        raw = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if is_text else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in (headers or {}).items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: tests read `calls`."""


def _read_file(kind: str, content: bytes) -> str:
    """Return the one file of a multipart body."""
    message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    _, part = message.walk()
    assert 'name="uploadfile"' in part["Content-Disposition"]
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8")
