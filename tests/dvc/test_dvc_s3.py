"""Real DVC on a real S3 protocol server: bytes are proven by hash, failures take bounded time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.adapters.dvc import Remote, add_folder, read_remote
from gitops.adapters.dvc.objects import object_path
from gitops.adapters.dvc.remote import parse_config, render_config
from gitops.adapters.dvc.workspace import POINTER, open_workspace
from gitops.errors import OutsideError
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
)
from tests.s3_place import SECRET, S3Fault, S3Place, serve_s3

PUT = ("PUT", "POST")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Place]:
    with serve_s3() as place:
        # The endpoint comes from the target branch's config; from the environment, credentials only.
        for name, value in place.environ.items():
            if name != "AWS_ENDPOINT_URL":
                monkeypatch.setenv(name, value)
        yield place


def make_config(s3: S3Place) -> str:
    options = f"url = s3://{s3.bucket}/dvc\n    endpointurl = {s3.url}\n    region = us-east-1\n"
    return f"[core]\n    remote = store\n['remote \"store\"']\n    {options}"


@pytest.fixture
def place(s3: S3Place, tmp_path: Path) -> Place:
    repository = make_repository(tmp_path / "repository")
    return Place(repository=repository, remote=read_remote(make_config(s3), None, None, repository))


def key(name: str) -> str:
    return f"dvc/files/md5/{name[:2]}/{name[2:]}"


def clean(place: Place, folder: Path) -> Place:
    return replace(place, repository=make_repository(folder / "clean"))


def test_a_folder_goes_to_s3_is_proven_and_comes_back(
    place: Place, s3: S3Place, tmp_path: Path
) -> None:
    bundle = make_bundle(tmp_path / "bundle")
    pointer, _ = add_folder(bundle, cache=place.cache, target="data/models/fuel")
    assert place.missing(pointer) == [f"{pointer.md5}: it is not on the remote"]
    place.push(pointer)
    place.prove(pointer)
    found = s3.keys()
    assert len(found) == 3
    assert key(pointer.md5) in found
    elsewhere = clean(place, tmp_path)
    assert elsewhere.missing(pointer) == []
    assert read_tree(elsewhere.fetch(pointer)) == read_tree(bundle)


# T15


@pytest.mark.parametrize("content", [b"EVIL" + CARS[4:], CARS[:-1], b""])
def test_an_object_changed_between_push_and_fetch_is_refused_and_not_kept(
    place: Place, s3: S3Place, tmp_path: Path, content: bytes
) -> None:
    pointer = put_file(place.cache)
    place.push(pointer)
    s3.write(key(pointer.md5), content)
    elsewhere = clean(place, tmp_path)
    before = read_tree(elsewhere.repository)
    for act in (elsewhere.fetch, elsewhere.prove, place.prove):
        with pytest.raises(OutsideError, match="has other bytes"):
            act(pointer)
    assert read_tree(elsewhere.repository) == before


def test_dvc_itself_is_told_to_verify_what_s3_sends(
    place: Place, s3: S3Place, tmp_path: Path
) -> None:
    """Without `verify` DVC hands out the tampered object and says that all is well."""
    s3.write(key(md5(CARS)), b"EVIL" + CARS[4:])
    told = render_config(place.remote, None)
    assert parse_config(told)["remote store"]["verify"] == "true"
    for config, code in ((told, 1), (told.replace("verify", "#verify"), 0)):
        folder = make_repository(tmp_path / f"desk-{code}")
        (folder / ".dvc/config").write_text(config)
        pointer = {"outs": [{"md5": md5(CARS), "hash": "md5", "path": "cars.csv"}]}
        (folder / "cars.csv.dvc").write_text(json.dumps(pointer))
        command = [sys.executable, "-m", "dvc", "pull", "--quiet"]
        environ = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}/.site"}
        pulled = subprocess.run(command, cwd=folder, env=environ, check=False, capture_output=True)
        assert (pulled.returncode, (folder / "cars.csv").exists()) == (code, code == 0)


# F4


def test_a_push_that_s3_only_claims_to_have_stored_is_found_out(place: Place, s3: S3Place) -> None:
    pointer = put_file(place.cache)
    s3.fault = S3Fault.LIE
    place.push(pointer)
    s3.fault = S3Fault.NONE
    assert s3.keys() == []
    with pytest.raises(OutsideError, match="is not there"):
        place.prove(pointer)


def test_a_missing_child_is_noticed_although_the_listing_is_there_and_push_mends_it(
    place: Place, s3: S3Place
) -> None:
    pointer = put_listing(
        place.cache, {"a.csv": put(place.cache, b"a"), "b.csv": put(place.cache, b"b")}
    )
    place.push(pointer)
    s3.delete(key(md5(b"b")))
    assert place.missing(pointer) == [f"{md5(b'b')}: b.csv: it is not on the remote"]
    with pytest.raises(OutsideError, match="is not there"):
        place.prove(pointer)
    place.push(pointer)
    place.prove(pointer)


# F1


@pytest.mark.parametrize(
    "fault", [S3Fault.UNAVAILABLE, S3Fault.FORBIDDEN, S3Fault.DROP, S3Fault.HANG]
)
def test_s3_that_cannot_tell_is_an_error_and_never_means_absent(
    place: Place, s3: S3Place, fault: S3Fault
) -> None:
    pointer = put_file(place.cache)
    s3.fault = fault
    with pytest.raises(OutsideError, match=r"no answer within 4 s|cannot be read") as caught:
        place.push(pointer, timeout=4)
    assert caught.value.where == f"remote 'store' (s3://{s3.bucket}/dvc)"
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert s3.keys() == []


@pytest.mark.parametrize("fault", [S3Fault.UNAVAILABLE, S3Fault.DROP, S3Fault.HANG])
def test_a_push_that_breaks_off_ends_in_bounded_time_and_is_repeated(
    place: Place, s3: S3Place, fault: S3Fault
) -> None:
    pointer = put_file(place.cache)
    s3.fault, s3.only = fault, PUT
    with pytest.raises(OutsideError, match=r"dvc push (failed|did not end within 6 s)"):
        place.push(pointer, timeout=6)
    assert s3.keys() == []
    s3.fault = S3Fault.NONE
    place.push(pointer)
    place.prove(pointer)


@pytest.mark.parametrize("fault", [S3Fault.UNAVAILABLE, S3Fault.HANG])
def test_a_fetch_that_breaks_off_leaves_nothing_half_done(
    place: Place, s3: S3Place, tmp_path: Path, fault: S3Fault
) -> None:
    s3.write(key(md5(CARS)), CARS)
    elsewhere = clean(place, tmp_path)
    s3.fault, s3.only = fault, ("GET",)
    with pytest.raises(OutsideError, match=r"no answer within 4 s|cannot be read"):
        elsewhere.fetch(make_pointer(md5(CARS), size=len(CARS)), timeout=4)
    assert read_tree(elsewhere.repository) == {}


# F19


def test_the_locks_of_a_killed_dvc_do_not_matter_to_a_rerun_in_the_same_folder(
    place: Place, s3: S3Place
) -> None:
    """A DVC at the desk dies while it pushes; its locks stay, and the next run goes on."""
    pointer = put_file(place.cache)
    (place.repository / ".dvc/config").write_text(render_config(place.remote, place.cache))
    target = {"outs": [{"md5": pointer.md5, "hash": "md5", "path": "cars.csv"}]}
    (place.repository / "cars.csv.dvc").write_text(json.dumps(target))
    s3.fault, s3.only = S3Fault.HANG, PUT
    kill_dvc_while_it_pushes(place.repository, s3)
    locks = {"lock", "rwlock", "rwlock.lock"}
    left = {path.name for path in (place.repository / ".dvc/tmp").iterdir()}
    assert left & locks
    s3.fault = S3Fault.NONE
    place.push(pointer)
    place.prove(pointer)
    assert place.fetch(pointer).read_bytes() == CARS


def kill_dvc_while_it_pushes(folder: Path, s3: S3Place) -> None:
    environ = {**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": f"{folder}/.site"}
    command = [sys.executable, "-m", "dvc", "push", "--quiet"]
    process = subprocess.Popen(command, cwd=folder, env=environ, stderr=subprocess.DEVNULL)
    try:
        assert s3.wait_for("PUT", seconds=60)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


# T11


def test_the_endpoint_is_the_target_branch_s_whatever_the_checkout_says(
    place: Place, s3: S3Place
) -> None:
    with serve_s3() as evil:
        hostile = make_config(evil)
        (place.repository / ".dvc/config").write_text(hostile)
        (place.repository / ".dvc/config.local").write_text(hostile)
        pointer = put_file(place.cache)
        place.push(pointer)
        place.prove(pointer)
        assert (evil.requests, evil.keys()) == ([], [])
    assert s3.keys() == [key(pointer.md5)]


def test_s3_options_reach_dvc_as_the_target_branch_wrote_them_and_secrets_no_message(
    tmp_path: Path,
) -> None:
    config = """
