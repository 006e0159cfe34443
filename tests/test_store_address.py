"""Where the result store may be, and who says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from gitops.adapters.store import local_folder, open_store
from gitops.config import Zone
from gitops.errors import InputError
from gitops.flow.workspace import open_workspace
from tests.repositories import make_repository
from tests.test_config import MINIMAL

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
