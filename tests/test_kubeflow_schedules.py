"""One wanted schedule is one schedule, whatever is lost or killed on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gitops.adapters.kfp.cluster import Cluster
from gitops.errors import InputError
from gitops.schedule import ScheduleAction, WantedSchedule
from gitops.supervision import Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind, Mode
from tests.fake_kubeflow.fixtures import fake, kubeflow, tiny, version

__all__ = ["fake", "kubeflow", "tiny", "version"]


@pytest.fixture
def nightly(version: Version) -> WantedSchedule:
    return WantedSchedule(
        name="nightly",
        cron="0 0 3 * * *",
        experiment="fuel",
        version=version,
        arguments={"word": "night"},
    )


def test_a_lost_reply_never_makes_a_second_schedule(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    fake.fail(FaultKind.LOST, "POST /recurringruns")
    kubeflow.reconcile_schedules((nightly,), "cars")
    assert len(fake.world.schedules) == 1
    fake.fail(FaultKind.LOST, "DELETE /recurringruns")
    kubeflow.reconcile_schedules((), "cars")
    assert fake.world.schedules == {}


def test_a_reconciliation_killed_between_creating_and_deleting_is_finished_by_the_next(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    kubeflow.reconcile_schedules((nightly,), "cars")
    changed = replace(nightly, cron="0 0 5 * * *")
    fake.fail(FaultKind.UNKNOWN_TOKEN, "DELETE /recurringruns")
    with pytest.raises(InputError):
        kubeflow.reconcile_schedules((changed,), "cars")
    assert len(fake.world.schedules) == 2
    (change,) = kubeflow.reconcile_schedules((changed,), "cars")
    assert (change.action, change.reason) == (ScheduleAction.REMOVED, "there were two")
    (left,) = fake.world.schedules.values()
    assert left["trigger"]["cron_schedule"]["cron"] == "0 0 5 * * *"


def test_a_schedule_that_somebody_disabled_is_replaced_and_fires_what_was_wanted(
    fake: FakeKubeflow, kubeflow: Cluster, nightly: WantedSchedule
) -> None:
    kubeflow.reconcile_schedules((nightly,), "cars")
    next(iter(fake.world.schedules.values()))["status"] = "DISABLED"
    (change,) = kubeflow.reconcile_schedules((nightly,), "cars")
    assert change.reason == "somebody disabled it"
    fake.world.mode = Mode.SUCCEED
    run = fake.fire("nightly")
    assert (
        run.body["pipeline_version_reference"]["pipeline_version_id"] == nightly.version.version_id
    )
    assert run.body["runtime_config"]["parameters"] == {"word": "night"}
