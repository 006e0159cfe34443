"""A run is watched to its true end or given up in time, also when its job is cancelled or lost."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest

from gitops.adapters.kfp.cluster import Cluster
from gitops.errors import OutsideError
from gitops.supervision import RunOrder, RunState, Started, TaskState, Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind
from tests.fake_kubeflow.fixtures import (
    KEY,
    Time,
    fake,
    finish,
    kubeflow,
    order,
    tiny,
    version,
    watch,
)

__all__ = ["fake", "kubeflow", "order", "tiny", "version"]

# F6, F12: the true end, or an error in time.


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED", "SUCCEEDED", "ERROR"])
def test_watching_ends_with_every_state_that_is_an_end(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, state: str
) -> None:
    started = kubeflow.start(order)
    time = Time(lambda seconds: seconds >= 50 and finish(fake, started.run_id, state))
    done = watch(kubeflow, started, time)
    assert done.state == state
    assert done.has_succeeded is (state == "SUCCEEDED")
    assert time.seconds - 1000 < 70


@pytest.mark.parametrize("state", ["RUNNING", "PAUSED", "PENDING", "SOMETHING_NEW"])
@pytest.mark.parametrize("skew", [timedelta(days=1), timedelta(days=-1)])
def test_a_run_that_never_ends_is_ended_at_the_deadline_whatever_the_clocks_say(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, state: str, skew: timedelta
) -> None:
    fake.world.skew = skew
    started = kubeflow.start(order)
    finish(fake, started.run_id, state)
    time = Time()
    with pytest.raises(OutsideError, match="took longer than 3600 s"):
        watch(kubeflow, started, time)
    assert 3600 <= time.seconds - 1000 < 3800
    assert len(fake.asked(":terminate")) == 1


def test_a_run_that_does_not_even_end_when_told_is_reported_so(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    finish(fake, started.run_id, "CANCELING")
    with pytest.raises(OutsideError, match="told to end, and has not yet"):
        watch(kubeflow, started, Time(), deadline=60.0)


def test_silence_is_borne_for_a_while_and_then_the_run_is_left_alone(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.fail(FaultKind.BROKEN, "GET /runs/", times=50)
    time = Time(lambda seconds: seconds >= 200 and finish(fake, started.run_id, "SUCCEEDED"))
    assert watch(kubeflow, started, time, patience=600.0).has_succeeded
    finish(fake, started.run_id, "RUNNING")
    fake.fail(FaultKind.DROP, "GET /runs/", times=10_000)
    with pytest.raises(OutsideError, match="has not answered for"):
        watch(kubeflow, started, Time(), patience=60.0)
    assert fake.asked(":terminate") == []


def test_silences_do_not_add_up(fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder) -> None:
    started = kubeflow.start(order)

    def disturb(seconds: float) -> None:
        if seconds in (10, 400):
            # A GET is tried five times, so that this is 30 looks of 10 seconds.
            fake.fail(FaultKind.BROKEN, "GET /runs/", times=150)
        if seconds >= 800:
            finish(fake, started.run_id, "SUCCEEDED")

    assert watch(kubeflow, started, Time(disturb), patience=350.0).has_succeeded


def test_a_run_that_somebody_deleted_is_an_outside_error(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    fake.world.runs.clear()
    with pytest.raises(OutsideError, match="the run is gone"):
        watch(kubeflow, started, Time())


def test_a_silent_run_is_said_to_go_on(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    lines: list[str] = []
    time = Time(lambda seconds: seconds >= 100 and finish(fake, started.run_id, "SUCCEEDED"))
    watch(kubeflow, started, time, on_lines=lines.extend)
    assert lines == [f"    the run     goes on, {seconds} s so far" for seconds in (30, 60, 90)]


# F18: a cancelled job, a lost runner.


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_cancelling_the_job_ends_the_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, interruption: type[BaseException]
) -> None:
    started = kubeflow.start(order)

    def interrupt(_: float) -> None:
        raise interruption

    with pytest.raises(interruption):
        watch(kubeflow, started, Time(interrupt))
    assert fake.runs[0].state == "CANCELED"
    # Run again, the job makes another attempt of the same release.
    again = kubeflow.start(order)
    assert (again.name, again.attached) == (f"{KEY}-a2", False)


JOB = """
import os, signal
from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.supervision import RunOrder, Version
connection = Connection(host={url!r}, namespace="team-a", read_token=lambda: {token!r}, timeout=10)
version = Version(pipeline_id={version.pipeline_id!r}, version_id={version.version_id!r})
order = RunOrder(key={key!r}, experiment="fuel", namespace="team-a", version=version,
                 arguments={{"word": "hello", "count": 3}}, group="!7/fuel")
print(Cluster(connection).start(order).run_id, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_job_attaches_to_the_run_of_a_killed_one(
    fake: FakeKubeflow, kubeflow: Cluster, version: Version, order: RunOrder
) -> None:
    job = textwrap.dedent(JOB).format(url=fake.url, token=fake.token, version=version, key=KEY)
    killed = subprocess.run(
        [sys.executable, "-c", job], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -9, killed.stderr
    started = kubeflow.start(order)
    assert started == Started(run_id=killed.stdout.strip(), name=KEY, attached=True)
    assert len(fake.runs) == 1


# Logs.


@pytest.mark.parametrize(
    ("pod", "said"),
    [("", "never had a pod"), ("gone", "pods not found"), ("../../healthz", "no log")],
)
def test_a_log_that_cannot_be_had_is_one_line_that_says_why(
    kubeflow: Cluster, order: RunOrder, pod: str, said: str
) -> None:
    started = kubeflow.start(order)
    (line,) = kubeflow.read_log(
        started.run_id, TaskState(name="train", state=RunState.FAILED, pod=pod)
    )
    assert said in line


def test_a_log_is_bounded_and_without_control_characters(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    text = "".join(f"line {number}\x1b[31m\x07{'x' * 1000}\n" for number in range(1000))
    fake.world.runs[started.run_id].logs["pod"] = text
    task = TaskState(name="train", state=RunState.FAILED, pod="pod")
    lines = kubeflow.read_log(started.run_id, task)
    assert [line[:8] for line in lines] == [f"line {number}" for number in range(975, 1000)]
    assert all(len(line) <= 500 and line.isprintable() for line in lines)
