"""Requests come in as small tuples; JSON lines, one a request and without feature values, go out.

Formatting and writing happen in a thread of their own, a few times a second.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO

import orjson

MAX_WAITING = 100_000
FLUSH_SECONDS = 0.25
MAX_TEXT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One request: its beginning in Unix time, what was asked, what was answered, how long."""

    time: float
    method: str
    path: str
    status: int
    rows: int
    seconds: float
    reason: str
    request_id: str


class AccessLog:
    """Writes accesses to a binary stream; a slow one loses lines, and is told how many."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._waiting: deque[Access] = deque(maxlen=MAX_WAITING)
        self._added = 0
        self._seen = 0
        self._stopped = threading.Event()
        self._writer = threading.Thread(target=self._write, name="access-log", daemon=True)
        self._writer.start()

    def add(self, access: Access) -> None:
        """Queue one access; never blocks."""
        self._added += 1
        self._waiting.append(access)

    def close(self) -> None:
        """Write what waits and stop."""
        self._stopped.set()
        self._writer.join(timeout=5)

    def _write(self) -> None:
        while not self._stopped.wait(FLUSH_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        lines = [render_access(self._waiting.popleft()) for _ in range(len(self._waiting))]
        self._seen += len(lines)
        lost = self._added - self._seen - len(self._waiting)
        if lost > 0:
            self._seen += lost
            lines.append(orjson.dumps({"log": "access", "lost": lost}) + b"\n")
        if lines:
            self._stream.write(b"".join(lines))
            self._stream.flush()


def render_access(access: Access) -> bytes:
    """Return one access as a JSON line; times in UTC and milliseconds."""
    body = {
        "log": "access",
        "time": datetime.fromtimestamp(access.time, UTC).isoformat(timespec="milliseconds"),
        "method": access.method,
        "path": access.path[:MAX_TEXT],
        "status": access.status,
        "rows": access.rows,
        "ms": round(access.seconds * 1000, 3),
    }
    if access.reason:
        body["reason"] = access.reason
    if access.request_id:
        body["request_id"] = access.request_id[:MAX_TEXT]
    return orjson.dumps(body) + b"\n"
