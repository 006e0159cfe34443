"""Remotes that fail and files that hostile hands wrote: bounded time, nothing outside touched."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops.adapters.dvc import (
    add_folder,
    read_remote,
)
from gitops.adapters.dvc.objects import object_path
from gitops.adapters.dvc.workspace import POINTER, open_workspace
from gitops.errors import GitopsError, InputError, OutsideError
from tests.dvc_place import (
    CARS,
    Place,
    make_bundle,
    make_pointer,
    md5,
    put,
    put_file,
    put_listing,
    read_tree,
    upload,
)
from tests.faulty_remote import Fault, FaultyRemote

if TYPE_CHECKING:
    from collections.abc import Iterator


# A remote that fails


def test_a_tampered_object_is_refused_and_reaches_neither_cache_nor_destination(
    distant: Place, server: FaultyRemote
) -> None:
    pointer = make_pointer(upload(server, CARS), size=len(CARS))
    for path in server.objects:
        server.objects[path] = b"EVIL" + CARS[4:]
    before = read_tree(distant.repository)
    with pytest.raises(OutsideError, match="other bytes"):
        distant.fetch(pointer)
    with pytest.raises(OutsideError, match="other bytes"):
        distant.prove(pointer)
    assert read_tree(distant.repository) == before


def test_a_push_that_lies_is_found_out(distant: Place, server: FaultyRemote) -> None:
    pointer = put_file(distant.cache)
    server.fault = Fault.LIE
    distant.push(pointer)
    with pytest.raises(OutsideError, match="is not there") as caught:
        distant.prove(pointer)
    assert caught.value.hint == "push it again"


def test_a_busy_server_is_an_error_and_not_a_missing_object(
    distant: Place, server: FaultyRemote
) -> None:
    pointer = put_file(distant.cache)
    server.fault = Fault.UNAVAILABLE
    with pytest.raises(OutsideError, match="503") as caught:
        distant.push(pointer)
    assert caught.value.where == f"remote 'http' ({server.url})"
    server.fault = Fault.NONE
    distant.push(pointer)
    distant.prove(pointer)


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DROP])
def test_a_server_that_does_not_answer_costs_bounded_time(
    distant: Place, server: FaultyRemote, fault: Fault
) -> None:
    pointer = put_file(distant.cache)
    server.fault = fault
    started = time.monotonic()
    with pytest.raises(OutsideError, match=r"no answer within|cannot be read"):
        distant.push(pointer, timeout=2)
    assert time.monotonic() - started < 10


def test_a_server_that_stops_answering_in_the_middle_of_a_push_costs_bounded_time(
    distant: Place, server: FaultyRemote
) -> None:
    pointer = put_file(distant.cache)
    server.fault = Fault.HANG
    with open_workspace(distant.remote, distant.cache) as workspace:
        workspace.write_pointer([pointer.md5])
        with pytest.raises(OutsideError, match="dvc push did not end within 2 s"):
            workspace.run_dvc("push", POINTER, timeout=2)


def test_a_lock_that_a_killed_dvc_left_behind_does_not_matter(place: Place) -> None:
    (place.repository / ".dvc/tmp").mkdir()
    (place.repository / ".dvc/tmp/lock").write_text("12345")
    (place.repository / ".dvc/tmp/rwlock").write_text('{"x": {"write": {"pid": 1}}}')
    pointer = put_file(place.cache)
    place.push(pointer)
    place.prove(pointer)


# What hostile hands wrote


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder beside the repository that must be the same afterwards."""
    folder = make_bundle(tmp_path / "outside", **{"payload.bin": "mine"})
    before = read_tree(folder)
    yield folder
    assert read_tree(folder) == before


@pytest.mark.parametrize("md5_of_child", ["../../../../outside/payload.bin", "0" * 31 + "/"])
def test_a_listing_whose_hashes_are_paths_reaches_nothing(
    distant: Place, server: FaultyRemote, outside: Path, md5_of_child: str
) -> None:
    listing = json.dumps([{"md5": md5_of_child, "relpath": "x"}]).encode()
    pointer = make_pointer(upload(server, listing, ".dir"))
    for act in (distant.missing, distant.fetch, distant.prove):
        with pytest.raises(InputError, match="not an md5"):
            act(pointer)
    assert [path for path in server.requests if "payload" in path] == []


