"""Servers for the length of a block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer

from tests.fake_gitlab.server import FakeGitlab
from tests.fake_gitlab.stranger import OtherHost


@contextmanager
def serve(server: ThreadingHTTPServer) -> Iterator[None]:
    """Run a server until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        if isinstance(server, FakeGitlab):
            server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve_fake_gitlab(port: int = 0) -> Iterator[FakeGitlab]:
    """Run an empty GitLab until the block ends."""
    fake = FakeGitlab(port)
    with serve(fake):
        yield fake


@contextmanager
def serve_other_host() -> Iterator[OtherHost]:
    """Run a second server on another port, which is another origin."""
    other = OtherHost()
    with serve(other):
        yield other
