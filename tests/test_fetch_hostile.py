"""Whatever a server, a repository or a destination does, `gitops fetch` leaves the truth or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.digest import make_digest
from gitops.errors import GitopsError, InputError, OutsideError, RefusedError
from gitops.manifest import make_release_id, render_manifest
from tests.dvc_place import read_tree
from tests.faulty_remote import Fault
from tests.fetch_place import IMPATIENT, MODEL, Place, make_manifest, make_place
from tests.git_server import serve_git

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "glpat-canary-0123456789"
POINTER = "outs:\n- md5: {}\n  size: {}\n  nfiles: {}\n  hash: md5\n  path: {}\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with make_place(tmp_path_factory.mktemp("fetch")) as place:
        yield place


@pytest.fixture
def place(shared: Place) -> Iterator[Place]:
    objects = dict(shared.objects)
    shared.git.requests.clear()
    shared.store.requests.clear()
    yield shared
    shared.git.token = shared.git.redirect = ""
    shared.git.fault = shared.store.fault = Fault.NONE
    shared.store.objects = objects


@contextmanager
def refused(kind: type[GitopsError], match: str, folder: Path) -> Iterator[None]:
    """Expect this error, and that the destination holds nothing afterwards."""
    with pytest.raises(kind, match=match) as caught:
        yield
    assert caught.type is kind
    assert not folder.exists() or not list(folder.iterdir())
    assert TOKEN not in f"{caught.value} {caught.value.hint}"


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


def configure(place: Place, url: str, **options: str) -> str:
    """Commit another remote; return the commit."""
    return place.commit_files({".dvc/config": place.render_config(url, **options)})


def track(place: Place, entries: object, *, files: int = 1, size: int = 100) -> str:
    """Commit a pointer to this listing, which the remote has; return the commit."""
    content = json.dumps(entries).encode()
    name = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
    place.objects[f"/dvc/files/md5/{name[:2]}/{name[2:]}"] = content
    return place.commit_files({"data/odd.dvc": POINTER.format(name, size, files, "odd")})


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


# What the repository says.


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "a/../../b",
        "a//b",
        ".git/config",
        "a\\b",
        "a\x00b",
        "a\x1b[31m",
        ".",
        "",
        ".gitops-fetch/x",
        "bad\ud800",
    ],
)
def test_a_listing_cannot_lead_out_of_the_destination(
    place: Place, tmp_path: Path, path: str
) -> None:
    commit = track(place, [{"md5": "a" * 32, "relpath": path}])
    with refused(InputError, "safe path|own folder", tmp_path):
        place.fetch(tmp_path, "data/odd", commit)


@pytest.mark.parametrize(
    "entries",
    [
        {},
        [{"md5": "a" * 32}],
        [{"md5": "../../etc/passwd", "relpath": "a"}],
        [{"md5": "a" * 32, "relpath": "a"}] * 2,
        [{"md5": "a" * 32, "relpath": "a"}, {"md5": "b" * 32, "relpath": "a/b"}],
        [{"md5": "a" * 32, "relpath": "a"}, {"md5": "b" * 32, "relpath": "b"}],
    ],
    ids=["no list", "no path", "no hash", "twice", "a file as a folder", "more than it says"],
)
def test_an_odd_listing_is_refused(place: Place, tmp_path: Path, entries: object) -> None:
    commit = track(place, entries)
    with refused(InputError, "listing|md5|twice|inside another", tmp_path):
        place.fetch(tmp_path, "data/odd", commit)


def test_no_more_is_downloaded_than_the_pointer_says(place: Place, tmp_path: Path) -> None:
    text = (place.work.path / "data/cars.csv.dvc").read_text()
    commit = place.commit_files({"data/cars.csv.dvc": text.replace("size: 25", "size: 9")})
    with refused(OutsideError, "more bytes than the pointer says", tmp_path):
        place.fetch(tmp_path, "data/cars.csv", commit)


@pytest.mark.parametrize("file", [f"{MODEL}.dvc", ".dvc/config", f"{MODEL}.release.json"])
def test_a_link_in_the_place_of_a_file_is_refused(place: Place, tmp_path: Path, file: str) -> None:
    path = place.work.path / file
    path.unlink()
    path.symlink_to("/etc/passwd")
    commit = place.commit_files({})
    with refused(InputError, "symbolic link", tmp_path):
        place.fetch(tmp_path, commit=commit)


def test_a_file_too_large_to_be_a_pointer_is_not_read(place: Place, tmp_path: Path) -> None:
    commit = place.commit_files({f"{MODEL}.dvc": "#" * 2_000_000})
    with refused(InputError, "1,048,576", tmp_path):
        place.fetch(tmp_path, commit=commit)


def test_bytes_that_were_not_released_are_refused(place: Place, tmp_path: Path) -> None:
    manifest = make_manifest(place.work.path, MODEL)
    other = make_digest("another bundle")
    release = make_release_id(manifest.fingerprint, other, manifest.verdict.key)
    forged = replace(manifest, bundle=other, release=release)
    commit = place.commit_files({f"{MODEL}.release.json": render_manifest(forged)})
    for path in (MODEL, f"{MODEL}/model.ubj"):
        with refused(RefusedError, "was released", tmp_path):
            place.fetch(tmp_path, path, commit)


def test_a_pointer_changed_after_its_release_is_refused(place: Place, tmp_path: Path) -> None:
    text = (place.work.path / f"{MODEL}.dvc").read_text()
    commit = place.commit_files(
        {f"{MODEL}.dvc": text.replace("- md5: ", "- md5: 0", 1)[:-1] + "\n"}
    )
    manifest = replace(make_manifest(place.work.path, MODEL), pointer_md5="0" * 32 + ".dir")
    with refused(InputError, "md5", tmp_path):
        place.fetch(tmp_path, commit=commit)
    commit = place.commit_files({f"{MODEL}.release.json": render_manifest(manifest)})
    with refused(RefusedError, "its manifest is about", tmp_path):
        place.fetch(tmp_path, commit=commit)


# Whom the repository would have asked.


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://169.254.169.254/latest", {}),
        ("http://[::1]:9000/x", {}),
        ("http://localhost/x", {}),
        ("https://other.example.org/x", {}),
        ("file:///etc", {}),
        ("gs://bucket/x", {"endpointurl": "http://169.254.169.254"}),
        ("s3://bucket/x", {"endpointurl": "http://169.254.169.254"}),
        ("s3://bucket/x", {"endpointurl": "https://other.example.org"}),
        ("s3://bucket/x", {"endpointurl": "https://other.example.org", "session_token": "x"}),
        ("azure://box/x", {"connection_string": "BlobEndpoint=http://169.254.169.254"}),
        ("webdav://other.example.org/x", {}),
        ("ssh://other.example.org/x", {}),
        ("hdfs://other.example.org/x", {}),
    ],
)
def test_a_commit_cannot_send_the_pod_to_a_host_that_is_not_listed(
    place: Place, tmp_path: Path, url: str, options: dict[str, str]
) -> None:
    commit = configure(place, url, **options)
    with refused(RefusedError, "host that may be asked|whom|plain address|not http", tmp_path):
        place.fetch(
            tmp_path, commit=commit, extra={"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        )


@pytest.mark.parametrize("region", ["eu.evil.org/", "eu-west-1#", "../x"])
def test_a_region_cannot_become_another_host(place: Place, tmp_path: Path, region: str) -> None:
    commit = configure(place, "s3://bucket/x", region=f"'{region}'")
    with refused(InputError, "is not a region", tmp_path):
        place.fetch(tmp_path, commit=commit)


def test_a_remote_in_the_repository_is_of_no_use_in_a_pod(place: Place, tmp_path: Path) -> None:
    for url in ("../store", "store", "~/store"):
        commit = configure(place, url)
        with refused(InputError, "is a folder of the repository", tmp_path):
            place.fetch(tmp_path, commit=commit)


def test_the_repository_cannot_switch_a_check_off(place: Place, tmp_path: Path) -> None:
    for option in ({"ssl_verify": "false"}, {"use_ssl": "false"}):
        commit = configure(place, "s3://bucket/x", **option)
        with refused(RefusedError, "may only be true", tmp_path):
            place.fetch(tmp_path, commit=commit)


def test_what_only_dvc_can_read_is_read_by_dvc_and_verified_all_the_same(
    place: Place, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    login = {"auth": "basic", "user": "ada", "password": "canary"}
    commit = configure(place, f"{place.store.url}/dvc", **login)
    fetched = place.fetch(tmp_path, commit=commit)
    assert fetched.through_dvc
    assert read_tree(tmp_path / "bundle") == read_tree(place.bundle)
    said = capfd.readouterr().err
    assert "needs DVC itself" in said
    assert "canary" not in said


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


# Where the files go.


def test_a_link_on_the_way_to_the_destination_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / ".gitops-fetch").symlink_to(tmp_path / "elsewhere")
    for target in ("link", "link/models", "models", "models/../link"):
        with pytest.raises(InputError, match=r"symbolic link|`\.\.`"):
            place.fetch(tmp_path / target)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert not place.git.requests


@pytest.mark.parametrize("name", ["bundle", "identity.json", "notes.txt", ".hidden"])
def test_what_lies_in_the_destination_is_never_overwritten(
    place: Place, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="is not empty"):
        place.fetch(tmp_path)
    assert read_tree(tmp_path) == {name: b"mine"}


def test_a_link_among_equal_files_is_not_taken_for_the_file(place: Place, tmp_path: Path) -> None:
    place.fetch(tmp_path / "models")
    model = tmp_path / "models" / "bundle" / "model.ubj"
    model.rename(tmp_path / "model.ubj")
    model.symlink_to(tmp_path / "model.ubj")
    with pytest.raises(InputError, match="is not empty"):
        place.fetch(tmp_path / "models")


def test_a_disk_without_room_is_seen_before_the_download(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("usage", (), {"free": 5000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with refused(OutsideError, "5,000 are free", tmp_path):
        place.fetch(tmp_path)
    assert len(place.store.requests) == 1


def test_a_disk_that_takes_no_more_leaves_nothing_and_is_worth_a_retry(
    place: Place, tmp_path: Path
) -> None:
    # A limit on the size of files fails a write like a full disk, in a real process.
    code = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, 15_000)); "
    code += "from gitops.cli import main; sys.exit(main(sys.argv[1:]))"
    assert (place.bundle / "model.ubj").stat().st_size > 15_000
    command = [sys.executable, "-B", "-c", code, "fetch", place.uri(), str(tmp_path / "models")]
    done = subprocess.run(
        command, env=place.environ(), capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 4, done.stderr
    assert "File too large" in done.stderr
    assert not list((tmp_path / "models").iterdir())


def test_killed_in_the_middle_and_run_again_it_converges(place: Place, tmp_path: Path) -> None:
    arrived = threading.Event()
    place.store.objects = _Telling(place.objects, arrived)
    place.store.fault = Fault.NONE
    command = [sys.executable, "-m", "gitops", "fetch", place.uri(), str(tmp_path / "models")]
    with subprocess.Popen(
        command, env=place.environ(), cwd=Path(__file__).parent.parent, stderr=sys.stderr.fileno()
    ) as process:
        assert arrived.wait(30)
        process.send_signal(signal.SIGKILL)
    place.store.objects.hold.set()
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".gitops-fetch"]
    place.fetch(tmp_path / "models")
    assert read_tree(tmp_path / "models" / "bundle") == read_tree(place.bundle)
    assert not (tmp_path / "models" / ".gitops-fetch").exists()


class _Telling(dict[str, bytes]):
    """Objects that tell when one of the model's files is asked for, and then wait."""

    def __init__(self, objects: dict[str, bytes], asked: threading.Event) -> None:
        super().__init__(objects)
        self.asked = asked
        self.hold = threading.Event()

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override] # a narrower one suffices
        if not path.endswith(".dir"):
            self.asked.set()
            self.hold.wait(30)
        return super().get(path, default)


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
