"""HTTP requests come in; predictions are answered here, everything else by KServe's application.

KServe sends a prediction through routing, middleware, body models and a serialiser that cost more
than the prediction itself. This is the short way to the same predictor, for plain JSON bodies.
Cloud events, binary tensors, health, metrics and the rest go on to KServe, with the same limits,
identity headers and log.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from gitops.serving.protocol import RequestError, render_error
from gitops.serving.telemetry import Answer, Request, Telemetry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from gitops.serving.predictor import Identity
    from gitops.serving.service import Service

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]
    Responder = Callable[[bytes], Answer]
    Header = tuple[bytes, bytes]

MAX_BODY_BYTES = 8 << 20
# A body larger than this may take milliseconds: a thread answers it, and health checks go on.
THREAD_BYTES = 32 << 10

_TYPE: tuple[bytes, bytes] = (b"content-type", b"application/json")
_CLOSE: tuple[bytes, bytes] = (b"connection", b"close")


class Lane:
    """An ASGI application in front of KServe's."""

    def __init__(
        self,
        app: App,
        service: Service,
        telemetry: Telemetry,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._app = app
        self._telemetry = telemetry
        self._max_body_bytes = max_body_bytes
        self._routes = make_routes(service)
        self._identity = make_identity_headers(service.predictor.identity)
        self._headers = [_TYPE, *self._identity]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        route, responder = self._routes.get((scope["method"], scope["path"]), ("other", None))
        request = make_request(scope, route, started)
        try:
            body = await _read_body(request, receive, self._max_body_bytes)
            if responder is not None and request.plain:
                await self._answer(request, await _respond(responder, body), send)
            else:
                await self._pass_on(request, scope, body, receive, send)
        except RequestError as error:
            body = render_error(str(error))
            answer = Answer(status=error.status, body=body, reason=error.reason)
            await self._answer(request, answer, send, _CLOSE)

    async def _answer(self, request: Request, answer: Answer, send: Send, *more: Header) -> None:
        headers = [
            *self._headers,
            (b"content-length", str(len(answer.body)).encode("ascii")),
            *more,
        ]
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": answer.body})
        self._telemetry.record(request, answer)

    async def _pass_on(
        self, request: Request, scope: Message, body: bytes, receive: Receive, send: Send
    ) -> None:
        _refuse_repository(request)
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        statuses = [500]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses[0] = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._identity]
            await send(message)

        try:
            await self._app(scope, replay, watch)
        finally:
            reason = "kserve" if statuses[0] >= 400 else ""
            self._telemetry.record(request, Answer(status=statuses[0], body=b"", reason=reason))


def make_routes(service: Service) -> dict[tuple[str, str], tuple[str, Responder]]:
    """Return what is answered here, by method and exact path."""
    v2 = f"/v2/models/{service.name}"
    version = service.predictor.identity.version
    roots = (v2, f"{v2}/versions/{version}") if version else (v2,)
    return {
        ("POST", f"/v1/models/{service.name}:predict"): ("v1", service.answer_v1),
        **{("POST", f"{root}/infer"): ("v2", service.answer_v2) for root in roots},
        **{("GET", root): ("other", service.answer_metadata) for root in roots},
    }


def make_identity_headers(identity: Identity) -> list[Header]:
    """Return the identity as response headers; an empty part is left out."""
    parts = {
        "x-model-name": identity.model,
        "x-model-version": identity.version,
        "x-model-commit": identity.commit,
        "x-model-bundle": identity.bundle,
    }
    return [(name.encode(), value.encode("ascii")) for name, value in parts.items() if value]


def make_request(scope: Message, route: str, started: float) -> Request:
    """Read what matters of a request's head."""
    length, plain, request_id = None, True, ""
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else None
        elif name == b"content-type":
            plain = plain and b"cloudevents" not in value
        elif name == b"x-request-id":
            request_id = value.decode("latin-1")
        elif name.startswith(b"ce-") or name == b"inference-header-content-length":
            plain = False
    return Request(
        route=route,
        method=scope["method"],
        path=scope["path"],
        started=started,
        length=length,
        plain=plain,
        request_id=request_id,
    )


async def _respond(responder: Responder, body: bytes) -> Answer:
    if len(body) <= THREAD_BYTES:
        return responder(body)
    return await asyncio.get_running_loop().run_in_executor(None, responder, body)


async def _read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Read a body of bounded size, whatever its announced length."""
    if request.length is not None and request.length > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    return await _read_chunks(body, receive, limit)


async def _read_chunks(first: bytes, receive: Receive, limit: int) -> bytes:
    chunks, size, more = [first], len(first), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the client went away", reason="disconnect")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        more = message.get("more_body", False)
        if size > limit:
            raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> RequestError:
    message = f"the body is larger than {limit:,} bytes"
    return RequestError(message, status=413, reason="too_large")


def _refuse_repository(request: Request) -> None:
    # KServe lets any client unload a model; here a release decides what is served.
    if request.path.startswith("/v2/repository/"):
        message = "models are loaded and unloaded by a rollout, not over HTTP"
        raise RequestError(message, status=403, reason="forbidden")
