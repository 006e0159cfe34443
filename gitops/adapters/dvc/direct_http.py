"""A server and a way to ask it for an object come in; the object's unchecked bytes go out, in blocks.

The connection goes to an address that was checked before; the name serves TLS and the Host header.
Plain `http.client`: a pod starts for one fetch, and a larger library takes longer to load than to use.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from gitops.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from gitops.source import Limits

BLOCK = 256 * 2**10
_BUSY = frozenset({429, 500, 502, 503, 504})
_FIRST_WAIT = 0.2
_HINTS = {
    401: "the remote wants other credentials than the pod has",
    403: "the remote does not let the pod's credentials read this object",
    404: "dvc push, on the machine that has the data",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpServer:
    """Where objects are.

    Attributes:
        scheme: `https` or `http`.
        host: its name.
        port: its port.
        netloc: what the Host header says.
        address: the IP address to connect to.
    """

    scheme: str
    host: str
    port: int
    netloc: str
    address: str


class _Connection(http.client.HTTPConnection):
    """A connection to the checked address; with a context, under TLS with the server's name."""

    def __init__(self, server: HttpServer, limits: Limits, context: ssl.SSLContext | None) -> None:
        super().__init__(server.address, server.port, timeout=limits.read_seconds)
        self._server = server
        self._limits = limits
        self._context = context

    def connect(self) -> None:
        place = (self._server.address, self._server.port)
        self.sock = socket.create_connection(place, self._limits.connect_seconds)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._context:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self._server.host)
        self.sock.settimeout(self._limits.read_seconds)


@dataclass(slots=True, kw_only=True)
class HttpReader:
    """Reads objects over http(s), several at a time: each thread keeps a connection of its own.

    Attributes:
        server: whom to ask.
        ask: an object's name → path and headers of the request.
        place: the remote's name and address, for messages.
        limits: how patient to be.
    """

    server: HttpServer
    ask: Callable[[str], tuple[str, Mapping[str, str]]]
    place: str
    limits: Limits
    _context: ssl.SSLContext | None = field(init=False, repr=False)
    _deadline: float = field(init=False)
    _own: threading.local = field(default_factory=threading.local, init=False, repr=False)
    _open: list[_Connection] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        self._context = ssl.create_default_context() if self.server.scheme == "https" else None
        self._deadline = time.monotonic() + self.limits.total_seconds

    def read(self, name: str) -> Generator[bytes, None, None]:
        """Yield the bytes that the remote has under a name.

        Raises:
            OutsideError: it has none, does not answer with them, or takes too long.
        """
        connection = self._connect()
        is_whole = False
        try:
            response = self._answer(connection, name)
            if response.status != 200:
                self._refuse(response.status, name)
            # `read1` gives what has come so far: a server that drips meets the deadline too.
            while block := response.read1(BLOCK):
                yield block
                self._check_deadline()
            is_whole = not response.length
            if not is_whole:
                self._fail(f"object {name} did not arrive: the answer breaks off")
            # Read to its last byte, but not yet done with: the connection is free only now.
            response.close()
        except (http.client.HTTPException, OSError) as error:
            self._fail(f"object {name} did not arrive: {type(error).__name__}")
        finally:
            # Half-read bytes must not be taken for the answer to the next request.
            if not is_whole:
                connection.close()

    def close(self) -> None:
        """End all connections."""
        for connection in self._open:
            connection.close()

    def _connect(self) -> _Connection:
        connection: _Connection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = _Connection(self.server, self.limits, self._context)
            self._own.connection = connection
            self._open.append(connection)
        return connection

    def _answer(self, connection: _Connection, name: str) -> http.client.HTTPResponse:
        """Return the first usable answer, or the last of as many as the limits allow."""
        for attempt in range(1, self.limits.attempts):
            try:
                response = self._request(connection, name)
                if response.status not in _BUSY:
                    return response
            except ssl.SSLCertVerificationError:
                raise
            except (http.client.HTTPException, OSError):
                pass
            connection.close()
            self._check_deadline()
            time.sleep(_FIRST_WAIT * 2 ** (attempt - 1))
        return self._request(connection, name)

    def _request(self, connection: _Connection, name: str) -> http.client.HTTPResponse:
        path, headers = self.ask(name)
        own = {"Host": self.server.netloc, "Accept-Encoding": "identity"}
        connection.request("GET", path, headers={**headers, **own})
        return connection.getresponse()

    def _check_deadline(self) -> None:
        if time.monotonic() > self._deadline:
            self._fail(f"not done within {self.limits.total_seconds:g} seconds")

    def _refuse(self, status: int, name: str) -> NoReturn:
        if 300 <= status < 400:
            self._fail(
                f"the remote redirects object {name} elsewhere ({status})",
                "redirects are not followed: give the remote's real address or region",
            )
        what = "is not on the remote" if status == 404 else f"cannot be read: HTTP {status}"
        self._fail(f"object {name} {what}", _HINTS.get(status, ""))

    def _fail(self, what: str, hint: str = "") -> NoReturn:
        usual = "check that the remote answers, then run again"
        raise OutsideError(what, where=self.place, hint=hint or usual)
