"""The token goes to the right Kubeflow only, is read again when it changes, and is never shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.supervision import RunOrder, Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind, make_connection
from tests.fake_kubeflow.fixtures import Time, fake, finish, kubeflow, order, tiny, version, watch

__all__ = ["fake", "kubeflow", "order", "tiny", "version"]


def test_a_rotated_token_is_read_again(fake: FakeKubeflow, order: RunOrder) -> None:
    held = ["stale", fake.token]
    connection = make_connection(fake, read_token=lambda: held.pop(0) if len(held) > 1 else held[0])
    started = Cluster(connection).start(order)
    fake.world.tokens["rotated"] = fake.world.tokens.pop(fake.token)
    fake.token = "rotated"
    held[0] = "rotated"
    assert Cluster(connection).start(order).run_id == started.run_id


def test_watching_outlives_a_token_that_is_refreshed_late(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.world.tokens["next"] = fake.world.tokens.pop(fake.token)

    def refresh(seconds: float) -> None:
        if seconds >= 100:
            fake.token = "next"
            finish(fake, started.run_id, "SUCCEEDED")

    assert watch(kubeflow, started, Time(refresh)).has_succeeded


def test_a_token_that_the_server_does_not_know_is_bad_input(
    fake: FakeKubeflow, version: Version, order: RunOrder
) -> None:
    client = Cluster(make_connection(fake, read_token=lambda: "wrong-token"))
    with pytest.raises(InputError, match="401") as caught:
        client.start(order)
    assert "wrong-token" not in str(caught.value) + caught.value.hint
    assert fake.runs == []


def test_a_server_that_quotes_the_request_does_not_make_us_show_the_token(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    fake.fail(FaultKind.ECHO, "POST /runs$")
    with pytest.raises(InputError, match="what is this") as caught:
        kubeflow.start(order)
    assert "[hidden]" in str(caught.value)
    assert fake.token not in repr(caught.value) + caplog.text + repr(kubeflow.connection)


class _Stranger(BaseHTTPRequestHandler):
    seen: list[str] = []  # noqa: RUF012 - emptied by the fixture

    def do_GET(self) -> None:
        self.seen.append(f"{self.path} {self.headers.get('Authorization')}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_stranger() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Stranger)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    _Stranger.seen.clear()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("request_line", ["GET /experiments", "POST /runs$", "GET /runs$"])
def test_a_redirect_is_not_followed_with_the_token_or_without(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, request_line: str
) -> None:
    with serve_stranger() as place:
        fake.fail(FaultKind.REDIRECT, request_line, times=99, location=place)
        with pytest.raises(InputError, match="the token does not go there"):
            kubeflow.start(order)
        assert _Stranger.seen == []


@pytest.mark.parametrize(
    "host",
    [
        "http://kubeflow.example.org",
        "http://127.0.0.1.example.org",
        "http://10.0.0.1:8888",
        "http://169.254.169.254",
        "https://user:password@kubeflow.example.org",
        "https://kubeflow.example.org/?next=1",
        "file:///etc/passwd",
        "https://",
        "https://kubeflow.example.org:99999",
        "gopher://127.0.0.1",
    ],
)
def test_an_address_that_no_token_should_go_to_is_refused(host: str) -> None:
    with pytest.raises(InputError, match=r"run\.host") as caught:
        Connection(host=host, namespace="team-a", read_token=str)
    assert "\x00" not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["https://kubeflow.example.org/pipeline", "http://127.0.0.1:8888", "http://[::1]:1"]
)
def test_https_and_this_machine_are_addresses(host: str) -> None:
    assert Connection(host=host, namespace="team-a", read_token=str).host == host


def test_a_token_with_a_line_end_in_it_is_not_sent(fake: FakeKubeflow) -> None:
    client = Cluster(make_connection(fake, read_token=lambda: "two\nlines"))
    with pytest.raises(InputError, match="characters that no token has"):
        client.terminate("run")
    assert fake.calls == []


def test_a_server_that_hangs_is_given_up(fake: FakeKubeflow, order: RunOrder) -> None:
    fake.fail(FaultKind.HANG, "", times=99)
    client = Cluster(make_connection(fake, timeout=0.05, attempts=2))
    with pytest.raises(OutsideError, match="no answer from Kubeflow"):
        client.start(order)


def test_another_namespace_is_refused_in_words(fake: FakeKubeflow, order: RunOrder) -> None:
    fake.world.namespaces.add("team-b")
    fake.world.tokens[fake.token] = {"team-a"}
    client = Cluster(make_connection(fake, namespace="team-b"))
    with pytest.raises(GitopsError, match="no access to namespace 'team-b'"):
        client.start(replace(order, namespace="team-b"))
