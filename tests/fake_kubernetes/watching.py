"""A watch: what happens in a place from a version on goes out as JSON lines, until someone closes it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from tests.fake_kubernetes.fields import Body
from tests.fake_kubernetes.objects import Place, StatusError

if TYPE_CHECKING:
    from tests.fake_kubernetes.server import ApiServer

_TICK = 0.1


def stream_events(
    handler: BaseHTTPRequestHandler,
    place: Place,
    query: dict[str, str],
    matches: Callable[[Body], bool],
) -> None:
    """Answer a watch; without a version it begins with everything that is there."""
    server: Any = handler.server
    handler._record(200)  # type: ignore[attr-defined] # the one handler that calls this has it
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.close_connection = True
    write = _writer(handler)
    if _stream(server, place, query, matches, write):
        handler.wfile.write(b"0\r\n\r\n")


def _writer(handler: BaseHTTPRequestHandler) -> Callable[[str, Body], None]:
    def write(kind: str, body: Body) -> None:
        line = json.dumps({"type": kind, "object": body}).encode() + b"\n"
        handler.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        handler.wfile.flush()

    return write


def _stream(
    server: ApiServer,
    place: Place,
    query: dict[str, str],
    matches: Callable[[Body], bool],
    write: Callable[[str, Body], None],
) -> bool:
    """Write events until the time is over (True) or the connection is to drop (False)."""
    store, epoch = server.store, server.faults.epoch
    until = time.monotonic() + float(query.get("timeoutSeconds", "3600"))
    after = _begin(server, place, query, matches, write)
    while not server.closing.is_set() and server.faults.epoch == epoch:
        left = until - time.monotonic()
        if left <= 0:
            return True
        try:
            with store.changed:
                events = store.read_events(place, after)
                if not events:
                    store.changed.wait(min(_TICK, left))
                    continue
        except StatusError as error:
            write("ERROR", error.render())
            return True
        for event in events:
            after = event.version
            if matches(event.body):
                write(event.kind, event.body)
    return False


def _begin(
    server: ApiServer,
    place: Place,
    query: dict[str, str],
    matches: Callable[[Body], bool],
    write: Callable[[str, Body], None],
) -> int:
    given = query.get("resourceVersion", "")
    if given not in ("", "0"):
        return int(given)
    items, version = server.store.find(place, matches)
    for body in items:
        write("ADDED", body)
    return version
