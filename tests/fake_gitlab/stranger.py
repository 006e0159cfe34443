"""Another server, to which nobody should send a token."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class OtherHost(ThreadingHTTPServer):
    """Another origin; it records every header that it sees."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Stranger)
        self.seen: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Stranger(BaseHTTPRequestHandler):
    server: OtherHost

    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_PUT(self) -> None:
        self._take()

    def do_DELETE(self) -> None:
        self._take()

    def _take(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}\n{self.headers}")
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing: tests read `seen`."""
