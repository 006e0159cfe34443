"""A model's server goes in; the same server, with faults that a test switches on, comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import httpx

PATIENCE = 30


@dataclass(kw_only=True)
class Relay:
    """A server between nginx and the model, which does to the next predictions what a test says.

    Attributes:
        replies: for each prediction to come: a status and a body, or a change of the model's answer;
            when there are none left, the model's answer passes as it is.
        heads: method, path and headers of every request that arrived.
        port: where it listens.
        late: set when requests that hang may end.
    """

    port: int
    replies: list[tuple[int, str] | Callable[[dict[str, Any]], None]] = field(default_factory=list)
    heads: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    late: Event = field(default_factory=Event)


HANG = (0, "")  # a reply that never comes


@contextmanager
def relaying(upstream: int) -> Iterator[Relay]:
    """Run a relay in front of a model's server."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            relay.heads.append((self.command, self.path, dict(self.headers)))
            reply = relay.replies.pop(0) if relay.replies and self.command == "POST" else None
            if reply == HANG:
                relay.late.wait(PATIENCE)
            status, content = reply if isinstance(reply, tuple) else self.forward(body, reply)
            self.send_response(status or 504)
            self.send_header("content-length", str(len(content.encode())))
            self.send_header("set-cookie", "upstream=1")
            self.end_headers()
            self.wfile.write(content.encode())

        do_POST = do_GET  # noqa: N815  the name that the standard library calls

        def forward(
            self, body: bytes, change: Callable[[dict[str, Any]], None] | None
        ) -> tuple[int, str]:
            address = f"http://127.0.0.1:{upstream}{self.path}"
            answer = httpx.request(self.command, address, content=body, timeout=PATIENCE)
            document = answer.json()
            if change is not None:
                change(document)
            return answer.status_code, json.dumps(document)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        relay = Relay(port=server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield relay
        finally:
            relay.late.set()
            server.shutdown()
            thread.join()
