"""What nginx lets through: the page, and two paths of one model; asked without a browser."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.system.page.kit import AUDI, Served, gateway, take_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.page.relay import Relay

ROWS: dict[str, object] = {"instances": [AUDI]}
PREDICT = "/v1/models/fuel:predict"


@pytest.fixture
def http(relay: Relay, tmp_path: Path) -> Iterator[httpx.Client]:
    with (
        gateway("fuel", relay.port, tmp_path) as url,
        httpx.Client(base_url=url) as found,
    ):
        yield found


def test_the_model_is_asked_by_its_own_host_and_learns_nothing_about_the_caller(
    http: httpx.Client, relay: Relay
) -> None:
    secrets = {"cookie": "a=b", "authorization": "Bearer x", "ce-id": "1", "x-forwarded-for": "me"}
    answer = http.post(f"{PREDICT}?query=1", json=ROWS, headers=secrets)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    ((method, path, headers),) = relay.heads
    assert (method, path) == ("POST", PREDICT)
    assert {name.lower() for name in headers} == {
        "host", "content-length", "content-type", "x-request-id",
    }  # fmt: skip
    assert headers["Host"] == "fuel.models.example"


@pytest.mark.parametrize(
    "path",
    [
        "/metrics", "/docs", "/openapi.json", "/v1/models", "/v1/models/fuel", "/v2",
        "/v2/health/ready", "/v2/models/fuel/infer", "/v2/models/water", "/v2/models/fuel/",
        "/v2/repository/models/fuel/unload", "/v1/models/water:predict", "/nginx.conf.template",
        "/.git/config", "/v2/models/fuel/../../../metrics", "/v1/models/fuel:predict/..;/metrics",
        "/v2/models/%2e%2e/%2e%2e/metrics", "//metrics", "/..%2f..%2fetc/passwd", "/page.js/",
    ],
)  # fmt: skip
def test_no_other_path_is_there(http: httpx.Client, relay: Relay, path: str) -> None:
    address = http.base_url
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((address.host, address.port or 0), timeout=10) as connection:
        connection.sendall(request.encode())
        reply = connection.makefile("rb").read()
    assert reply.split(b" ")[1] in (b"404", b"400"), reply
    assert relay.heads == []


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", PREDICT, "POST"), ("PUT", PREDICT, "POST"), ("OPTIONS", PREDICT, "POST"),
        ("POST", "/v2/models/fuel", "GET, HEAD"), ("DELETE", "/v2/models/fuel", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"), ("PUT", "/page.js", "GET, HEAD"), ("POST", "/model.json", "GET, HEAD"),
    ],
)  # fmt: skip
def test_no_other_method_is_allowed(
    http: httpx.Client, relay: Relay, method: str, path: str, allowed: str
) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert relay.heads == []


def test_every_answer_carries_the_policy_and_no_version(http: httpx.Client) -> None:
    for path in ("/", "/page.js", "/v2/models/fuel", "/model.json", "/nothing", "/healthz"):
        headers = http.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "camera=()" in headers["permissions-policy"]
        assert headers["server"] == "nginx"
        own = path.startswith("/v2")
        assert headers.get_list("cache-control") == ["no-store" if own else "no-cache"]


def test_a_body_beyond_the_limit_is_refused_before_the_model(
    http: httpx.Client, relay: Relay
) -> None:
    answer = http.post(PREDICT, content=b" " * ((8 << 20) + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "the request is larger than 8 MiB")
    assert relay.heads == []


def test_a_model_that_is_not_there_is_a_503_in_json(tmp_path: Path) -> None:
    with gateway("fuel", take_port(), tmp_path) as url:
        answer = httpx.post(f"{url}{PREDICT}", json=ROWS)
        assert (answer.status_code, answer.json()) == (503, {"error": "the model does not answer"})
        assert httpx.get(f"{url}/healthz").text == "ok\n"


@contextmanager
def name_server(address: str) -> Iterator[int]:
    """Answer every question for an A record with one address; yield the port."""
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def answer() -> None:
            while True:
                asked, sender = listener.recvfrom(512)
                if not asked:
                    return
                question = asked[12 : asked.index(b"\0", 12) + 5]
                found = question[-3:-2] == b"\x01"  # an A record, not an AAAA one
                head = asked[:2] + b"\x81\x80\0\1" + (b"\0\1" if found else b"\0\0") + b"\0" * 4
                record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + socket.inet_aton(address)
                listener.sendto(head + question + (record if found else b""), sender)

        thread = Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.sendto(b"", listener.getsockname())
            thread.join()


def test_the_upstream_may_be_a_name_of_the_clusters_name_server(
    relay: Relay, tmp_path: Path
) -> None:
    with name_server("127.0.0.1") as resolver:
        others = {
            "PAGE_UPSTREAM": f"fuel-predictor.models.svc.cluster.local:{relay.port}",
            "PAGE_RESOLVER": f"127.0.0.1:{resolver}",
        }
        with gateway("fuel", relay.port, tmp_path, **others) as url:
            assert httpx.post(f"{url}{PREDICT}", json=ROWS).status_code == 200


def test_what_the_server_says_passes_unchanged(http: httpx.Client, served: Served) -> None:
    direct = f"http://127.0.0.1:{served.port}{PREDICT}"
    bodies: tuple[dict[str, object], ...] = (ROWS, {"instances": [{}]}, {"instances": 1}, {})
    for body in bodies:
        mine, its = http.post(PREDICT, json=body), httpx.post(direct, json=body)
        assert (mine.status_code, mine.json()) == (its.status_code, its.json())
