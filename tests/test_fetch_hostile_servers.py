"""Whatever a remote, a Git server or a name does, `gitops fetch` leaves the truth or nothing."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.errors import InputError, OutsideError, RefusedError
from tests.faulty_remote import Fault
from tests.fetch_place import IMPATIENT, MODEL, TOKEN, Place, configure, place, refused, shared
from tests.git_server import serve_git

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["place", "shared"]


@contextmanager
def serve_bytes(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Answer each connection with the same bytes, then close it; give host:port and what was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65536))
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", asked
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


# What the remote does.


def test_an_object_that_is_missing_is_named(place: Place, tmp_path: Path) -> None:
    path = place.object_of(f"{MODEL}/model.ubj")
    del place.objects[path]
    name = path.removeprefix("/dvc/files/md5/").replace("/", "")
    with refused(OutsideError, f"object {name} is not on the remote", tmp_path):
        place.fetch(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: b"X" + content[1:], "has other bytes"),
        (lambda content: content[:-1], "has other bytes"),
        (lambda _: b"", "has other bytes"),
        (lambda content: content + b"X" * 100_000, "more bytes than the pointer says"),
    ],
    ids=["one byte", "cut short", "emptied", "grown"],
)
@pytest.mark.parametrize("file", ["model.ubj", "bundle.json"])
def test_an_object_with_other_bytes_is_never_delivered(
    place: Place, tmp_path: Path, file: str, change: object, message: str
) -> None:
    assert callable(change)
    path = place.object_of(f"{MODEL}/{file}")
    place.objects[path] = change(place.objects[path])
    with refused(OutsideError, message, tmp_path):
        place.fetch(tmp_path)


def test_a_listing_with_other_bytes_is_not_read(place: Place, tmp_path: Path) -> None:
    (path,) = (path for path in place.objects if path.endswith(".dir"))
    place.objects[path] = place.objects[path].replace(b"model.ubj", b"other.ubj")
    with refused(OutsideError, "has other bytes", tmp_path):
        place.fetch(tmp_path)


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.DROP, Fault.HANG])
def test_a_remote_that_fails_ends_the_fetch_in_bounded_time(
    place: Place, tmp_path: Path, fault: Fault
) -> None:
    place.store.fault = fault
    with refused(OutsideError, "object .* (did not arrive|cannot be read: HTTP 503)", tmp_path):
        place.fetch(tmp_path)
    place.store.fault = Fault.NONE
    assert place.fetch(tmp_path).changed


def test_an_answer_that_breaks_off_is_not_a_file(place: Place, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 10
    with serve_bytes(answer) as (host, _):
        commit = configure(place, f"http://{host}/dvc")
        with refused(OutsideError, "did not arrive", tmp_path):
            place.fetch(tmp_path, commit=commit, extra=place.admit(host))


def test_a_remote_that_redirects_is_not_followed(place: Place, tmp_path: Path) -> None:
    with serve_bytes(b"") as (other, asked):
        answer = f"HTTP/1.1 302 Found\r\nLocation: http://{other}/x\r\nContent-Length: 0\r\n\r\n"
        with serve_bytes(answer.encode()) as (host, _):
            commit = configure(place, f"http://{host}/dvc")
            with refused(OutsideError, "redirects", tmp_path):
                place.fetch(tmp_path, commit=commit, extra=place.admit(host, other))
        assert not asked


# What the Git server does.


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.HANG])
def test_a_git_server_that_fails_ends_the_fetch_in_bounded_time(
    place: Place, tmp_path: Path, fault: Fault
) -> None:
    place.git.fault = fault
    with refused(OutsideError, "503|did not finish", tmp_path):
        place.fetch(
            tmp_path, limits=replace(IMPATIENT, total_seconds=1), extra={"GITOPS_GIT_TOKEN": TOKEN}
        )


def test_a_commit_that_the_server_lacks_is_bad_input(place: Place, tmp_path: Path) -> None:
    with refused(InputError, "does not have this commit", tmp_path):
        place.fetch(tmp_path, commit="1" * 40)


def test_the_id_of_something_else_is_not_a_commit(place: Place, tmp_path: Path) -> None:
    blob = place.work.git("rev-parse", "HEAD:.dvc/config")
    with refused(InputError, "not a tree object", tmp_path):
        place.fetch(tmp_path, commit=blob)


def test_another_commit_gives_what_that_commit_names(place: Place, tmp_path: Path) -> None:
    before = place.work.git("rev-list", "--max-parents=0", "HEAD")
    changed = place.commit_without(f"{MODEL}.dvc")
    assert place.fetch(tmp_path, commit=before).changed
    with refused(InputError, "has no data/models/fuel.dvc", tmp_path / "models"):
        place.fetch(tmp_path / "models", commit=changed)


@pytest.mark.parametrize("token", ["", "wrong", f"{TOKEN}x"])
def test_a_token_that_is_not_accepted_is_said_to_be_so(
    place: Place, tmp_path: Path, token: str
) -> None:
    place.git.token = TOKEN
    with refused(InputError, "does not accept the token", tmp_path):
        place.fetch(tmp_path, extra={"GITOPS_GIT_TOKEN": token})


def test_a_token_never_follows_a_redirect(place: Place, tmp_path: Path) -> None:
    with serve_bytes(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as (other, asked):
        place.git.redirect = f"http://{other}"
        with refused(OutsideError, "30[0-9]|redirect", tmp_path):
            place.fetch(tmp_path, extra={"GITOPS_GIT_TOKEN": TOKEN, **place.admit(other)})
        assert not asked


def test_no_secret_is_in_an_argument_of_any_process(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = subprocess.Popen.__init__

    def record(self: object, args: list[object], *more: object, **options: object) -> None:
        seen.extend(os.fsdecode(part) for part in args)  # type: ignore[arg-type] # paths and texts
        real(self, args, *more, **options)  # type: ignore[call-overload] # passed through

    monkeypatch.setattr(subprocess.Popen, "__init__", record)
    place.git.token = TOKEN
    place.fetch(tmp_path, extra={"GITOPS_GIT_TOKEN": TOKEN})
    assert "fetch" in seen
    assert not any(TOKEN in part or place.git.requests[0].authorization in part for part in seen)


# Where names lead.


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1"])
def test_a_name_that_leads_inside_is_not_followed(
    place: Place, tmp_path: Path, address: str
) -> None:
    host = f"gitlab.test:{place.git.port}"
    with refused(RefusedError, f"its address {address} is|belongs to", tmp_path):
        place.fetch(
            tmp_path,
            host=host,
            read=lambda *_: ("93.184.216.34", address),
            extra={
                "GITOPS_ALLOWED_HOSTS": host,
                "GITOPS_PRIVATE_HOSTS": "",
                "GITOPS_HTTP_HOSTS": host,
            },
        )
    assert not place.git.requests


def test_a_metadata_service_stays_closed_to_a_host_of_our_own_network(
    place: Place, tmp_path: Path
) -> None:
    host = f"gitlab.test:{place.git.port}"
    hosts = place.admit(host)
    with refused(RefusedError, "metadata", tmp_path):
        place.fetch(tmp_path, host=host, read=lambda *_: ("169.254.169.254",), extra=hosts)


def test_a_second_answer_of_the_dns_leads_nowhere(place: Place, tmp_path: Path) -> None:
    answers = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2", "127.0.0.2"])
    host = f"gitlab.test:{place.git.port}"
    with serve_git(place.git.root, "127.0.0.2", place.git.port) as trap:
        place.fetch(
            tmp_path,
            "data/cars.csv",
            host=host,
            read=lambda name, _: (next(answers) if name == "gitlab.test" else name,),
            extra=place.admit(host),
        )
        assert not trap.requests
    assert len(place.git.requests) == 4
