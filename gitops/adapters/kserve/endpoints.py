"""An address, or a service behind the API server, comes in; what answers there goes out."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from gitops.adapters.kserve.connection import ANSWER_LIMIT, Connection, parse_body
from gitops.errors import OutsideError
from gitops.plan import show


class Endpoint(Protocol):
    """Somewhere a model answers."""

    @property
    def where(self) -> str:
        """Return the place, for messages."""

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """GET a path, or POST to it; raise OutsideError unless the answer is 200 and an object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpEndpoint:
    """An address that requests go to, each over a connection of its own, as `host` if that is another.

    A gateway that splits by connection splits such requests too. Redirects are not followed.
    """

    address: str
    host: str
    timeout: float

    @property
    def where(self) -> str:
        """Return the name that is asked for."""
        return f"{urlsplit(self.address).scheme}://{self.host}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask once; raise OutsideError unless the answer is 200 and an object."""
        method, content = ("GET", None) if body is None else ("POST", json.dumps(body))
        headers = {"Host": self.host, "Content-Type": "application/json"}
        try:
            connection = self._connect()
            try:
                connection.request(method, path, content, headers)
                answer = connection.getresponse()
                text = answer.read(ANSWER_LIMIT)
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise OutsideError(f"it does not answer: {error}", where=self.where) from error
        if answer.status != http.client.OK:
            said = show(text[:200].decode("utf-8", "replace"))
            raise OutsideError(f"{method} {path}: status {answer.status}: {said}", where=self.where)
        return parse_body(text)

    def _connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        is_safe = parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_safe else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=self.timeout)


def make_endpoint(url: str, gateway: str, timeout: float) -> HttpEndpoint:
    """Return the endpoint of an address that the cluster names, by way of the gateway if there is one.

    Raises OutsideError when it is no web address: it comes from the cluster, not from us.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise OutsideError(f"the cluster names no usable address: {show(url[:100])!r}")
    address = gateway or f"{parts.scheme}://{parts.netloc}"
    return HttpEndpoint(address=address, host=parts.netloc, timeout=timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyEndpoint:
    """A service of the cluster, reached through the API server: from within and from outside."""

    connection: Connection
    namespace: str
    service: str

    @property
    def where(self) -> str:
        """Return the service's name."""
        return f"service {self.namespace}/{self.service}"

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask once; raise OutsideError unless the answer is 200 and an object."""
        content = self.connection.ask(
            "GET" if body is None else "POST",
            f"/api/v1/namespaces/{self.namespace}/services/{self.service}/proxy{path}",
            verb="get" if body is None else "create",
            resource=f"services/proxy in {self.namespace}",
            body=body,
        )
        if content is None:
            raise OutsideError("the service is not there, or has nothing ready", where=self.where)
        return parse_body(content)
