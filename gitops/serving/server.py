"""A predictor goes in; a running KServe ModelServer around it comes out."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

from gitops.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops.serving.service import Service


def bind(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 takes a free one. Raise OutsideError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OutsideError(
            f"cannot listen here: {error.strerror or error}",
            where=f"{host}:{port}",
            hint="choose another --port, or 0 for a free one",
        ) from error
    return listener


def serve(service: Service, listener: socket.socket, on_ready: Callable[[int], None]) -> None:
    """Serve until SIGTERM or SIGINT, and let requests in flight finish.

    Args:
        service: what answers.
        listener: bound socket.
        on_ready: called once, with the port, when requests are answered.
    """
    # KServe reads the command line while it is imported; this one is not meant for it.
    arguments, sys.argv = sys.argv, sys.argv[:1]
    try:
        from gitops.serving.kserve_server import Server
    finally:
        sys.argv = arguments
    Server(service, listener, on_ready).start([])
