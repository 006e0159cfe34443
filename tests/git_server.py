"""A Git server on 127.0.0.1: git's own http-backend behind Python, which fails on demand.

It asks for a token if it has one, and records who asked for what.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from tests.faulty_remote import Fault
from tests.repositories import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request as it came, and how many bytes were answered."""

    line: str
    authorization: str
    answered: int


class GitServer(ThreadingHTTPServer):
    """The server of all repositories below a folder.

    Attributes:
        root: `group/name.git` lies below it.
        token: what Basic authentication must carry; empty for anybody.
        fault: what goes wrong with each request from now on.
        redirect: address that every request is sent on to; empty for none.
        requests: those so far.
    """

    daemon_threads = True

    def __init__(self, root: Path, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__((address, port), _Request)
        self.root = root
        self.token = ""
        self.fault = Fault.NONE
        self.redirect = ""
        self.requests: list[Request] = []
        self.closing = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a client goes away, as a killed one does; anything else is a bug."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type] # typeshed names sockets


@contextmanager
def serve_git(root: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[GitServer]:
    """Serve until the block ends."""
    with GitServer(root, address, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()


class _Request(BaseHTTPRequestHandler):
    server: GitServer
    protocol_version = "HTTP/1.1"
    # Else an answer's body waits for word that its head has arrived, as at no real server.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self._read_body()
        server = self.server
        if server.fault is Fault.HANG:
            server.closing.wait()
            self.close_connection = True
        elif server.fault is Fault.UNAVAILABLE:
            self._answer(503, {}, b"busy")
        elif server.redirect:
            self._answer(302, {"Location": server.redirect + self.path}, b"")
        elif not self._is_admitted():
            self._answer(401, {"WWW-Authenticate": 'Basic realm="Git"'}, b"")
        else:
            self._run_backend(body)

    def _is_admitted(self) -> bool:
        pair = base64.b64encode(f"oauth2:{self.server.token}".encode()).decode()
        return not self.server.token or self.headers["Authorization"] == f"Basic {pair}"

    def _run_backend(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        environ = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.server.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
            "PATH": os.environ["PATH"],
        }
        done = subprocess.run(
            ["git", "http-backend"], input=body, env=environ, capture_output=True, check=False
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(status, headers, content)

    def _read_body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        request = Request(
            line=f"{self.command} {self.path}",
            authorization=self.headers["Authorization"] or "",
            answered=len(content),
        )
        self.server.requests.append(request)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: tests read `requests`."""
