"""A real S3 protocol server on 127.0.0.1, one per process: a bucket per test, with faults on demand."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

KEY, SECRET = "AKIAKITKITKITKITKIT1", "canary-of-the-secret-key"
# The kit's own client sees and changes what is there whatever is wrong with the server.
_OWN = "s3-place-kit"
_numbers = itertools.count()


class S3Fault(StrEnum):
    """What is wrong with one bucket at the moment."""

    NONE = "none"
    UNAVAILABLE = "unavailable"  # answers 503
    FORBIDDEN = "forbidden"  # answers 403
    DROP = "drop"  # closes the connection without an answer
    HANG = "hang"  # never answers
    LIE = "lie"  # says that it stored what it threw away


@dataclass(slots=True, kw_only=True)
class S3Place:
    """One bucket on the server; change `fault` while it runs.

    Attributes:
        url: of the server.
        bucket: its name, used by nobody else.
        fault: what goes wrong with each request from now on.
        only: the methods that `fault` concerns, all if empty.
        requests: method and path of each request so far, the kit's own aside.
    """

    url: str
    bucket: str
    fault: S3Fault = S3Fault.NONE
    only: tuple[str, ...] = ()
    requests: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    _asked: threading.Condition = field(default_factory=threading.Condition)

    def note(self, method: str, path: str) -> None:
        with self._asked:
            self.requests.append(f"{method} {path}")
            self._asked.notify_all()

    def wait_for(self, method: str, *, seconds: float) -> bool:
        """Wait until somebody has asked with this method."""
        with self._asked:
            return self._asked.wait_for(
                lambda: any(asked.startswith(f"{method} ") for asked in self.requests), seconds
            )

    @property
    def environ(self) -> dict[str, str]:
        """What a client needs in its environment."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def client(self) -> Any:
        """A boto3 client that no fault concerns."""
        return _make_client(self.url)

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)


@contextmanager
def serve_s3() -> Iterator[S3Place]:
    """Give a new, empty bucket; the server starts with the first and ends with the process."""
    server = _start()
    place = S3Place(url=server.url, bucket=f"bucket-{next(_numbers)}")
    place.client.create_bucket(Bucket=place.bucket)
    server.places[place.bucket] = place
    try:
        yield place
    finally:
        place.closing.set()
        place.fault = S3Fault.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    url: str
    places: dict[str, S3Place]


@cache
def _start() -> _Server:
    from moto.server import ThreadedMotoServer

    # A line per request would drown what a failing test prints.
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    server = _Server(url=f"http://{host}:{port}", places={})
    running = moto._server
    if running is None:
        raise AssertionError("unreachable: the server has just been started")
    running.app = _Front(server.places, running.app)
    return server


@cache
def _make_client(url: str) -> Any:
    import boto3  # type: ignore[import-untyped] # it has no stubs
    from botocore.config import Config  # type: ignore[import-untyped] # it has no stubs

    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(user_agent_extra=_OWN, s3={"addressing_style": "path"}),
    )


class _Front:
    """What stands before moto: it passes requests on, or breaks them."""

    def __init__(self, places: dict[str, S3Place], app: Any) -> None:
        self.places = places
        self.app = app

    def __call__(self, environ: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        place = self.places.get(path.lstrip("/").partition("/")[0])
        if place is None or _OWN in environ.get("HTTP_USER_AGENT", ""):
            return self._pass(environ, answer)
        place.note(method, path)
        if place.only and method not in place.only:
            return self._pass(environ, answer)
        return self._break(place, environ, answer)

    def _pass(self, environ: dict[str, Any], answer: Callable[..., Any]) -> Iterable[bytes]:
        body: Iterable[bytes] = self.app(environ, answer)
        return body

    def _break(
        self, place: S3Place, environ: dict[str, Any], answer: Callable[..., Any]
    ) -> Iterable[bytes]:
        match place.fault:
            case S3Fault.UNAVAILABLE:
                return _refuse(answer, "503 Slow Down", "SlowDown")
            case S3Fault.FORBIDDEN:
                return _refuse(answer, "403 Forbidden", "AccessDenied")
            case S3Fault.DROP:
                return _drop(environ)
            case S3Fault.HANG:
                place.closing.wait()
                return _drop(environ)
            case S3Fault.LIE if environ["REQUEST_METHOD"] == "PUT":
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or -1))
                answer("200 OK", [("ETag", '"lie"'), ("Content-Length", "0")])
                return []
        return self._pass(environ, answer)


def _refuse(answer: Callable[..., Any], status: str, code: str) -> Iterable[bytes]:
    body = f"<Error><Code>{code}</Code><Message>not now</Message></Error>".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    answer(status, headers)
    return [body]


def _drop(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError
