"""Production changes on a protected ref outside merge requests only, whatever `.gitlab-ci.yml` says."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from gitops.cli import main
from gitops.config import Zone
from gitops.flow.workspace import open_workspace
from tests.fake_gitlab.stage import IID, PATH, TOKEN, Stage, open_stage
from tests.release_kit import (
    count_objects,
    git,
    make_environ,
    make_project,
    release_project,
    write_judged,
)

COMMANDS = (
    ("release", "fuel"),
    ("rollout", "fuel"),
    ("rollout",),
    ("rollout", "--stop"),
    ("rollback", "fuel"),
    ("run", "production"),
    ("run", "production", "--no-rollout"),
    ("schedule",),
)
SOURCES = ("push", "merge_request_event", "parent_pipeline", "schedule", "web")
REVIEWED: Mapping[str, str] = {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_REF_PROTECTED": "true"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A project with a model that passed, ready to be released."""

    checkout: Path
    origin: Path
    remote: Path
    stage: Stage

    def look(self) -> tuple[str, int, int]:
        """Return all that production could change: Git, the data remote, GitLab."""
        refs = git(self.origin, "for-each-ref")
        return refs, count_objects(self.remote), len(self.stage.fake.writes)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("trust")
    origin, checkout = make_project(folder, "fuel")
    with open_stage() as stage:
        yield Place(checkout=checkout, origin=origin, remote=folder / "dvc-remote", stage=stage)


@pytest.fixture
def enter(place: Place, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stand in the checkout, in an environment of GitLab CI and of nothing else."""
    environ = {
        **make_environ(place.checkout.parent / "home"),
        "GITLAB_CI": "true",
        "CI_SERVER_URL": place.stage.fake.url,
        "CI_PROJECT_ID": str(place.stage.place.project["id"]),
        "CI_PROJECT_PATH": PATH,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_BRANCH": "main",
        "GITOPS_GITLAB_TOKEN": TOKEN,
    }
    for name in set(os.environ) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.checkout)
    return monkeypatch


def make_matrix() -> Iterator[dict[str, str]]:
    """Yield every environment but those of reviewed code: source, protected, merge request, fork."""
    flags = itertools.product(SOURCES, ("true", "false", ""), (True, False), (True, False))
    for source, protected, is_merge_request, is_fork in flags:
        environ = {"CI_PIPELINE_SOURCE": source, "CI_COMMIT_REF_PROTECTED": protected}
        if is_merge_request:
            environ |= {
                "CI_MERGE_REQUEST_IID": str(IID),
                "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "999" if is_fork else "1",
            }
        is_proposed = is_merge_request or source == "merge_request_event"
        if (is_proposed or protected != "true") and (is_merge_request or not is_fork):
            yield environ


@pytest.mark.parametrize(
    "environ", list(make_matrix()), ids=lambda environ: "-".join(environ.values())
)
def test_production_is_refused_and_nothing_is_written(
    place: Place, enter: pytest.MonkeyPatch, environ: dict[str, str]
) -> None:
    for name, value in environ.items():
        enter.setenv(name, value)
    before = place.look()
    assert [main(command) for command in COMMANDS] == [1] * len(COMMANDS)
    assert place.look() == before


def test_one_variable_of_a_merge_request_is_enough(place: Place, enter: pytest.MonkeyPatch) -> None:
    for name, value in {**REVIEWED, "CI_MERGE_REQUEST_ID": "70"}.items():
        enter.setenv(name, value)
    assert main(["release", "fuel"]) == 1


def test_reviewed_code_on_a_protected_branch_releases(
    place: Place, enter: pytest.MonkeyPatch
) -> None:
    """The same place, one difference: so it was the zone that refused."""
    for name, value in REVIEWED.items():
        enter.setenv(name, value)
    workspace = open_workspace(place.checkout, os.environ)
    assert workspace.request.zone is Zone.PROTECTED
    release_project(workspace, write_judged(workspace))
    assert "fuel@v1.0.0" in git(place.origin, "tag")
