"""The API server: requests of Kubernetes clients come in; objects, watches, proxied answers and refusals go out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fake_kubernetes.faults import Faults
from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.gateway import Gateway, Reply, Request, read_request, send
from tests.fake_kubernetes.listener import Listener
from tests.fake_kubernetes.objects import Place, StatusError, Store
from tests.fake_kubernetes.watching import stream_events

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+)/(?P<version>[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?"
    r"(?:/(?P<rest>.+))?"
)
_PROXY = re.compile(r"(?:https?:)?(?P<service>[a-z0-9-]+)(?::[a-z0-9]+)?")
_APPLY = "application/apply-patch+yaml"
_MERGE = ("application/merge-patch+json", "application/strategic-merge-patch+json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came; `status` is 0 where the reply was lost."""

    verb: str
    path: str
    manager: str
    status: int


class ApiServer(Listener):
    """Answers from the store, and keeps a record.

    Attributes:
        token: what a client must bear.
        requests: everything that was asked, in order.
    """

    def __init__(self, store: Store, gateway: Gateway, faults: Faults) -> None:
        super().__init__(_Request)
        self.store, self.gateway, self.faults = store, gateway, faults
        self.token = "fake-token-1"
        self.requests: list[Asked] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """A request, understood."""

    place: Place
    name: str
    query: dict[str, str]
    kind: str
    body: Any

    @property
    def manager(self) -> str:
        return self.query.get("fieldManager", "")

    def matches(self, body: Body) -> bool:
        meta = body["metadata"]
        labels = meta.get("labels") or {}
        pairs = [each for each in self.query.get("labelSelector", "").split(",") if each]
        field, _, name = self.query.get("fieldSelector", "").partition("=")
        if field and field != "metadata.name":
            raise StatusError(400, "BadRequest", f"field label not supported: {field}")
        wanted = [each.replace("==", "=").partition("=") for each in pairs]
        named = not field or meta["name"] == name.lstrip("=")
        return named and all(labels.get(key) == value for key, _, value in wanted)


class _Request(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        try:
            self._take()
        except StatusError as error:
            self._answer(error.code, error.render())

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_PATCH(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _take(self) -> None:
        parts = urlsplit(self.path)
        request = read_request(self, "")
        self.manager = dict(parse_qsl(parts.query)).get("fieldManager", "")
        self._fail_early()
        if parts.path == "/version":
            self._answer(200, {"major": "1", "minor": "33", "gitVersion": "v1.33.0"})
            return
        found = _PATH.fullmatch(parts.path)
        if found is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        rest = found["rest"] or ""
        if found["plural"] == "services" and rest.startswith("proxy"):
            self._proxy(found, request, parts.query)
            return
        if rest:
            raise StatusError(404, "NotFound", f"no such subresource here: {rest}")
        self._carry_out(_understand(found, parts.query, self.headers, request.body))

    def _fail_early(self) -> None:
        faults = self.server.faults
        if (
            faults.unauthorized
            or self.headers.get("Authorization") != f"Bearer {self.server.token}"
        ):
            raise StatusError(401, "Unauthorized", "Unauthorized")
        if faults.take("server_errors"):
            raise StatusError(503, "ServiceUnavailable", "the server is currently unable to answer")
        if self.command == "PATCH" and faults.take("conflict"):
            raise StatusError(409, "Conflict", "Operation cannot be fulfilled: please try again")

    def _carry_out(self, question: _Question) -> None:
        if self.command == "GET" and question.query.get("watch", "").lower() in ("true", "1"):
            stream_events(self, question.place, question.query, question.matches)
            return
        found = _VERBS[self.command](self.server.store, question)
        if self.command == "PATCH" and self.server.faults.take("lost_replies"):
            self._record(0)
            self.close_connection = True
            return
        self._answer(201 if self.command == "POST" else 200, found)

    def _proxy(self, found: re.Match[str], request: Request, query: str) -> None:
        named = _PROXY.fullmatch(unquote(found["name"] or ""))
        path = "/" + found["rest"].removeprefix("proxy").removeprefix("/")
        if named is None:
            raise StatusError(400, "BadRequest", "invalid service name")
        host = f"{named['service']}.{found['namespace']}.svc.cluster.local"
        if self.server.gateway.controller.find_targets(host) is None:
            raise StatusError(404, "NotFound", f'services "{named["service"]}" not found')
        sent = replace(request, path=path + (f"?{query}" if query else ""))
        reply = self.server.gateway.ask(host, sent)
        self._record(reply.status)
        send(self, reply)

    def _answer(self, status: int, body: Body) -> None:
        self._record(status)
        headers = (("Content-Type", "application/json"),)
        send(self, Reply(status=status, headers=headers, body=json.dumps(body).encode()))

    def _record(self, status: int) -> None:
        asked = Asked(verb=self.command, path=self.path, manager=self.manager, status=status)
        self.server.requests.append(asked)

    def log_message(self, *_: object) -> None:
        """Say nothing; `requests` is the record."""


def _understand(found: re.Match[str], query: str, headers: Any, content: bytes) -> _Question:
    place = Place(
        group=found["group"] or "",
        version=found["version"] or found["core"],
        plural=found["plural"],
        namespace=found["namespace"] or "",
    )
    try:
        body = json.loads(content) if content else None
    except ValueError as error:
        raise StatusError(400, "BadRequest", "the body of the request was not JSON") from error
    return _Question(
        place=place,
        name=unquote(found["name"] or ""),
        query=dict(parse_qsl(query)),
        kind=(headers.get("Content-Type") or "").partition(";")[0].strip(),
        body=body,
    )


def _read(store: Store, question: _Question) -> Body:
    if question.name:
        return store.read(question.place, question.name)
    items, version = store.find(question.place, question.matches)
    kind = f"{items[0]['kind']}List" if items else "List"
    return {
        "kind": kind,
        "apiVersion": question.place.api_version,
        "metadata": {"resourceVersion": str(version)},
        "items": items,
    }


def _create(store: Store, question: _Question) -> Body:
    return store.create(question.place, _object(question), question.manager or "unknown")


def _replace(store: Store, question: _Question) -> Body:
    body = _object(question)
    return store.replace(question.place, question.name, body, question.manager or "unknown")


def _patch(store: Store, question: _Question) -> Body:
    place, name, body = question.place, question.name, _object(question)
    if question.kind in _MERGE:
        return store.patch(place, name, body, question.manager or "unknown")
    if question.kind != _APPLY:
        raise StatusError(415, "UnsupportedMediaType", f"not taken here: {question.kind}")
    if (body.get("apiVersion"), bool(body.get("kind"))) != (place.api_version, True):
        raise StatusError(400, "BadRequest", "apply needs apiVersion and kind, as in the URL")
    force = question.query.get("force", "").lower() in ("true", "1", "t")
    return store.apply(place, name, body, question.manager, force=force)


def _delete(store: Store, question: _Question) -> Body:
    store.delete(question.place, question.name)
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}


def _object(question: _Question) -> Body:
    if not isinstance(question.body, dict):
        raise StatusError(400, "BadRequest", "the body is not an object")
    return question.body


_VERBS: dict[str, Callable[[Store, _Question], Body]] = {
    "GET": _read,
    "POST": _create,
    "PUT": _replace,
    "PATCH": _patch,
    "DELETE": _delete,
}
