"""`engine: kubeflow` run again, half configured, or without its store: what a person is told, and what happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_kubeflow import Mode
from tests.fake_kubeflow.server import FakeKubeflow
from tests.repositories import Repository
from tests.whole_way import World, make_review, make_world

EXPERIMENT = ("run", "experimental")
NOWHERE = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("again")) as world:
        world.change({"pipelines/fuel/notes.md": "a"}, "Note", branch="again")
        yield world


@pytest.fixture
def kubeflow(world: World) -> FakeKubeflow:
    """The server, with nothing run yet."""
    world.kubeflow.world.mode = Mode.SUCCEED
    world.kubeflow.world.runs.clear()
    return world.kubeflow


def run_again(world: World, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Start a command where the last job ran, as a person does at a desk."""
    return subprocess.Popen(
        [sys.executable, "-m", "gitops", "-C", str(world.last_clone), *arguments],
        env=world.job_environ(**make_review(1), **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_run_whose_result_was_cleaned_away_is_not_attached_to_for_ever(
    world: World, kubeflow: FakeKubeflow
) -> None:
    for attempt in (1, 2):
        done = world.review_job(1, "again", *EXPERIMENT)
        assert done.returncode == 4
        assert "its result is not in the store" in done.stderr
        assert len(kubeflow.runs) == attempt
    assert kubeflow.runs[-1].body["display_name"].endswith("-a2")


def test_a_production_run_that_released_nothing_is_no_success_and_not_attached_to(
    world: World, kubeflow: FakeKubeflow
) -> None:
    for attempt in (1, 2):
        done = world.job("run", "production")
        assert done.returncode == 4
        assert "no tag on the remote registers a release of it" in done.stderr
        assert len(kubeflow.runs) == attempt


def test_the_error_of_an_earlier_attempt_is_not_told_of_this_one(
    world: World, kubeflow: FakeKubeflow
) -> None:
    world.review_job(1, "again", *EXPERIMENT)
    kubeflow.world.runs.clear()
    kubeflow.world.mode = Mode.HOLD
    error = {"exit_code": 1, "what": "an old story", "where": "", "hint": ""}
    (world.last_clone / ".gitops" / "fuel" / "error.json").write_text(json.dumps(error))
    job = run_again(world, *EXPERIMENT)
    deadline = time.monotonic() + 60
    while not kubeflow.runs and time.monotonic() < deadline:
        time.sleep(0.05)
    kubeflow.runs[0].body["state"] = "FAILED"
    said = job.communicate(timeout=60)[1]
    assert job.returncode == 4
    assert "the run ended as failed" in said
    assert "an old story" not in said


def test_a_plan_goes_on_without_the_store_and_a_run_says_what_is_silent(
    world: World, kubeflow: FakeKubeflow
) -> None:
    plan = world.review_job(1, "again", "plan", **NOWHERE)
    assert plan.returncode == 0, plan.stderr
    assert "what is stored already is not known: s3://" in plan.stderr
    assert "AWS_" in (done := world.review_job(1, "again", *EXPERIMENT, **NOWHERE)).stderr
    assert done.returncode == 4
    assert kubeflow.runs == []


def test_who_has_no_token_is_told_which_one_is_missing(
    world: World, kubeflow: FakeKubeflow
) -> None:
    done = world.review_job(1, "again", *EXPERIMENT, GITOPS_KFP_TOKEN="")
    assert done.returncode == 2
    assert "set GITOPS_KFP_TOKEN, or GITOPS_KFP_TOKEN_FILE" in done.stderr
    assert kubeflow.runs == []


def test_the_doctor_asks_each_part_of_the_cluster_and_names_what_is_wrong(world: World) -> None:
    done = world.review_job(1, "again", "doctor")
    for name in ("store", "kubeflow-review", "kubeflow-main", "zones", "kserve"):
        assert any(line.split()[:2] == ["ok", name] for line in done.stdout.splitlines()), name

    broken = {"GITOPS_KFP_TOKEN": "", "KUBECONFIG": ""}
    done = world.review_job(1, "again", "doctor", **NOWHERE, **broken)
    levels = {
        line.split()[1]: line.split()[0] for line in done.stdout.splitlines() if line[0] != " "
    }
    assert (levels["store"], levels["kubeflow-main"], levels["kserve"]) == (
        "unknown",
        "fail",
        "fail",
    )
    assert "GITOPS_KFP_TOKEN_FILE" in done.stdout
    assert "set KUBECONFIG" in done.stdout


def test_a_commit_that_was_never_pushed_is_refused_before_anything_starts(
    world: World, kubeflow: FakeKubeflow
) -> None:
    world.review_job(1, "again", "plan")
    desk = Repository(world.last_clone)
    desk.commit_files({"pipelines/fuel/notes.md": "not pushed"}, "Try")
    environ = world.job_environ(GITLAB_CI="")
    command = [sys.executable, "-m", "gitops", "-C", str(desk.path), *EXPERIMENT]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not on origin, and pods fetch it from there" in done.stderr
    assert "git push" in done.stderr
    assert kubeflow.runs == []


def test_a_pipeline_that_never_stops_compiling_is_ended(tmp_path: Path) -> None:
    from gitops.errors import InputError
    from gitops.flow import engine

    (tmp_path / "pipeline.py").write_text("while True:\n    pass\n")
    train = {"root": str(tmp_path), "file": "pipeline.py", "function": "train"}
    request = {"train": train, "compile": str(tmp_path / "out.yaml")}
    environ = engine.clean_environment(os.environ)
    with pytest.raises(InputError, match="did not end within 3 s"):
        engine.run_pipeline(request, tmp_path, tmp_path / "log", environ=environ, seconds=3)
