"""The contract with Kubeflow Pipelines: the same tests hold against the fake and a real cluster."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gitops.adapters.kfp.cluster import Cluster, Connection
from gitops.errors import RefusedError
from gitops.schedule import ScheduleAction, WantedSchedule
from gitops.supervision import RunOrder, RunState, Version, find_failing
from tests.fake_kubeflow.fixtures import cluster, slow, tiny

__all__ = ["cluster", "slow", "tiny"]


@pytest.fixture
def client(cluster: Connection) -> Iterator[Cluster]:
    with Cluster(cluster) as client:
        yield client


@pytest.fixture
def label() -> str:
    """A name that no earlier test on the same cluster has used."""
    return f"gitops-test-{uuid.uuid4().hex[:12]}"


def make_order(client: Cluster, label: str, version: Version, **arguments: object) -> RunOrder:
    return RunOrder(
        key=f"{label}.release",
        experiment=label,
        namespace=client.connection.namespace,
        version=version,
        arguments=arguments,
        group=f"{label}/fuel",
    )


def test_a_pipeline_runs_to_its_end_and_only_the_named_step_sees_the_secret(
    client: Cluster, label: str, tiny: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "of-the-job")
    version = client.upload(label, "v1", tiny)
    lines: list[str] = []
    # `prepare` writes what it sees; `release` fails without its secret.
    started = client.start(make_order(client, label, version, word="hello"))
    done = client.watch(started.run_id, deadline=600, poll=0.1, on_lines=lines.extend)
    assert done.has_succeeded
    assert [(task.name, task.state) for task in done.tasks] == [
        ("prepare", RunState.SUCCEEDED),
        ("release", RunState.SUCCEEDED),
    ]
    assert [line.split()[:3] for line in lines if "goes on" not in line] == [
        ["prepare", "success", "in"],
        ["release", "success", "in"],
    ]
    log = "\n".join(client.read_log(started.run_id, done.tasks[0]))
    assert "saw hello / no secret / no job" in log
    # Running the job again attaches to what is there.
    again = client.start(make_order(client, label, version, word="hello"))
    assert (again.run_id, again.attached) == (started.run_id, True)


def test_a_failing_step_is_named_with_its_last_lines_and_the_next_start_is_another_attempt(
    client: Cluster, label: str, tiny: bytes
) -> None:
    version = client.upload(label, "v1", tiny)
    order = make_order(client, label, version, word="hello", count=-1)
    started = client.start(order)
    done = client.watch(started.run_id, deadline=600, poll=0.1, on_lines=lambda _: None)
    assert done.state is RunState.FAILED
    (failing,) = find_failing(done)
    assert failing.name == "release"
    log = client.read_log(started.run_id, failing)
    assert len(log) <= 25
    assert any("ValueError: a negative count" in line for line in log)
    assert not any("\x1b" in line for line in log)
    second = client.start(order)
    assert (second.name, second.attached) == (f"{order.key}-a2", False)
    client.terminate(second.run_id)


def test_a_run_that_is_terminated_ends_as_cancelled_and_its_steps_stop(
    client: Cluster, label: str, slow: bytes
) -> None:
    version = client.upload(label, "v1", slow)
    started = client.start(make_order(client, label, version, seconds=3600))
    client.terminate(started.run_id)
    done = client.watch(started.run_id, deadline=600, poll=0.05, on_lines=lambda _: None)
    assert done.state is RunState.CANCELED
    client.terminate(started.run_id)


def test_the_same_version_is_uploaded_once_and_another_content_under_its_name_is_refused(
    client: Cluster, label: str, tiny: bytes, slow: bytes
) -> None:
    version = client.upload(label, "v1", tiny)
    assert client.upload(label, "v1", tiny) == version
    other = client.upload(label, "v2", slow)
    assert other.pipeline_id == version.pipeline_id
    assert other.version_id != version.version_id
    with pytest.raises(RefusedError, match="another pipeline under this name"):
        client.upload(label, "v1", slow)


def test_schedules_are_created_replaced_and_removed_and_those_of_others_stay(
    client: Cluster, label: str, tiny: bytes
) -> None:
    version = client.upload(label, "v1", tiny)
    nightly = WantedSchedule(
        name=f"{label}-nightly",
        cron="0 0 3 * * *",
        experiment=label,
        version=version,
        arguments={"word": "night", "count": 1},
    )
    weekly = replace(nightly, name=f"{label}-weekly", cron="0 0 4 * * 0")

    def reconcile(*wanted: WantedSchedule, owner: str = label) -> list[tuple[str, str, str]]:
        changes = client.reconcile_schedules(wanted, owner)
        return [(change.action, change.name, change.reason) for change in changes]

    assert reconcile(nightly, weekly) == [
        (ScheduleAction.CREATED, nightly.name, "new in gitops.yaml"),
        (ScheduleAction.CREATED, weekly.name, "new in gitops.yaml"),
    ]
    assert reconcile(nightly, weekly) == []
    # Another repository has a schedule of the same name.
    assert len(reconcile(nightly, owner=f"{label}-other")) == 1
    changed = replace(nightly, cron="0 30 3 * * *")
    assert reconcile(changed) == [
        (ScheduleAction.REPLACED, nightly.name, "another cron"),
        (ScheduleAction.REMOVED, weekly.name, "no longer wanted"),
    ]
    assert reconcile(nightly, owner=f"{label}-other") == []
    assert len(reconcile()) == 1
    assert len(reconcile(owner=f"{label}-other")) == 1
