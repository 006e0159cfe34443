"""The result store on a real S3 protocol server: whole, checked entries or none, in bounded time."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gitops.adapters.store import Limits, ObjectStore, Store, local_folder, open_store
from gitops.adapters.store.index import parse_index, read_folder, render_index
from gitops.config import Zone
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.flow.workspace import open_workspace
from tests.repositories import make_repository
from tests.s3_place import SECRET, S3Fault, S3Place, serve_s3
from tests.test_config import MINIMAL

DIGEST = "sha256:" + "a" * 64
ENTRY = f"results/protected/bundles/{'a' * 64}"
ROOT = Path(__file__).parent.parent
MODEL = b"trees" * 2_000_000  # more than one range of a download
QUICK = Limits(connect=1, answer=1, ask=2, transfer=2)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    with serve_s3() as place:
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)
        yield place


@dataclass(frozen=True, slots=True, kw_only=True)
class Machines:
    """Several machines with an empty cache each, and one object store."""

    s3: S3Place
    folder: Path

    def store(self, name: str, zone: Zone = Zone.PROTECTED, limits: Limits | None = None) -> Store:
        remote = ObjectStore(f"s3://{self.s3.bucket}/results", limits)
        return Store(self.folder / name, zone, remote)

    def key(self, name: str) -> str:
        sha256 = hashlib.sha256(CONTENT[name]).hexdigest()
        return f"{ENTRY}/files/{sha256}"

    def left(self, name: str) -> list[Path]:
        return [path for path in (self.folder / name).rglob("*") if path.is_file()]


@pytest.fixture
def machines(s3: S3Place, tmp_path: Path) -> Machines:
    return Machines(s3=s3, folder=tmp_path)


CONTENT = {"bundle.json": b"{}", "trees/model.ubj": MODEL, "empty": b""}


def fill(folder: Path) -> None:
    for path, content in CONTENT.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)


def read_tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_what_one_machine_stored_another_finds_byte_by_byte(machines: Machines) -> None:
    first, second = machines.store("first"), machines.store("second")
    assert not second.has("bundles", DIGEST)
    assert not second.find("bundles", DIGEST).exists()
    assert read_tree(first.write_folder("bundles", DIGEST, fill)) == CONTENT
    assert second.has("bundles", DIGEST)
    assert read_tree(second.find("bundles", DIGEST)) == CONTENT
    assert machines.s3.keys()[-1] == f"{ENTRY}/index.json"


def test_what_lies_in_the_cache_needs_no_object_store(machines: Machines) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    machines.s3.fault = S3Fault.DROP
    again = machines.store("first", limits=QUICK)
    assert again.has("bundles", DIGEST)
    assert read_tree(again.find("bundles", DIGEST)) == CONTENT


KILLED = """
import os, signal, sys
from pathlib import Path
from gitops.adapters.store import ObjectStore, Store
from gitops.config import Zone
from tests.test_store_s3 import DIGEST, fill

