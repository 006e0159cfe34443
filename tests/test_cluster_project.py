"""What a repository is called on a cluster: the same from a desk, from a job, and from a pod."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gitops.config import make_config
from gitops.errors import InputError
from gitops.flow.cluster_engine import Project, read_project
from tests.release_kit import commit, git, make_content, make_project, open_project, write

CARS = Project(origin="https://gitlab.example.org/team/cars.git", name="team-cars")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"), "fuel")[1]


@pytest.mark.parametrize(
    "url",
    [
        "https://gitlab.example.org/team/cars.git",
        "https://gitlab.example.org/team/cars",
        "https://gitlab-ci-token:glcbt-secret@GitLab.example.org/team/cars.git",
        "git@gitlab.example.org:team/cars.git",
        "ssh://git@gitlab.example.org:2222/team/cars.git",
    ],
)
def test_all_addresses_of_a_project_name_one_owner_that_pods_can_reach(
    checkout: Path, url: str
) -> None:
    git(checkout, "remote", "set-url", "origin", url)
    assert read_project(open_project(checkout)) == CARS


def test_a_remote_that_no_pod_reaches_is_refused_before_anything_is_uploaded(
    checkout: Path,
) -> None:
    git(checkout, "remote", "set-url", "origin", "/srv/git/cars.git")
    with pytest.raises(InputError, match="pods cannot fetch"):
        read_project(open_project(checkout))


def test_what_others_may_have_stored_is_not_shipped_from_a_desk_without_training(
    tmp_path: Path,
) -> None:
    """Its results lie on S3, where a desk's zone is everybody's."""
    from gitops.flow.production import Shipment, _is_recalled

    _, checkout = make_project(tmp_path, "fuel")
    own = open_project(checkout)
    shipment = Shipment(model=own.model("fuel"), fingerprint="f" * 64, reason="")
    own.store.write_folder("runs", shipment.fingerprint, lambda _: None)
    assert _is_recalled(own, shipment)

    write(checkout, "gitops.yaml", json.dumps({**make_content("fuel"), "store": "s3://b/store"}))
    commit(checkout, "Share the store")
    shared = open_project(checkout)
    shared.store.place("runs", shipment.fingerprint).mkdir(parents=True)
    assert not _is_recalled(shared, shipment)


def test_a_password_in_an_address_is_not_shown_by_a_pod(tmp_path: Path) -> None:
    from gitops.adapters.git.checkout import create_checkout

    with pytest.raises(InputError, match="no address of a Git repository") as error:
        create_checkout(tmp_path, "https://oauth2:glpat-secret@gitlab.example.org/team/cars.git")
    assert "glpat-secret" not in f"{error.value!r} {error.value} {error.value.where}"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"release": {"pointer": "pipelines/fuel/fuel.dvc"}}, r"models\.fuel\.release\.pointer"),
        (
            {"sources": ["pipelines", "served"]},
            "rollout.folder: 'served/fuel.yaml' lies in 'served'",
        ),
        ({"sources": ["served/fuel.yaml", "pipelines/fuel"]}, "would change what it was made of"),
    ],
)
def test_what_the_flow_commits_must_be_no_source_or_each_release_would_ask_for_another(
    change: dict[str, object], said: str
) -> None:
    content = make_content("fuel")
    rollout = {"engine": "kserve", "mode": "standard", "folder": "served"}
    models = {"fuel": {**content["models"]["fuel"], **change}}  # type: ignore[index] # a mapping
    make_config({**content, "rollout": rollout})
    with pytest.raises(InputError, match=said):
        make_config({**content, "rollout": rollout, "models": models})


def test_a_folder_of_manifests_stays_in_the_repository() -> None:
    for folder in ("a/../../b", "a//b", "a/.git/hooks"):
        rollout = {"engine": "kserve", "mode": "standard", "folder": folder}
        with pytest.raises(InputError, match=r"rollout\.folder: .* must be a plain folder"):
            make_config({**make_content("fuel"), "rollout": rollout})
