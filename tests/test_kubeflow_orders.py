"""One order has one run, and it is what was ordered, whatever Kubeflow loses or answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gitops.adapters.kfp.cluster import Cluster
from gitops.errors import OutsideError, RefusedError
from gitops.supervision import RunOrder, Version
from tests.fake_kubeflow import FakeKubeflow, FaultKind, make_connection
from tests.fake_kubeflow.fixtures import KEY, fake, kubeflow, order, tiny, version

__all__ = ["fake", "kubeflow", "order", "tiny", "version"]

# F5: one order, one run.


@pytest.mark.parametrize("kind", [FaultKind.LOST, FaultKind.BROKEN_AFTER])
def test_a_lost_reply_to_the_creation_never_makes_a_second_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, kind: FaultKind
) -> None:
    fake.fail(kind, "POST /runs$")
    started = kubeflow.start(order)
    assert [run.body["run_id"] for run in fake.runs] == [started.run_id]
    assert len(fake.asked("POST /runs$")) == 1


def test_a_run_that_the_list_shows_late_is_found_instead_of_created_again(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    fake.fail(FaultKind.LOST, "POST /runs$")
    # The look before, then two looks that do not show it yet.
    fake.fail(FaultKind.HIDDEN, "GET /runs$", times=3)
    kubeflow.start(order)
    assert len(fake.runs) == 1
    assert len(fake.asked("POST /runs$")) == 1


@pytest.mark.parametrize("kind", [FaultKind.DROP, FaultKind.BROKEN, FaultKind.BUSY, FaultKind.PAGE])
def test_a_creation_that_did_not_happen_is_asked_again(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, kind: FaultKind
) -> None:
    fake.fail(kind, "POST /runs$")
    started = kubeflow.start(order)
    assert [run.body["run_id"] for run in fake.runs] == [started.run_id]


def test_a_server_that_never_takes_the_run_is_an_outside_error_after_three_tries(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    fake.fail(FaultKind.BROKEN, "POST /runs$", times=99)
    with pytest.raises(OutsideError, match="503"):
        kubeflow.start(order)
    assert len(fake.asked("POST /runs$")) == 3
    assert fake.runs == []


def test_a_sign_in_page_instead_of_the_list_does_not_count_as_no_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    first = kubeflow.start(order)
    fake.fail(FaultKind.PAGE, "GET /runs$", times=99)
    with pytest.raises(OutsideError, match="not the answer of Kubeflow"):
        kubeflow.start(order)
    fake.faults.clear()
    assert kubeflow.start(order) == replace(first, attached=True)


def test_reads_are_repeated_and_wait_as_long_as_the_server_asks_up_to_a_cap(
    fake: FakeKubeflow, order: RunOrder
) -> None:
    waits: list[float] = []
    fake.fail(FaultKind.BUSY, "GET /experiments", retry_after="7")
    fake.fail(FaultKind.BUSY, "GET /experiments", retry_after="86400")
    fake.fail(FaultKind.BROKEN, "GET /experiments", retry_after="nonsense")
    fake.fail(FaultKind.DROP, "GET /experiments")
    Cluster(make_connection(fake, sleep=waits.append)).start(order)
    assert waits[0] == 7.0
    assert waits[1] == 30.0
    assert len(waits) == 4
    assert all(0 < wait <= 30.0 for wait in waits)


def test_of_two_runs_that_raced_the_older_stays_and_the_younger_is_ended(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    ours = kubeflow.start(order)
    fake.world.skew = -timedelta(seconds=30)
    theirs = fake.world.add_run(dict(fake.world.runs[ours.run_id].body))
    started = kubeflow.start(order)
    assert started.run_id == theirs.body["run_id"]
    assert {run.state for run in fake.runs} == {"RUNNING", "CANCELED"}
    assert fake.world.runs[ours.run_id].state == "CANCELED"


def test_a_pipeline_is_uploaded_once_though_every_reply_is_lost(
    fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes
) -> None:
    fake.fail(FaultKind.LOST, "POST /pipelines$")
    fake.fail(FaultKind.LOST, "POST /pipelines/upload_version")
    version = kubeflow.upload("fuel", "v1", tiny)
    assert list(fake.world.pipelines) == [version.pipeline_id]
    assert list(fake.world.versions) == [version.version_id]
    assert len(fake.asked("POST")) == 2


def test_the_run_is_found_among_hundreds_of_names_that_contain_its_key(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    started = kubeflow.start(order)
    body = fake.world.runs[started.run_id].body
    fake.world.skew = timedelta(hours=1)
    for number in range(250):
        fake.world.add_run({**body, "display_name": f"{KEY}-other-{number}"})
    assert kubeflow.start(order) == replace(started, attached=True)
    assert len(fake.asked("GET /runs$")) >= 3


# T16: what runs is what was sent.


def alter_code(answer: dict[str, Any]) -> None:
    spec = answer["pipeline_spec"]["pipeline_spec"]
    spec["deploymentSpec"]["executors"]["exec-release"]["container"]["command"][-1] += "\n# more"


def alter_image(answer: dict[str, Any]) -> None:
    spec = answer["pipeline_spec"]["pipeline_spec"]
    spec["deploymentSpec"]["executors"]["exec-prepare"]["container"]["image"] = "evil:latest"


def alter_secret(answer: dict[str, Any]) -> None:
    executors = answer["pipeline_spec"]["platform_spec"]["platforms"]["kubernetes"]
    config = executors["deploymentSpec"]["executors"]
    config["exec-prepare"] = config["exec-release"]


def drop_platform(answer: dict[str, Any]) -> None:
    answer["pipeline_spec"] = answer["pipeline_spec"]["pipeline_spec"]


def drop_all(answer: dict[str, Any]) -> None:
    del answer["pipeline_spec"]


def add_unknown(answer: dict[str, Any]) -> None:
    answer["pipeline_spec"]["pipeline_spec"]["root"]["surprise"] = {}


@pytest.mark.parametrize(
    "alter", [alter_code, alter_image, alter_secret, drop_platform, drop_all, add_unknown]
)
def test_a_version_that_reads_back_differently_is_refused(
    fake: FakeKubeflow, kubeflow: Cluster, tiny: bytes, alter: Callable[[dict[str, Any]], None]
) -> None:
    fake.fail(FaultKind.ALTERED, "GET /pipelines/[^/]+/versions/", alter=alter)
    with pytest.raises(RefusedError, match="it was not run"):
        kubeflow.upload("fuel", "v1", tiny)
    assert isinstance(kubeflow.upload("fuel", "v1", tiny), Version)


@pytest.mark.parametrize("what", ["pipeline_version_reference", "runtime_config", "description"])
def test_a_run_of_the_same_name_that_is_not_this_order_is_not_attached_to(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder, what: str
) -> None:
    started = kubeflow.start(order)
    fake.world.runs[started.run_id].body.pop(what)
    with pytest.raises(RefusedError, match=f"another run has the name {KEY}"):
        kubeflow.start(order)
    assert len(fake.runs) == 1


def test_a_pipeline_of_another_namespace_is_not_used(
    fake: FakeKubeflow, kubeflow: Cluster, version: Version, tiny: bytes
) -> None:
    def move(answer: dict[str, Any]) -> None:
        answer["namespace"] = "team-b"

    fake.fail(FaultKind.ALTERED, "GET /pipelines/names/", alter=move)
    with pytest.raises(RefusedError, match="belongs to another namespace"):
        kubeflow.upload("fuel", "v2", tiny)


# T22: one active run per merge request.


def test_five_pushes_in_a_row_leave_one_active_run(
    fake: FakeKubeflow, kubeflow: Cluster, order: RunOrder
) -> None:
    other = kubeflow.start(replace(order, key="other", group="!8/fuel"))
    for number in range(5):
        key = f"push-{number}"
        kubeflow.start(replace(order, key=key))
        kubeflow.terminate_superseded("fuel", order.group, key)
        active = [run.body["display_name"] for run in fake.runs if run.state == "RUNNING"]
        assert active == ["other", key]
    assert fake.world.runs[other.run_id].state == "RUNNING"
