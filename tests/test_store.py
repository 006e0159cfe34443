"""The result store: whole entries or none, and a wall between zones."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.adapters.ci import read_ci
from gitops.adapters.store import Store
from gitops.config import Zone
from gitops.errors import InputError

DIGEST = "sha256:" + "a" * 64


def fill(folder: Path) -> None:
    (folder / "model.ubj").write_bytes(b"bytes")


def test_an_entry_is_found_under_its_digest(tmp_path: Path) -> None:
    store = Store(tmp_path, Zone.LOCAL)
    assert not store.has("runs", DIGEST)
    place = store.write_folder("runs", DIGEST, fill)
    assert store.has("runs", DIGEST)
    assert (place / "model.ubj").read_bytes() == b"bytes"


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, Zone.LOCAL)

    def fail(folder: Path) -> None:
        fill(folder)
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        store.write_folder("runs", DIGEST, fail)
    assert not store.has("runs", DIGEST)
    assert list((store.root / "runs").iterdir()) == []


def test_the_first_writer_of_a_digest_wins(tmp_path: Path) -> None:
    store = Store(tmp_path, Zone.LOCAL)

    def fill_late(folder: Path) -> None:
        store.write_folder("runs", DIGEST, fill)
        (folder / "model.ubj").write_bytes(b"late")

    place = store.write_folder("runs", DIGEST, fill_late)
    assert (place / "model.ubj").read_bytes() == b"bytes"


def test_what_unmerged_code_wrote_is_not_found_by_a_protected_run(tmp_path: Path) -> None:
    Store(tmp_path, Zone.UNTRUSTED).write_folder("runs", DIGEST, fill)
    assert not Store(tmp_path, Zone.PROTECTED).has("runs", DIGEST)


@pytest.mark.parametrize("digest", ["", "../../etc", "sha256:../x", "a/b", "a b"])
def test_only_a_digest_names_an_entry(tmp_path: Path, digest: str) -> None:
    with pytest.raises(InputError, match="is not a digest"):
        Store(tmp_path, Zone.LOCAL).place("runs", digest)


def test_a_link_in_a_result_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "bundle"
    source.mkdir()
    (source / "model.ubj").symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="plain files only"):
        Store(tmp_path, Zone.LOCAL).write_copy("bundles", DIGEST, source)


@pytest.mark.parametrize(
    ("environ", "zone"),
    [
        ({}, Zone.LOCAL),
        ({"GITLAB_CI": "true"}, Zone.UNTRUSTED),
        ({"GITLAB_CI": "true", "CI_COMMIT_REF_PROTECTED": "true"}, Zone.PROTECTED),
        (
            {
                "GITLAB_CI": "true",
                "CI_COMMIT_REF_PROTECTED": "true",
                "CI_MERGE_REQUEST_IID": "7",
            },
            Zone.UNTRUSTED,
        ),
    ],
)
def test_only_a_protected_branch_outside_a_merge_request_is_trusted(
    environ: dict[str, str], zone: Zone
) -> None:
    assert read_ci(environ).zone is zone


def test_a_merge_request_is_named_as_gitlab_writes_it() -> None:
    environ = {
        "GITLAB_CI": "true",
        "CI_MERGE_REQUEST_IID": "7",
        "CI_MERGE_REQUEST_PROJECT_PATH": "cars/fuel",
    }
    assert read_ci(environ).merge_request == "cars/fuel!7"