@pytest.mark.parametrize("path", ["../outside/payload.bin", "../.git/hooks/pre-commit"])
def test_a_listing_that_climbs_out_of_its_folder_writes_nothing(
    place: Place, outside: Path, path: str
) -> None:
    store = Path(place.remote.url)
    pointer = put_listing(store, {path: put(store, b"evil")})
    before = read_tree(outside.parent)
    with pytest.raises(InputError, match="not a safe path"):
        place.fetch(pointer)
    added = read_tree(outside.parent).keys() - before.keys()
    assert [name for name in added if not name.startswith("repository-local/.dvc/cache/")] == []


@pytest.mark.parametrize("destination", ["link/payload.bin", "link", "hooks/pre-commit"])
def test_a_destination_behind_a_link_is_refused(
    place: Place, outside: Path, destination: str
) -> None:
    (place.repository / "link").symlink_to(outside)
    (place.repository / ".git/hooks").mkdir(parents=True)
    (place.repository / "hooks").symlink_to(".git/hooks")
    pointer = put_file(place.cache)
    with pytest.raises(InputError, match="symbolic link"):
        place.fetch(pointer, destination)
    assert list((place.repository / ".git/hooks").iterdir()) == []


def test_a_link_inside_the_cache_does_not_lead_out_of_it(place: Place, outside: Path) -> None:
    pointer = put_file(Path(place.remote.url))
    place.cache.mkdir()
    (place.cache / "files").symlink_to(outside)
    with pytest.raises(InputError, match="symbolic link"):
        place.fetch(pointer)


def test_a_folder_remote_that_is_a_link_in_the_repository_is_refused(
    place: Place, outside: Path
) -> None:
    (place.repository / "data").symlink_to(outside)
    config = "[core]\nremote=a\n['remote \"a\"']\nurl=../data/remote\n"
    with pytest.raises(InputError, match="symbolic link"):
        read_remote(config, None, None, place.repository)


def test_a_cached_object_that_is_a_link_or_a_pipe_is_not_read(place: Place, outside: Path) -> None:
    pointer = make_pointer(md5(b"mine"))
    path = object_path(place.cache, pointer.md5)
    path.parent.mkdir(parents=True)
    path.symlink_to(outside / "payload.bin")
    with pytest.raises(InputError, match="symbolic link"):
        place.fetch(pointer)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="not a plain file"):
        place.fetch(pointer)


def test_a_name_that_is_no_hash_is_refused(place: Place, distant: Place) -> None:
    for somewhere in (place, distant):
        with pytest.raises(InputError, match="not the name of a DVC object"):
            somewhere.missing(make_pointer("../../../../etc/passwd"))


def test_a_merge_request_s_own_dvc_files_are_never_looked_at(
    place: Place, server: FaultyRemote
) -> None:
    (place.repository / ".dvc/config").write_text(
        f"[core]\nremote = evil\n['remote \"evil\"']\nurl = {server.url}\n"
    )
    (place.repository / "dvc.yaml").write_text("stages: {x: {cmd: touch pwned}}\n")
    importing = f"deps: [{{path: x, repo: {{url: '{server.url}'}}}}]\nouts: [{{path: x}}]\n"
    (place.repository / "x.dvc").write_text(importing)
    pointer = put_file(place.cache)
    place.push(pointer)
    place.prove(pointer)
    assert server.requests == []
    assert not (place.repository / "pwned").exists()


@pytest.mark.parametrize("kind", ["link", "linked folder", "pipe", "empty", "absent"])
def test_a_folder_that_is_not_made_of_plain_files_is_not_added(
    place: Place, outside: Path, tmp_path: Path, kind: str
) -> None:
    bundle = tmp_path / "bundle"
    if kind != "absent":
        bundle.mkdir()
    if kind == "pipe":
        os.mkfifo(bundle / "model.ubj")
    elif kind.startswith("link"):
        (bundle / "model").symlink_to(outside if kind != "link" else outside / "payload.bin")
    with pytest.raises(InputError):
        add_folder(bundle, cache=place.cache, target="models/fuel")


def test_files_that_dvc_would_leave_out_without_a_word_are_noticed(
    place: Place, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bundle", **{".dvc/model.ubj": "hidden"})
    with pytest.raises(OutsideError, match="left files out"):
        add_folder(bundle, cache=place.cache, target="models/fuel")


def test_a_full_or_forbidden_disk_is_an_error_with_a_place(place: Place) -> None:
    pointer = put_file(place.cache)
    (place.repository / "file").write_text("in the way")
    with pytest.raises(GitopsError) as caught:
        place.fetch(pointer, "file/below")
    assert isinstance(caught.value, OutsideError)
    assert str(place.repository / "file") in str(caught.value)
