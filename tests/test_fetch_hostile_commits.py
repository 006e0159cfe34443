"""Whatever a commit says, `gitops fetch` stays in its folder and asks only who may be asked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.digest import make_digest
from gitops.errors import InputError, OutsideError, RefusedError
from gitops.manifest import make_release_id, render_manifest
from tests.dvc_place import read_tree
from tests.fetch_place import (
    MODEL,
    Place,
    configure,
    make_manifest,
    place,
    refused,
    shared,
)

__all__ = ["place", "shared"]

POINTER = "outs:\n- md5: {}\n  size: {}\n  nfiles: {}\n  hash: md5\n  path: {}\n"


def track(place: Place, entries: object, *, files: int = 1, size: int = 100) -> str:
    """Commit a pointer to this listing, which the remote has; return the commit."""
    content = json.dumps(entries).encode()
    name = hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir"
    place.objects[f"/dvc/files/md5/{name[:2]}/{name[2:]}"] = content
    return place.commit_files({"data/odd.dvc": POINTER.format(name, size, files, "odd")})


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
