"""GitLab on 127.0.0.1: it keeps state, checks each request, records each call, and fails on demand."""

from __future__ import annotations

import copy
import json
import sys
import threading
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.fake_gitlab.answers import ANSWERS, Answer, Question, RefusalError
from tests.fake_gitlab.body import parse_body
from tests.fake_gitlab.contract import Endpoint, find_endpoint, find_problem, read_endpoints
from tests.fake_gitlab.faults import Fault, FaultKind
from tests.fake_gitlab.world import World

API = "/api/v4"
CONTROL = "/_fake/"
_KINDS = (("authorization", "bearer"), ("private-token", "private"), ("job-token", "job"))


@dataclass(kw_only=True)
class Call:
    """A request as it came; `status` is 0 while it hangs and where the connection was dropped."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
    auth: str
    user: int | None
    status: int = 0


@dataclass(kw_only=True)
class Record:
    """What the server remembers beside the world.

    Attributes:
        calls: every API request, in order.
        complaints: requests that real GitLab would not understand, or with the wrong kind of token.
    """

    calls: list[Call] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


class FakeGitlab(ThreadingHTTPServer):
    """The server; change `world` and `record.faults` while it runs."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Request)
        self.world = World()
        self.record = Record()
        self.endpoints = read_endpoints()
        self.lock = threading.RLock()
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def writes(self) -> list[Call]:
        """Return the calls that were meant to change something."""
        return [call for call in self.record.calls if call.method != "GET"]

    def fail(self, kind: FaultKind, match: str = "", **facts: Any) -> None:
        """Let matching requests go wrong from now on, once unless `times` says otherwise."""
        with self.lock:
            self.record.faults.append(Fault(kind=kind, match=match, **facts))

    def take_fault(self, request: str) -> Fault | None:
        with self.lock:
            return next((fault for fault in self.record.faults if fault.takes(request)), None)

    def answer(self, call: Call, token: str) -> Answer:
        """Check a request as GitLab does, then carry it out."""
        with self.lock:
            try:
                return copy.deepcopy(self._answer(call, token))
            except RefusalError as error:
                return Answer(status=error.status, body={"message": str(error)})

    def _answer(self, call: Call, token: str) -> Answer:
        found = find_endpoint(self.endpoints, call.method, call.path)
        if found is None:
            self.record.complaints.append(f"{call.method} {call.path}: no such endpoint")
            raise RefusalError(404, "404 Not Found")
        endpoint, parts = found
        self._check_token(call, token, endpoint)
        if problem := find_problem(endpoint, call.query, call.body):
            self.record.complaints.append(f"{call.method} {call.path}: {problem}")
            raise RefusalError(400, problem)
        question = Question(
            world=self.world,
            user=self.world.tokens[token]["user_id"],
            token=token,
            parts=parts,
            query=call.query,
            body=call.body,
        )
        if endpoint.role:
            _check_role(question, endpoint)
        return ANSWERS[endpoint.name](question)

    def _check_token(self, call: Call, token: str, endpoint: Endpoint) -> None:
        facts = self.world.tokens.get(token)
        if facts is None or not facts["active"]:
            raise RefusalError(401, "401 Unauthorized")
        if call.auth != facts["kind"] or (call.auth == "job" and not endpoint.takes_job_token):
            self.record.complaints.append(f"{call.method} {call.path}: a {call.auth} token")
            raise RefusalError(401, "401 Unauthorized")
        if call.auth != "job" and not set(facts["scopes"]) & set(endpoint.scopes):
            raise RefusalError(403, "insufficient_scope")

    def render_state(self) -> dict[str, Any]:
        """Return everything as one document, without the tokens."""
        with self.lock:
            places = {
                place.project["path_with_namespace"]: asdict(place)
                for place in self.world.places.values()
            }
            state = {
                "projects": places,
                "quick_actions": self.world.quick_actions,
                "calls": [asdict(call) for call in self.record.calls],
                "complaints": self.record.complaints,
            }
            # Uploaded bytes are no JSON; how many there were is all that a reader needs.
            found: dict[str, Any] = json.loads(json.dumps(state, default=len))
            return found

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client goes away; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed names sockets


