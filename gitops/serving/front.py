"""Connections to a port that never changes come in; they go on to whichever server is current.

Which one that is stands in a file that is replaced whole. Each request is sent to the server that
is current when it begins, so that a client with an open connection notices nothing when servers
change: it is re-aimed between two requests, when the client speaks again after it was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from pathlib import Path
from typing import cast

_UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\n"
    b"connection: close\r\n\r\n"
)
_INTERIM = b"HTTP/1.1 1"  # 100 Continue: the request goes on, it is not answered


class Aim:
    """The port of the current server, read again when the file that names it was replaced."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._port: int | None = None

    @property
    def port(self) -> int | None:
        """Return the port, None when there is no current server."""
        try:
            status = os.stat(self._file)  # noqa: PTH116 -- on the path of every request
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                self._port = int(json.loads(self._file.read_bytes())["port"])
                self._seen = seen
        except (OSError, ValueError, KeyError, TypeError):
            self._port = self._seen = None
        return self._port


class _Side(asyncio.Protocol):
    """One of the two connections of a client: what it cannot take, the other must not send."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()


class _Server(_Side):
    """The connection to the server that answers a client."""

    def __init__(self, client: _Client, port: int) -> None:
        super().__init__()
        self.other = self.client = client
        self.port = port
        self.answered = False

    def data_received(self, data: bytes) -> None:
        self.answered = not data.startswith(_INTERIM)
        self.client.write(data)

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self.client.lose(self)


class _Client(_Side):
    """The connection of a client, which outlives the servers that answer it."""

    def __init__(self, aim: Aim) -> None:
        super().__init__()
        self._aim = aim
        self._server: _Server | None = None
        self._waiting: list[bytes] | None = None
        self._task: asyncio.Task[None] | None = None

    def data_received(self, data: bytes) -> None:
        if self._waiting is not None:
            self._waiting.append(data)
            return
        server = self._server
        if server is None or (server.answered and server.port != self._aim.port):
            self._waiting = [data]
            self._task = asyncio.get_running_loop().create_task(self._connect())
            return
        server.answered = False
        server.write(data)

    async def _connect(self) -> None:
        old, self._server = self._server, None
        if old is not None:
            old.close()
        server = await self._open()
        if server is not None and (self.transport is None or self.transport.is_closing()):
            server.close()
            return
        if server is None:
            self.write(_UNAVAILABLE)
            self.close()
            return
        self.other = self._server = server
        server.write(b"".join(self._waiting or ()))
        self._waiting = None

    async def _open(self) -> _Server | None:
        port = self._aim.port
        if port is None or self.transport is None or self.transport.is_closing():
            return None
        loop = asyncio.get_running_loop()
        try:
            _, server = await loop.create_connection(lambda: _Server(self, port), "127.0.0.1", port)
        except OSError:
            return None
        return server

    def lose(self, server: _Server) -> None:
        """Take note that a server closed: a client is kept only if another server took over."""
        if server is not self._server:
            return
        self._server = self.other = None
        if not (server.answered and server.port != self._aim.port):
            self.close()

    def connection_lost(self, error: Exception | None) -> None:
        del error
        if self._server is not None:
            self._server.close()


async def run_front(state: Path, port: int, ready: Path) -> None:
    """Listen on 127.0.0.1 until SIGTERM; write {"port", "pid"} to `ready` when it listens."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    aim = Aim(state / "current.json")
    listener = await loop.create_server(lambda: _Client(aim), "127.0.0.1", port)
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    taken = listener.sockets[0].getsockname()[1]
    fresh = ready.with_suffix(".new")
    fresh.write_text(json.dumps({"port": taken, "pid": os.getpid()}))
    fresh.replace(ready)
    async with listener:
        await stopped.wait()


def main() -> int:
    """Run a front from the command line."""
    parser = argparse.ArgumentParser(prog="python -m gitops.serving.front")
    parser.add_argument("--state", type=Path, required=True, help="folder with current.json")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--ready-file", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(run_front(arguments.state, arguments.port, arguments.ready_file))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
