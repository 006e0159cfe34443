"""The HTTP side of the webhook receiver: what anybody on the network may send at it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gitops.adapters import hook_server
from gitops.adapters.hook_server import HookServer, bind, serve
from gitops.errors import OutsideError
from gitops.flow.listening import Inbox
from gitops.webhook import BODY_LIMIT
from tests.hook_kit import HOOK_TOKEN, ask, event, make_inbox, poll, speak


@contextmanager
def open_server(inbox: Inbox) -> Iterator[HookServer]:
    report = {"status": "ok"}
    server = HookServer(bind("127.0.0.1", 0), inbox.receive, lambda: report)
    with serve(server):
        yield server


def test_it_answers_events_and_health() -> None:
    inbox = make_inbox()
    with open_server(inbox) as server:
        assert ask(server.port, "POST", "/webhook", event())[0] == 202
        assert ask(server.port, "POST", "/webhook", event(), {"X-Gitlab-Token": "x"})[0] == 401
        assert ask(server.port, "GET", "/health")[0] == 200
        assert ask(server.port, "GET", "/webhook")[0] == 404
        assert ask(server.port, "POST", "/", event())[0] == 404
    assert len(inbox) == 1


def test_a_large_body_is_refused_before_it_is_kept() -> None:
    with open_server(make_inbox()) as server:
        assert ask(server.port, "POST", "/webhook", b"x" * (BODY_LIMIT + 1))[0] == 413
        padded = event().ljust(BODY_LIMIT)
        assert ask(server.port, "POST", "/webhook", padded)[0] == 202


@pytest.mark.parametrize(
    "lines",
    [
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 4\r\nContent-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 1e3\r\n",
        b"",
    ],
)
def test_a_body_of_unclear_length_is_refused(lines: bytes) -> None:
    with open_server(make_inbox()) as server:
        said = speak(server.port, b"POST /webhook HTTP/1.1\r\n" + lines + b"\r\n{}  ")
    assert said.startswith(b"HTTP/1.1 411 ")


def test_a_header_given_twice_is_refused() -> None:
    twice = f"X-Gitlab-Token: x\r\nX-Gitlab-Token: {HOOK_TOKEN}\r\n".encode()
    head = b"POST /webhook HTTP/1.1\r\nContent-Length: 2\r\n" + twice
    with open_server(make_inbox()) as server:
        assert speak(server.port, head + b"\r\n{}").startswith(b"HTTP/1.1 400 ")


def test_who_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_server, "REQUEST_SECONDS", 0.2)
    with open_server(make_inbox()) as server:
        said = speak(server.port, b"POST /webhook HTTP/1.1\r\nContent-Length: 9\r\n\r\n{", b"")
    assert not said.startswith(b"HTTP/1.1 202")


def test_more_connections_than_places_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_server, "MOST_CONNECTIONS", 1)
    with (
        open_server(make_inbox()) as server,
        socket.create_connection(("127.0.0.1", server.port)) as first,
    ):
        first.sendall(b"POST /webhook HTTP/1.1\r\n")
        assert poll(lambda: speak(server.port, b"").startswith(b"HTTP/1.1 429 "))


def test_a_port_that_is_taken_is_an_error_with_a_hint() -> None:
    with bind("127.0.0.1", 0) as taken, pytest.raises(OutsideError, match="cannot listen"):
        bind("127.0.0.1", taken.getsockname()[1])
