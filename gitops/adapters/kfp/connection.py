"""An address, a namespace and a way to read the token come in; a checked connection goes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from gitops.errors import InputError, OutsideError
from gitops.plan import show


class UnclearError(OutsideError):
    """No answer, or none that says whether the request was carried out.

    Attributes:
        retry_after: seconds that the server asked to wait, None when it did not say.
    """

    retry_after: float | None = None


class AnswerError(InputError):
    """The server understood and said no; `status` is the HTTP status."""

    status: int = 0


class UnknownTokenError(AnswerError):
    """The server does not know the token, or asks to sign in; a newer token may help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One Kubeflow Pipelines server and one namespace.

    Attributes:
        host: address of the API, https unless it is this machine.
        namespace: of pipelines, experiments and schedules.
        read_token: reads the bearer token, again for each request: mounted tokens rotate. Empty
            for a server that asks for none.
        timeout: seconds that connecting may take, and each silence while reading; a whole
            exchange may take four times as long.
        attempts: how often a GET is tried.
        longest_wait: cap in seconds on any wait between attempts, also one that the server asks for.
        sleep: waits seconds; tests give their own.
    """

    host: str
    namespace: str
    read_token: Callable[[], str] = field(repr=False)
    timeout: float = 30.0
    attempts: int = 5
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)

    def __post_init__(self) -> None:
        """Raise InputError for an address that a token must not be sent to."""
        check_host(self.host)


def check_host(host: str) -> None:
    """Refuse an address without https (unless it is this machine), with a user, query or fragment."""
    try:
        parts = urlsplit(host)
        name, usable = parts.hostname or "", parts.port != 0
    except ValueError:
        name, usable = "", False
    plain = usable and name and "@" not in parts.netloc and not parts.query and not parts.fragment
    if not plain or parts.scheme not in ("http", "https"):
        raise InputError(
            f"run.host is not the address of a server: {show(host)[:100]}",
            hint="it looks like https://kubeflow.example.org/pipeline",
        )
    if parts.scheme == "http" and not _is_loopback(name):
        raise InputError(
            f"run.host must begin with https: a token would be sent in clear to {show(name)[:100]}",
            hint="from inside a cluster, use kubectl port-forward and http://127.0.0.1:8888",
        )


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_token(token: str) -> str:
    """Return the token; InputError, which does not show it, when no header could carry it."""
    if not token.isascii() or not (token + "x").isprintable() or " " in token:
        raise InputError(
            "the Kubeflow token has characters that no token has",
            hint="look for a line end at its end; the token itself is not shown here",
        )
    return token


def redact(text: str, token: str) -> str:
    """Return the text without the token and without control characters."""
    for form in filter(None, (token, quote(token, safe=""))):
        text = text.replace(form, "[hidden]")
    return show(text)
