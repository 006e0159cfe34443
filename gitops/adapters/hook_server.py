"""Requests from anybody come in over HTTP; those of bearable size go on as deliveries, and replies go out."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from gitops.errors import InputError, OutsideError
from gitops.webhook import BODY_LIMIT, Delivery, make_delivery

HOOK_PATH = "/webhook"
HEALTH_PATH = "/health"
MOST_CONNECTIONS = 32
# One request, from the first byte of its header to the last of the reply.
REQUEST_SECONDS = 10.0

_DISCARD_LIMIT = 16 * BODY_LIMIT
_BLOCK = 1 << 16
_BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nretry-after: 5\r\n"
    b"connection: close\r\n\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a sender is told: an HTTP status and a sentence."""

    status: int
    says: str


class HookServer(ThreadingHTTPServer):
    """Listens on one address until it is shut down; a thread for each of a few connections."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        listener: socket.socket,
        receive: Callable[[Delivery], Reply],
        report: Callable[[], Mapping[str, Any]],
    ) -> None:
        super().__init__(listener.getsockname()[:2], _Request, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.receive = receive
        self.report = report
        self._count = MOST_CONNECTIONS
        self._places = threading.BoundedSemaphore(self._count)
        self.server_activate()

    @property
    def port(self) -> int:
        """Return the port, also when a free one was taken."""
        return int(self.socket.getsockname()[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, or turn away at once when all places are taken."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.sendall(_BUSY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection, for as long as one may take."""
        alarm = threading.Timer(REQUEST_SECONDS, _cut, (request,))
        alarm.daemon = True
        alarm.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            alarm.cancel()
            self._places.release()

    def wait_for_replies(self) -> None:
        """Wait until nobody is being answered any more; no answer takes longer than it may."""
        for _ in range(self._count):
            self._places.acquire(timeout=REQUEST_SECONDS)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Let a sender that went away go; anything else is a bug and says so."""
        import sys

        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one.

    Raises:
        OutsideError: the address cannot be had.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OutsideError(
            f"cannot listen here: {error.strerror or error}",
            where=f"{host}:{port}",
            hint="choose another --port, or 0 for a free one",
        ) from error


@contextmanager
def serve(server: HookServer) -> Iterator[None]:
    """Answer in the background while the block runs; then finish what was begun, and stop."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.wait_for_replies()
        server.server_close()


class _Request(BaseHTTPRequestHandler):
    server: HookServer
    protocol_version = "HTTP/1.1"
    server_version = "gitops"
    sys_version = ""
    timeout = REQUEST_SECONDS

    def do_GET(self) -> None:
        if self.path == HEALTH_PATH:
            self._answer(200, self.server.report())
        else:
            self._answer(404, {"says": "nothing is here"})

    def do_POST(self) -> None:
        if self.path != HOOK_PATH:
            self._answer(404, {"says": f"events go to {HOOK_PATH}"})
            return
        reply = self._receive()
        self._answer(reply.status, {"says": reply.says})

    def _receive(self) -> Reply:
        size = self._read_size()
        if size is None:
            return Reply(status=411, says="a Content-Length is needed")
        if size > BODY_LIMIT:
            self._discard(size)
            return Reply(status=413, says=f"larger than {BODY_LIMIT} bytes")
        body = self.rfile.read(size)
        if len(body) < size:
            return Reply(status=400, says="the body is cut short")
        try:
            return self.server.receive(make_delivery(self.headers.items(), body))
        except InputError as error:
            return Reply(status=400, says=error.what)

    def _read_size(self) -> int | None:
        sizes = self.headers.get_all("Content-Length", [])
        plain = len(sizes) == 1 and sizes[0].isascii() and sizes[0].isdigit()
        if not plain or "Transfer-Encoding" in self.headers or len(sizes[0]) > 15:
            return None
        return int(sizes[0])

    def _discard(self, size: int) -> None:
        """Read on for a while: a sender that is still sending would not see the reply."""
        left = min(size, _DISCARD_LIMIT)
        while left > 0 and (block := self.rfile.read(min(left, _BLOCK))):
            left -= len(block)

    def _answer(self, status: int, body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        if status == 429:
            self.send_header("Retry-After", "5")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: the request line is the sender's, and what matters is said elsewhere."""