[core]
    remote = store
['remote "store"']
    url = s3://bucket/dvc
    endpointurl = https://s3.example.org
    region = eu-central-1
    profile = cars
    sse = AES256
"""
    local = "['remote \"store\"']\n    secret_access_key = tops3cret\n"
    remote = read_remote(config, local, None, tmp_path)
    told = parse_config(render_config(remote, None))["remote store"]
    assert told == {
        "url": "s3://bucket/dvc",
        "endpointurl": "https://s3.example.org",
        "region": "eu-central-1",
        "profile": "cars",
        "sse": "AES256",
        "secret_access_key": "tops3cret",
        "verify": "true",
    }
    assert remote.redact("signed with tops3cret") == "signed with ***"
    assert isinstance(remote, Remote)


def test_a_push_to_a_bucket_that_is_not_there_says_so(place: Place, s3: S3Place) -> None:
    pointer = put_file(place.cache)
    s3.client.delete_bucket(Bucket=s3.bucket)
    with pytest.raises(OutsideError, match="dvc push failed"):
        place.push(pointer)
    assert object_path(place.cache, pointer.md5).exists()


def test_a_workspace_s_dvc_gets_aws_variables_and_none_of_ours(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITOPS_GIT_TOKEN", "canary")
    with open_workspace(place.remote, place.cache) as workspace:
        code = "import os; print(*sorted(os.environ))"
        process = workspace.start(["-c", code])
        names = process.communicate(timeout=60)[0].split()
        assert not (workspace.folder / POINTER).exists()
    assert "AWS_ACCESS_KEY_ID" in names
    assert "GITOPS_GIT_TOKEN" not in names
