"""What real servers do and a tidy fake does not: defaults filled in, lists that lag, jobs that end early."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops.adapters.kfp.cluster import Cluster
from gitops.adapters.kfp.uploads import make_once
from gitops.errors import InputError, OutsideError
from gitops.schedule import WantedSchedule
from gitops.supervision import RunOrder, Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind, Mode, make_connection
from tests.fake_kubeflow.fixtures import fake, kubeflow, tiny

__all__ = ["fake", "kubeflow", "tiny"]


class Accounts(dict[str, dict[str, Any]]):
    """Recurring runs of a server that shows the account `shown`, whatever was asked for."""

    def __init__(self, shown: str) -> None:
        self.shown = shown

    def __setitem__(self, key: str, body: dict[str, Any]) -> None:
        super().__setitem__(key, {**body, "service_account": self.shown})


@pytest.fixture
def version(kubeflow: Cluster, tiny: bytes) -> Version:
    return kubeflow.upload("fuel", "v1", tiny)


@pytest.mark.parametrize(("wanted", "shown"), [("", "pipeline-runner"), ("gitops-release", "")])
def test_an_account_that_the_server_shows_its_own_way_makes_no_second_schedule(
    fake: FakeKubeflow, kubeflow: Cluster, version: Version, wanted: str, shown: str
) -> None:
    fake.world.schedules = Accounts(shown)
    nightly = WantedSchedule(
        name="nightly",
        cron="0 0 3 * * *",
        experiment="fuel",
        version=version,
        arguments={"word": "night"},
        service_account=wanted,
    )
    assert len(kubeflow.reconcile_schedules((nightly,), "cars")) == 1
    assert len(fake.world.schedules) == 1
    assert kubeflow.reconcile_schedules((nightly,), "cars") == ()


def test_what_was_created_and_is_not_listed_yet_is_not_created_again(fake: FakeKubeflow) -> None:
    from gitops.adapters.kfp.api import Api

    api = Api(make_connection(fake, sleep=lambda _: None))
    made: list[str] = []
    lagging = iter(["", "", "", "id"])
    assert make_once(api, lambda: next(lagging), lambda: made.append("x"), "schedule") == "id"
    assert made == ["x"]
    with pytest.raises(OutsideError, match="was created, but Kubeflow does not show it"):
        make_once(api, lambda: "", lambda: made.append("y"), "schedule")
    assert made == ["x", "y"]


@pytest.fixture
def order(version: Version) -> RunOrder:
    return RunOrder(
        key="fuel-experimental-0123",
        experiment="fuel",
        namespace="team-a",
        version=version,
        arguments={"word": "hello", "count": 3},
    )


def test_a_job_that_is_cancelled_while_it_asks_for_its_run_leaves_none(
    fake: FakeKubeflow, order: RunOrder
) -> None:
    """The reply to the creation is lost, and the job ends while it waits to look again."""
    fake.world.mode = Mode.HOLD

    def cancel(seconds: float) -> None:
        raise KeyboardInterrupt

    fake.fail(FaultKind.LOST, "POST /runs")
    fake.fail(FaultKind.HIDDEN, "GET /runs", times=2)
    with pytest.raises(KeyboardInterrupt):
        Cluster(make_connection(fake, sleep=cancel)).start(order)
    assert [run.state for run in fake.runs] == ["CANCELED"]


def test_a_succeeded_run_is_attached_to_unless_what_it_made_is_gone(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    fake.world.mode = Mode.SUCCEED
    first = kubeflow.start(order)
    assert kubeflow.start(order).run_id == first.run_id
    second = kubeflow.start(order, again=True)
    assert (second.name, second.attached) == (f"{order.key}-a2", False)
    assert len(fake.runs) == 2

    fake.world.mode = Mode.HOLD
    third = kubeflow.start(order, again=True)
    assert kubeflow.start(order, again=True).run_id == third.run_id


def test_who_sends_no_token_is_told_where_to_put_one(fake: FakeKubeflow, order: RunOrder) -> None:
    client = Cluster(replace(make_connection(fake), read_token=lambda: ""))
    with pytest.raises(InputError, match="401") as error:
        client.start(order)
    assert "GITOPS_KFP_TOKEN_FILE" in error.value.hint
