"""An HTTP object store on 127.0.0.1: it keeps what is uploaded, and fails on demand."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Fault(StrEnum):
    """What is wrong with the store at the moment."""

    NONE = "none"
    UNAVAILABLE = "unavailable"  # answers 503
    DROP = "drop"  # closes the connection without an answer
    HANG = "hang"  # never answers
    LIE = "lie"  # says that it stored what it threw away


class FaultyRemote(ThreadingHTTPServer):
    """The store; change `fault` and `objects` while it runs.

    Attributes:
        objects: path (`/files/md5/ab/cdef...`) → bytes.
        fault: what goes wrong with each request from now on.
        requests: method and path of each request so far.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.objects: dict[str, bytes] = {}
        self.fault = Fault.NONE
        self.requests: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client goes away, as a killed one does; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed names sockets


@contextmanager
def serve_faulty_remote() -> Iterator[FaultyRemote]:
    """Run a healthy, empty store until the block ends."""
    with FaultyRemote() as remote:
        thread = threading.Thread(target=remote.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield remote
        finally:
            remote.closing.set()
            remote.shutdown()
            thread.join()


class _Request(BaseHTTPRequestHandler):
    server: FaultyRemote
    protocol_version = "HTTP/1.1"
    # Else each answer on a kept connection waits 40 ms for more to send.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self._is_well():
            content = self.server.objects.get(self.path)
            self._answer(404 if content is None else 200, content or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        content = self._read_body()
        if self._is_well():
            if self.server.fault is not Fault.LIE:
                self.server.objects[self.path] = content
            self._answer(200, b"")

    def do_POST(self) -> None:
        self.do_PUT()

    def _read_body(self) -> bytes:
        if length := self.headers["Content-Length"]:
            return self.rfile.read(int(length))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _is_well(self) -> bool:
        self.server.requests.append(f"{self.command} {self.path}")
        match self.server.fault:
            case Fault.UNAVAILABLE:
                self._answer(503, b"busy")
            case Fault.DROP:
                self.close_connection = True
            case Fault.HANG:
                self.server.closing.wait()
                self.close_connection = True
            case _:
                return True
        return False

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: tests read `requests`."""
