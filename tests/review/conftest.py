"""One merge request after its run job, and after its gate job; each test has a copy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.stage import apply_merge_request, open_stage
from tests.demo.story import MERGE_REQUESTS
from tests.fake_gitlab.stage import IID, PATH, Stage
from tests.fake_gitlab.stage import open_stage as open_gitlab
from tests.review.kit import Desk


@pytest.fixture(scope="session")
def run_done(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The first merge request of the demo, after its run job."""
    stage = open_stage(tmp_path_factory.mktemp("review") / "stage", os.environ)
    base = stage.git("rev-parse", "main", cwd=stage.desk)
    stage.git("checkout", "--quiet", "-b", "linear", cwd=stage.desk)
    apply_merge_request(stage, MERGE_REQUESTS[0])
    stage.git("add", "--all", cwd=stage.desk)
    stage.git("commit", "--quiet", "-m", "Linear", cwd=stage.desk)
    environ = {
        **stage.environ,
        "GITLAB_CI": "true",
        "CI_COMMIT_SHA": stage.git("rev-parse", "HEAD", cwd=stage.desk),
        "CI_MERGE_REQUEST_IID": str(IID),
        "CI_MERGE_REQUEST_PROJECT_PATH": PATH,
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
        "CI_PIPELINE_ID": "5000",
        "CI_PIPELINE_URL": "https://gitlab.example/team/cars/-/pipelines/5000",
    }
    desk = Desk(path=stage.desk, environ=environ)
    done = desk.gitops("run", "experimental", "--model", "fuel")
    assert done.returncode == 0, done.stderr
    # What the run's artifacts do not hold, the next job does not have.
    for kind in ("scores", "splits", "runs"):
        shutil.rmtree(desk.path / ".gitops/store/untrusted" / kind)
    return desk


@pytest.fixture(scope="session")
def gate_done(run_done: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The same, after its gate job."""
    desk = run_done.copy(tmp_path_factory.mktemp("gated"))
    done = desk.gitops("gate", "--report", "--model", "fuel")
    assert done.returncode == 0, done.stderr
    return desk


@pytest.fixture
def desk(run_done: Desk, tmp_path: Path) -> Desk:
    return run_done.copy(tmp_path)


@pytest.fixture
def gated(gate_done: Desk, tmp_path: Path) -> Desk:
    return gate_done.copy(tmp_path)


@pytest.fixture
def stage(run_done: Desk) -> Iterator[Stage]:
    """A GitLab where the merge request is open at the desk's commit."""
    with open_gitlab() as stage:
        sha = run_done.environ["CI_COMMIT_SHA"]
        stage.fake.world.move_head(stage.place, IID, sha)
        stage.fake.world.add_pipeline(stage.place, id=5000, sha=sha)
        yield stage