remote = ObjectStore(sys.argv[1])
remote._filesystem._pipe_file = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
Store(Path(sys.argv[2]), Zone.PROTECTED, remote).write_folder("bundles", DIGEST, fill)
"""


def test_a_writer_killed_before_its_last_object_leaves_nothing_visible(machines: Machines) -> None:
    address = f"s3://{machines.s3.bucket}/results"
    command = [sys.executable, "-c", KILLED, address, str(machines.folder / "first")]
    killed = subprocess.run(command, check=False, timeout=60, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert set(machines.s3.keys()) == {machines.key("bundle.json"), machines.key("trees/model.ubj")}
    for name in ("first", "second"):
        assert not machines.store(name).has("bundles", DIGEST)
    machines.store("first").write_folder("bundles", DIGEST, fill)
    assert read_tree(machines.store("second").find("bundles", DIGEST)) == CONTENT


def test_what_unmerged_code_stored_is_not_found_by_a_protected_run(machines: Machines) -> None:
    machines.store("same", Zone.UNTRUSTED).write_folder("bundles", DIGEST, fill)
    for name in ("same", "other"):
        assert not machines.store(name, Zone.PROTECTED).has("bundles", DIGEST)
        assert not machines.store(name, Zone.PROTECTED).find("bundles", DIGEST).exists()


# Two writers


def test_a_second_writer_does_not_overwrite_and_gets_the_first_one_s_bytes(
    machines: Machines,
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)

    def fill_other(folder: Path) -> None:
        raise AssertionError(f"{folder} is not needed")

    place = machines.store("second").write_folder("bundles", DIGEST, fill_other)
    assert read_tree(place) == CONTENT


def test_of_two_writers_at_once_one_wins_and_both_have_its_bytes(machines: Machines) -> None:
    barrier = threading.Barrier(2)
    places: dict[str, Path] = {}

    def write(name: str) -> None:
        def fill_own(folder: Path) -> None:
            barrier.wait()
            (folder / "who").write_text(name)
            (folder / "same").write_text("same")

        places[name] = machines.store(name).write_folder("bundles", DIGEST, fill_own)

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trees = [read_tree(places[name]) for name in ("one", "two")]
    assert trees[0] == trees[1] == read_tree(machines.store("three").find("bundles", DIGEST))
    assert trees[0]["who"] in {b"one", b"two"}


# T15: bytes that are not those that were stored

Damage = Callable[[Machines], None]


def flip_a_byte(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), b"T" + MODEL[1:])


def truncate(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), MODEL[: len(MODEL) - 1])


def truncate_to_nothing(machines: Machines) -> None:
    machines.s3.write(machines.key("trees/model.ubj"), b"")


def delete(machines: Machines) -> None:
    machines.s3.delete(machines.key("trees/model.ubj"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (flip_a_byte, "has other bytes"),
        (truncate, "has other bytes"),
        (truncate_to_nothing, "has other bytes"),
        (delete, "is not there"),
    ],
)
def test_a_file_that_was_changed_on_the_object_store_is_refused_and_not_kept(
    machines: Machines, damage: Damage, said: str
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    damage(machines)
    with pytest.raises(OutsideError, match=f"trees/model.ubj {said}") as caught:
        machines.store("second").find("bundles", DIGEST)
    assert caught.value.where == f"s3://{machines.s3.bucket}/{ENTRY}"
    assert machines.left("second") == []


def index_of(*files: dict[str, Any]) -> bytes:
    return json.dumps({"schema_version": 1, "files": files}).encode()


def file(path: str = "a", sha256: object = "0" * 64, size: object = 1) -> dict[str, Any]:
    return {"path": path, "sha256": sha256, "size": size}


HOSTILE = {
    "climbs": index_of(file("../../../x")),
    "climbs in the middle": index_of(file("a/../../x")),
    "absolute": index_of(file("/etc/cron.d/x")),
    "backslash": index_of(file("a\\..\\x")),
    "control character": index_of(file("a\nb")),
    "empty": index_of(file("")),
    "dot": index_of(file("./a")),
    "long name": index_of(file("a" * 201)),
    "twice": index_of(file("a"), file("a")),
    "file inside a file": index_of(file("a"), file("a/b")),
    "hash is a path": index_of(file(sha256="../" * 21 + "x")),
    "hash is no text": index_of(file(sha256=1)),
    "negative": index_of(file(size=-1)),
    "true": index_of(file(size=True)),
    "too big": index_of(file(size=2**37)),
    "too big together": index_of(file("a", size=2**35), file("b", size=2**35 + 1)),
    "too many": index_of(*(file(str(number)) for number in range(10_001))),
    "a link": index_of({**file(), "link": "/etc/passwd"}),
    "no JSON": b"\xff",
    "deep": b"[" * 100_000,
    "huge": b" " * (4 * 2**20 + 2),
    "another version": json.dumps({"schema_version": 2, "files": []}).encode(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_index_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="its index is refused"):
        parse_index(HOSTILE[name], "here")


def test_a_hostile_index_on_the_object_store_writes_nothing(machines: Machines) -> None:
    machines.s3.write(f"{ENTRY}/index.json", HOSTILE["climbs"])
    with pytest.raises(InputError, match="its index is refused"):
        machines.store("second").find("bundles", DIGEST)
    assert machines.left("second") == []


def test_a_folder_with_a_link_has_no_index(tmp_path: Path) -> None:
    (tmp_path / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="plain files only"):
        read_folder(tmp_path)


def test_an_index_comes_back_as_it_was_written(tmp_path: Path) -> None:
    fill(tmp_path)
    files = read_folder(tmp_path)
    assert {found.path: found.size for found in files} == {k: len(v) for k, v in CONTENT.items()}
    assert parse_index(render_index(files), "here") == files


# F1: an object store that fails


@pytest.mark.parametrize(
    "fault", [S3Fault.UNAVAILABLE, S3Fault.FORBIDDEN, S3Fault.DROP, S3Fault.HANG]
)
def test_a_failing_object_store_is_an_error_with_its_address_and_never_means_absent(
    machines: Machines, fault: S3Fault
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    machines.s3.fault = fault
    broken = machines.store("second", limits=QUICK)
    for ask in (broken.has, broken.find):
        with pytest.raises(OutsideError, match="the store cannot be read") as caught:
            ask("bundles", DIGEST)
        assert caught.value.where == f"s3://{machines.s3.bucket}/{ENTRY}"
        assert "run again" in caught.value.hint
    assert machines.left("second") == []


@pytest.mark.parametrize("fault", [S3Fault.UNAVAILABLE, S3Fault.DROP, S3Fault.HANG])
def test_an_upload_that_breaks_off_leaves_nothing_visible_and_is_repeated(
    machines: Machines, fault: S3Fault
) -> None:
    machines.s3.fault, machines.s3.only = fault, ("PUT", "POST")
    with pytest.raises(OutsideError, match="the store cannot be written"):
        machines.store("first", limits=QUICK).write_folder("bundles", DIGEST, fill)
    assert (machines.s3.keys(), machines.left("first")) == ([], [])
    machines.s3.fault = S3Fault.NONE
    machines.store("first").write_folder("bundles", DIGEST, fill)
    assert read_tree(machines.store("second").find("bundles", DIGEST)) == CONTENT


def test_a_lost_reply_to_the_last_write_is_no_failure(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = machines.store("first")
    assert first.remote is not None
    write = first.remote._filesystem._pipe_file

    async def write_and_lose_the_reply(*given: Any, **named: Any) -> None:
        await write(*given, **named)
        raise ConnectionResetError

    monkeypatch.setattr(first.remote._filesystem, "_pipe_file", write_and_lose_the_reply)
    assert read_tree(first.write_folder("bundles", DIGEST, fill)) == CONTENT


def test_no_message_shows_a_secret(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    store = machines.store("first", limits=QUICK)
    assert store.remote is not None

    def leak(*_: object, **__: object) -> None:
        raise RuntimeError(f"http://me:pass@host/x?X-Amz-Signature=abc with {SECRET}\x1b[2J")

    monkeypatch.setattr(store.remote._filesystem, "_cat_file", leak)
    with pytest.raises(OutsideError) as caught:
        store.has("bundles", DIGEST)
    said = f"{caught.value} {caught.value.hint} {caught.value.__cause__}"
    assert not [word for word in (SECRET, "pass@", "abc", "\x1b") if word in said]


# F11: a full disk


def test_a_full_disk_while_downloading_is_an_error_with_its_place_and_leaves_nothing(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines.store("first").write_folder("bundles", DIGEST, fill)
    write = os.pwrite

    def write_until_full(handle: int, content: bytes, offset: int) -> int:
        if offset:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, content, offset)

    monkeypatch.setattr(os, "pwrite", write_until_full)
    with pytest.raises(OutsideError, match="no space left on device") as caught:
        machines.store("second").find("bundles", DIGEST)
    assert str(machines.folder / "second") in caught.value.where
    assert "free some space" in caught.value.hint
    assert machines.left("second") == []
    monkeypatch.undo()


def test_a_full_disk_while_writing_reaches_neither_the_cache_nor_the_object_store(
    machines: Machines,
) -> None:
    def fill_until_full(folder: Path) -> None:
        fill(folder)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))

    with pytest.raises(OutsideError, match="no space left on device"):
        machines.store("first").write_folder("bundles", DIGEST, fill_until_full)
    assert (machines.s3.keys(), machines.left("first")) == ([], [])


# T11: where the store may be


@pytest.mark.parametrize(
    "address",
    [
        "http://169.254.169.254/latest",
        "file:///etc",
        "s3://key:secret@bucket/x",
        "s3://bucket/../other",
        "s3://bucket/a?endpoint_url=http://evil",
        "simplecache::s3://bucket",
        "s3://",
        "s3://bucket/a//b",
    ],
)
def test_an_address_that_is_no_bucket_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the address of an object store") as caught:
        open_store(tmp_path, address, Zone.PROTECTED)
    assert "secret" not in str(caught.value)


def test_each_address_has_a_cache_of_its_own(tmp_path: Path) -> None:
    assert local_folder(tmp_path, ".gitops/store") == tmp_path / ".gitops/store"
    folders = {local_folder(tmp_path, f"s3://bucket/{name}") for name in ("a", "a/", "b")}
    assert len(folders) == 2
    assert {folder.parent for folder in folders} == {tmp_path / ".gitops/store"}


def test_the_gate_s_own_results_never_leave_the_machine(tmp_path: Path) -> None:
    assert open_store(tmp_path, "s3://bucket/a", Zone.JUDGED).remote is None
    assert open_store(tmp_path, "s3://bucket/a", Zone.UNTRUSTED).remote is not None
    assert open_store(tmp_path, ".gitops/store", Zone.PROTECTED).remote is None


def test_every_failure_of_the_store_is_one_of_ours(machines: Machines) -> None:
    machines.s3.client.delete_bucket(Bucket=machines.s3.bucket)
    with pytest.raises(GitopsError, match="the store cannot be written: FileNotFoundError"):
        machines.store("first").write_folder("bundles", DIGEST, fill)


def test_a_merge_request_cannot_move_the_store(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "work")
    repository.commit_files({"gitops.yaml": f"store: s3://ours/results\n{MINIMAL}"})
    repository.git("checkout", "-q", "-b", "change")
    repository.commit_files({"gitops.yaml": f"store: s3://evil/results\n{MINIMAL}"})
    in_ci = {"GITLAB_CI": "true", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    addresses = []
    for environ in (in_ci, {}):
        remote = open_workspace(repository.path, environ).store.remote
        assert remote is not None
        addresses.append(remote.address)
    assert addresses == ["s3://ours/results", "s3://evil/results"]  # a desk is its owner's
