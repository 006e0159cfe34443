"""A request to one server comes in; its answer, or an error that says what it means, goes out.

Below python-gitlab, because there each redirect and each page passes, with the token in its header.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import requests

from gitops.adapters.gitlab.trouble import UnclearError
from gitops.errors import InputError

_TOO_MANY, _BROKEN, _NO_CONTENT = 429, 500, 204
_PORTS = {"http": 80, "https": 443}


class OneServerSession(requests.Session):
    """A session that talks to one origin (scheme, host, port) and to nobody else."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._origin = find_origin(address)
        self.max_redirects = 3

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send to the one server; every hop of a redirect passes here too."""
        if find_origin(request.url or "") != self._origin:
            raise InputError(
                f"{_render(self._origin)} sends on to {_render(find_origin(request.url or ''))}, "
                "which gets no token",
                hint="give the address that GitLab itself uses, its external_url",
            )
        return super().send(request, **options)

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Return where a read is sent on to; a write is never sent on, it would become a read."""
        target: str | None = super().get_redirect_target(resp)
        if target is not None and resp.request.method != "GET":
            raise InputError(
                f"{_render(self._origin)} sends a {resp.request.method} on to another address",
                hint="give the address that GitLab itself uses, and the project's present path",
            )
        return target

    def request(self, method: str, url: str | bytes, **options: Any) -> requests.Response:  # type: ignore[override] # the parameters pass through untouched
        """Ask; an answer that is not GitLab's own becomes an UnclearError."""
        response = super().request(method, url, **options)
        if response.status_code == _TOO_MANY:
            raise UnclearError(
                "the server says that these are too many requests",
                is_undone=True,
                retry_after=_read_wait(response),
            )
        if response.status_code >= _BROKEN:
            raise UnclearError(
                f"the server failed with status {response.status_code}",
                retry_after=_read_wait(response),
            )
        if response.ok and response.status_code != _NO_CONTENT and not _is_json(response):
            raise UnclearError("the server answered with a page instead of data")
        return response


def find_origin(address: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address; two addresses of one server have one origin."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)


def _render(origin: tuple[str, str, int]) -> str:
    scheme, host, port = origin
    return f"{scheme}://{host}" + ("" if port == _PORTS.get(scheme) else f":{port}")


def _is_json(response: requests.Response) -> bool:
    kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
    return kind == "application/json"


def _read_wait(response: requests.Response) -> float | None:
    """Return Retry-After in seconds; a date is not compared with a clock that may be wrong."""
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else None
