"""Bytes go through real DVC, a folder remote and an HTTP remote, and come back."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.adapters.dvc import (
    add_folder,
    read_remote,
)
from gitops.adapters.dvc.objects import object_path
from gitops.errors import InputError, OutsideError
from gitops.pointer import Pointer, parse_pointer
from tests.dvc_place import (
    CARS,
    Place,
    make_bundle,
    make_pointer,
    make_repository,
    md5,
    put,
    put_file,
    put_listing,
    read_tree,
    upload,
)
from tests.faulty_remote import FaultyRemote


def dvc(folder: Path, *arguments: str) -> None:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}/.site"}
    command = [sys.executable, "-m", "dvc", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=environment)


# Round trips


def test_what_dvc_pushed_is_fetched(tmp_path: Path) -> None:
    (tmp_path / "repository/data").mkdir(parents=True)
    (tmp_path / "repository/cars.csv").write_bytes(CARS)
    dvc(tmp_path / "repository", "init", "--no-scm", "--quiet")
    dvc(tmp_path / "repository", "remote", "add", "--default", "Sample", "../remote", "--quiet")
    dvc(tmp_path / "repository", "add", "cars.csv", "--quiet")
    dvc(tmp_path / "repository", "push", "--quiet")
    clone = make_repository(tmp_path / "clone")
    config = (tmp_path / "repository/.dvc/config").read_text()
    there = Place(repository=clone, remote=read_remote(config, None, None, clone))
    pointer = parse_pointer((tmp_path / "repository/cars.csv.dvc").read_bytes(), "cars.csv.dvc")
    assert there.missing(pointer) == []
    assert there.fetch(pointer).read_bytes() == CARS


def test_a_folder_is_added_pushed_proven_and_pulled_by_dvc(place: Place, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    pointer, text = add_folder(bundle, cache=place.cache, target="data/models/fuel")
    assert (pointer.path, pointer.target) == ("data/models/fuel.dvc", "data/models/fuel")
    assert (pointer.directory, pointer.files) == (True, 2)
    assert place.missing(pointer) == [f"{pointer.md5}: it is not on the remote"]
    place.push(pointer)
    place.prove(pointer)
    assert read_tree(place.fetch(pointer)) == read_tree(bundle)

    elsewhere = make_repository(tmp_path / "elsewhere")
    (elsewhere / "fuel.dvc").write_bytes(text)
    dvc(elsewhere, "init", "--no-scm", "--force", "--quiet")
    dvc(elsewhere, "remote", "add", "--default", "local", place.remote.url, "--quiet")
    dvc(elsewhere, "pull", "--quiet")
    assert read_tree(elsewhere / "fuel") == read_tree(bundle)


def test_adding_the_same_folder_again_gives_the_same_text(place: Place, tmp_path: Path) -> None:
    texts = {
        add_folder(make_bundle(tmp_path / name), cache=place.cache, target="models/fuel")[1]
        for name in ("once", "again")
    }
    assert len(texts) == 1


def test_a_folder_goes_to_a_server_and_comes_back(
    distant: Place, server: FaultyRemote, tmp_path: Path
) -> None:
    files = {path: put(distant.cache, path.encode()) for path in ("a.json", "b/c.ubj")}
    pointer = put_listing(distant.cache, files)
    distant.push(pointer)
    distant.prove(pointer)
    assert len(server.objects) == 3
    clean = replace(distant, repository=make_repository(tmp_path / "clean"))
    assert clean.missing(pointer) == []
    assert read_tree(clean.fetch(pointer)) == {"a.json": b"a.json", "b/c.ubj": b"b/c.ubj"}


def test_a_second_push_contacts_dvc_no_more(place: Place) -> None:
    pointer = put_file(place.cache)
    place.push(pointer)
    started = time.monotonic()
    place.push(pointer)
    assert time.monotonic() - started < 0.4  # DVC alone takes longer to start


def test_an_intact_cache_needs_no_remote(place: Place) -> None:
    pointer = put_file(place.cache)
    assert place.fetch(pointer).read_bytes() == CARS


def test_a_damaged_cache_is_mended_from_the_remote(place: Place) -> None:
    pointer = put_file(Path(place.remote.url))
    put(place.cache, CARS)
    object_path(place.cache, pointer.md5).write_bytes(b"rotten")
    assert place.fetch(pointer).read_bytes() == CARS
    assert object_path(place.cache, pointer.md5).read_bytes() == CARS


def test_adding_a_folder_mends_a_damaged_cache(place: Place, tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    object_path(place.cache, md5(b"oak")).parent.mkdir(parents=True)
    object_path(place.cache, md5(b"oak")).write_text("rotten")
    pointer, _ = add_folder(bundle, cache=place.cache, target="models/fuel")
    assert read_tree(place.fetch(pointer)) == read_tree(bundle)


def test_what_was_at_the_destination_is_replaced(place: Place) -> None:
    old = make_bundle(place.repository / "fetched", stale="x")
    pointer = put_listing(place.cache, {"new.csv": put(place.cache, CARS)})
    assert read_tree(place.fetch(pointer)) == {"new.csv": CARS}
    assert old.parent == place.repository
    assert not list(place.repository.glob(".gitops-*"))


def fetch_often(place: Place, pointer: Pointer) -> None:
    for _ in range(20):
        object_path(place.cache, pointer.md5).unlink(missing_ok=True)
        place.fetch(pointer)


def test_processes_that_fetch_the_same_folder_do_not_disturb_each_other(place: Place) -> None:
    store = Path(place.remote.url)
    pointer = put_listing(store, {"a/b.csv": put(store, CARS)})
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=fetch_often, args=(place, pointer)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert read_tree(place.repository / "fetched") == {"a/b.csv": CARS}


# What is missing


def test_missing_empty_and_linked_objects_are_found_without_starting_dvc(place: Place) -> None:
    store = Path(place.remote.url)
    absent = make_pointer("0" * 32)
    empty = put_file(store)
    object_path(store, empty.md5).write_bytes(b"")
    linked = put_file(store, b"linked")
    object_path(store, linked.md5).unlink()
    object_path(store, linked.md5).symlink_to("/etc/passwd")
    started = time.monotonic()
    reasons = place.missing(absent, empty, linked)
    assert time.monotonic() - started < 0.4
    assert [reason.partition(": ")[2] for reason in reasons] == [
        "it is not on the remote",
        f"it has 0 bytes on the remote instead of {len(CARS)}",
        "what is on the remote is not a plain file",
    ]


def test_a_missing_object_is_an_error_that_names_the_remote(place: Place) -> None:
    with pytest.raises(OutsideError, match="is not on the remote") as caught:
        place.fetch(make_pointer("0" * 32))
    assert caught.value.where == f"remote 'local' ({place.remote.url})"
    assert "dvc push" in caught.value.hint


@pytest.mark.parametrize("where", ["place", "distant"])
def test_a_missing_child_is_noticed_although_the_listing_is_there_and_push_mends_it(
    where: str, request: pytest.FixtureRequest, server: FaultyRemote
) -> None:
    here: Place = request.getfixturevalue(where)
    pointer = put_listing(here.cache, {"a.csv": put(here.cache, b"a"), "b.csv": md5(b"b")})
    listing = object_path(here.cache, pointer.md5).read_bytes()
    if where == "place":
        put(Path(here.remote.url), listing, ".dir")
        put(Path(here.remote.url), b"a")
    else:
        upload(server, listing, ".dir")
        upload(server, b"a")
    assert here.missing(pointer) == [f"{md5(b'b')}: b.csv: it is not on the remote"]
    with pytest.raises(OutsideError, match="is not there"):
        here.prove(pointer)
    put(here.cache, b"b")
    here.push(pointer)
    here.prove(pointer)


def test_nothing_is_pushed_from_a_cache_that_lacks_or_has_damaged_objects(place: Place) -> None:
    pointer = put_listing(place.cache, {"a.csv": put(place.cache, b"a"), "b.csv": md5(b"b")})
    with pytest.raises(InputError, match="missing from the DVC cache"):
        place.push(pointer)
    damaged = put_file(place.cache)
    object_path(place.cache, damaged.md5).write_bytes(CARS[:-1])
    with pytest.raises(InputError, match="damaged in the DVC cache") as caught:
        place.push(damaged)
    assert caught.value.hint == "dvc add -- data/cars.csv"
    assert not Path(place.remote.url).exists()


def test_a_damaged_object_on_a_folder_remote_is_not_proven(place: Place) -> None:
    pointer = put_file(place.cache)
    place.push(pointer)
    path = object_path(Path(place.remote.url), pointer.md5)
    path.chmod(0o644)
    path.write_bytes(CARS.replace(b"18", b"81"))
    with pytest.raises(OutsideError, match="has other bytes"):
        place.prove(pointer)