def _check_role(question: Question, endpoint: Endpoint) -> None:
    role = question.place.members.get(question.user, 0)
    if not role and question.place.project["visibility"] == "private":
        raise RefusalError(404, "404 Project Not Found")
    if role < endpoint.role:
        raise RefusalError(403, "403 Forbidden")


class _Request(BaseHTTPRequestHandler):
    server: FakeGitlab
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def do_DELETE(self) -> None:
        self._take()

    def _take(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"] or 0))
        parts = urlsplit(self.path)
        if parts.path.startswith(CONTROL):
            self._control(parts.path.removeprefix(CONTROL), content)
            return
        if not parts.path.startswith(API + "/"):
            self._send(Answer(status=404, body="<html>not here</html>"))
            return
        auth, token = self._read_token()
        call = Call(
            method=self.command,
            path=parts.path.removeprefix(API),
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            body=parse_body(self.headers.get("Content-Type", ""), content),
            auth=auth,
            user=self.server.world.tokens.get(token, {}).get("user_id"),
        )
        with self.server.lock:
            self.server.record.calls.append(call)
        self._serve(call, token)

    def _serve(self, call: Call, token: str) -> None:
        fault = self.server.take_fault(f"{call.method} {call.path}")
        kind = fault.kind if fault else None
        if fault and kind not in (FaultKind.LOST, FaultKind.MOVED, FaultKind.THEN):
            self._spoil(call, fault)
            return
        answer = self.server.answer(call, token)
        if kind is FaultKind.LOST:
            self.close_connection = True
            return
        if fault and kind is FaultKind.MOVED:
            self._move_heads(fault.sha)
        if fault and kind is FaultKind.THEN:
            fault.action()
        call.status = answer.status
        self._send(answer)

    def _spoil(self, call: Call, fault: Fault) -> None:
        wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        match fault.kind:
            case FaultKind.BUSY:
                answer = Answer(status=429, body={"message": "Retry later"}, headers=wait)
            case FaultKind.BROKEN:
                answer = Answer(status=503, body="<h1>502 Bad gateway</h1>", headers=wait)
            case FaultKind.PAGE:
                answer = Answer(status=200, body="<html>Sign in</html>")
            case FaultKind.REDIRECT:
                place = fault.location + self.path
                answer = Answer(status=fault.status, body={}, headers={"Location": place})
            case FaultKind.CONFLICT:
                answer = Answer(
                    status=409, body={"message": "SHA does not match HEAD of source branch"}
                )
            case FaultKind.ECHO:
                answer = Answer(status=400, body={"message": f"what is this? {self.headers}"})
            case _:
                if fault.kind is FaultKind.HANG:
                    self.server.closing.wait()
                self.close_connection = True
                return
        call.status = answer.status
        self._send(answer)

    def _move_heads(self, sha: str) -> None:
        with self.server.lock:
            for place in self.server.world.places.values():
                for iid in place.merge_requests:
                    self.server.world.move_head(place, iid, sha)

    def _read_token(self) -> tuple[str, str]:
        for header, kind in _KINDS:
            if value := self.headers.get(header):
                return kind, value.removeprefix("Bearer ")
        return "none", ""

    def _control(self, verb: str, content: bytes) -> None:
        """Let another process look at the state, add to it and break things."""
        given = json.loads(content or b"{}")
        if verb == "seed":
            with self.server.lock:
                self.server.world.load(given)
        elif verb == "fail":
            self.server.fail(FaultKind(given.pop("kind")), **given)
        elif verb != "state":
            self._send(Answer(status=404, body={}))
            return
        self._send(Answer(body=self.server.render_state()))

    def _send(self, answer: Answer) -> None:
        is_page = isinstance(answer.body, str)
        content = answer.body if is_page else json.dumps(answer.body)
        raw = b"" if answer.status == 204 else content.encode()
        self.send_response(answer.status)
        self.send_header("Content-Type", "text/html" if is_page else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: tests read `record`."""
