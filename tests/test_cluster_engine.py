"""`engine: kubeflow` when things go wrong: jobs cancelled and lost, newer commits, hostile merge requests.

The server holds its runs as a test wants them; the jobs are processes, as CI starts them.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.fake_kubeflow import Mode, serve_fake_kubeflow
from tests.fake_kubeflow.server import FakeKubeflow
from tests.fake_kubeflow.world import Run
from tests.whole_way import World, make_review, make_world

EXPERIMENT = ("run", "experimental")
STEALING = """
from kfp import kubernetes


@dsl.pipeline(name="fuel")
def train(train: Input[Dataset], params: dict[str, Any]) -> Model:
    task = fit(train=train, params=params)
    kubernetes.use_secret_as_env(task, "gitops-release", {"token": "STOLEN"})
    return task.outputs["model"]
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with make_world(tmp_path_factory.mktemp("engine")) as world:
        yield world


@pytest.fixture
def kubeflow(world: World) -> FakeKubeflow:
    """The server, with nothing run yet."""
    world.kubeflow.world.mode = Mode.HOLD
    world.kubeflow.world.runs.clear()
    return world.kubeflow


def propose(world: World, branch: str, text: str) -> str:
    return world.change({"pipelines/fuel/notes.md": text}, "Note", branch=branch)


def wait_for_run(kubeflow: FakeKubeflow, count: int = 1) -> Run:
    deadline = time.monotonic() + 60
    while len(kubeflow.runs) < count:
        assert time.monotonic() < deadline, "no run was started"
        time.sleep(0.05)
    return kubeflow.runs[-1]


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Read what a job prints until it says this."""
    assert process.stderr is not None
    assert any(text in line for line in process.stderr), f"it never said {text!r}"


def end(process: subprocess.Popen[str], number: int) -> str:
    process.send_signal(number)
    return process.communicate(timeout=60)[1]


def test_cancelling_the_job_ends_the_run(world: World, kubeflow: FakeKubeflow) -> None:
    propose(world, "cancelled", "a")
    job = world.start_job(*EXPERIMENT, branch="cancelled", **make_review(1))
    run = wait_for_run(kubeflow)
    read_until(job, "started fuel-experimental-")
    end(job, signal.SIGTERM)
    assert job.returncode == 130
    assert run.state == "CANCELED"


def test_a_lost_job_leaves_its_run_and_the_next_one_attaches(
    world: World, kubeflow: FakeKubeflow
) -> None:
    propose(world, "lost", "b")
    first = world.start_job(*EXPERIMENT, branch="lost", **make_review(2))
    run = wait_for_run(kubeflow)
    end(first, signal.SIGKILL)
    assert run.state == "RUNNING"
    again = world.start_job(*EXPERIMENT, branch="lost", **make_review(2))
    read_until(again, "attached to fuel-experimental-")
    end(again, signal.SIGTERM)
    assert len(kubeflow.runs) == 1


def test_a_newer_commit_of_the_merge_request_ends_the_run_of_the_older(
    world: World, kubeflow: FakeKubeflow
) -> None:
    propose(world, "pushed", "c")
    first = world.start_job(*EXPERIMENT, branch="pushed", **make_review(3))
    old = wait_for_run(kubeflow)
    propose(world, "pushed", "d")
    second = world.start_job(*EXPERIMENT, branch="pushed", **make_review(3))
    read_until(second, "a newer commit took its place")
    new = wait_for_run(kubeflow, 2)
    assert (old.state, new.state) == ("CANCELED", "RUNNING")
    # Not 4: GitLab would try it again, and it would end the newer run in its turn.
    assert first.wait(60) == 1
    assert "the run was cancelled on the cluster" in (first.stderr.read() if first.stderr else "")
    end(second, signal.SIGTERM)


def test_success_without_a_result_is_no_success(world: World, kubeflow: FakeKubeflow) -> None:
    kubeflow.world.mode = Mode.SUCCEED
    propose(world, "empty", "e")
    done = world.review_job(4, "empty", *EXPERIMENT)
    assert done.returncode == 4
    assert "its result is not in the store" in done.stderr


def test_a_merge_request_cannot_send_the_token_or_its_run_elsewhere(
    world: World, kubeflow: FakeKubeflow
) -> None:
    kubeflow.world.mode = Mode.SUCCEED
    with serve_fake_kubeflow(world.folder / "other") as other:
        config = world.file_on_main("gitops.yaml").replace(kubeflow.url, other.url)
        files: dict[str, str | bytes] = {"gitops.yaml": config, "pipelines/fuel/notes.md": "f"}
        world.change(files, "Move", branch="moved")
        world.review_job(5, "moved", *EXPERIMENT)
        assert other.calls == []
    assert len(kubeflow.runs) == 1


def test_a_merge_request_that_takes_a_secret_is_refused_before_anything_is_uploaded(
    world: World, kubeflow: FakeKubeflow
) -> None:
    pipeline = world.file_on_main("pipelines/fuel/pipeline.py") + STEALING
    world.change({"pipelines/fuel/pipeline.py": pipeline}, "Steal", branch="stealing")
    before = len(kubeflow.world.versions)
    done = world.review_job(6, "stealing", *EXPERIMENT)
    assert done.returncode == 2
    assert "gitops-release" in done.stderr
    assert (len(kubeflow.world.versions), kubeflow.runs) == (before, [])


def test_a_token_that_the_server_does_not_know_is_named_and_not_shown(
    world: World, kubeflow: FakeKubeflow
) -> None:
    propose(world, "silent", "g")
    done = world.review_job(7, "silent", *EXPERIMENT, GITOPS_KFP_TOKEN="of-somebody-else")
    assert done.returncode == 2
    assert "of-somebody-else" not in done.stderr
    assert kubeflow.runs == []
