"""What is decided from a cluster's words: which run an order has, what people see, which schedules change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters.kfp.snapshots import parse_snapshot
from gitops.schedule import FoundSchedule, WantedSchedule, find_difference, plan_schedules
from gitops.supervision import (
    FoundRun,
    Mark,
    RunSnapshot,
    RunState,
    TaskState,
    Version,
    find_failing,
    find_superseded,
    has_same_values,
    is_over,
    make_progress,
    make_run_name,
    parse_attempt,
    parse_mark,
    parse_state,
    plan_run,
    render_mark,
    render_waiting,
)

VERSION = Version(pipeline_id="p", version_id="v")


def run(name: str, state: RunState, created: str = "2026-01-01", run_id: str = "r") -> FoundRun:
    return FoundRun(
        run_id=run_id,
        name=name,
        state=state,
        created=created,
        mark=Mark(key="k", group="g"),
        version=VERSION,
        arguments={},
    )


# States.


@pytest.mark.parametrize("said", ["SUCCEEDED", "Succeeded", "succeeded"])
def test_a_state_is_known_in_any_case(said: str) -> None:
    assert parse_state(said) is RunState.SUCCEEDED


@pytest.mark.parametrize(
    "said", [None, "", "RUNTIME_STATE_UNSPECIFIED", "Done", 7, {}, "SUCCEEDED "]
)
def test_what_is_not_known_is_neither_an_end_nor_a_success(said: object) -> None:
    state = parse_state(said)
    assert state is RunState.UNKNOWN
    assert not is_over(state)
    assert not RunSnapshot(run_id="r", name="n", state=state).has_succeeded


def test_only_succeeded_is_a_success_and_every_other_end_is_not() -> None:
    ends = {state for state in RunState if is_over(state)}
    assert {state.value for state in ends} == {
        "SUCCEEDED",
        "SKIPPED",
        "FAILED",
        "CANCELED",
        "ERROR",
    }
    assert [
        state for state in RunState if RunSnapshot(run_id="r", name="n", state=state).has_succeeded
    ] == [RunState.SUCCEEDED]


# Attempts.


@given(st.text(min_size=1, max_size=30), st.integers(min_value=1, max_value=99))
def test_the_name_of_an_attempt_says_which_it_is(key: str, attempt: int) -> None:
    assert parse_attempt(key, make_run_name(key, attempt)) == attempt


@pytest.mark.parametrize(
    "name", ["k-a1", "k-a0", "k-a100", "k-a02", "kk", "k-a2-a2", "K", "k-b2", " k"]
)
def test_other_names_are_no_attempt(name: str) -> None:
    assert parse_attempt("k", name) == 0


@pytest.mark.parametrize(
    ("states", "attached", "attempt"),
    [
        ([], False, 1),
        ([RunState.RUNNING], True, 1),
        ([RunState.SUCCEEDED], True, 1),
        ([RunState.UNKNOWN], True, 1),
        ([RunState.PAUSED], True, 1),
        ([RunState.FAILED], False, 2),
        ([RunState.SKIPPED], False, 2),
        ([RunState.CANCELING], False, 2),
        ([RunState.FAILED, RunState.CANCELED], False, 3),
        ([RunState.FAILED, RunState.PENDING], True, 2),
        ([RunState.SUCCEEDED, RunState.FAILED], False, 3),
    ],
)
def test_an_active_or_succeeded_last_attempt_is_attached_to_and_any_other_is_followed_by_the_next(
    states: list[RunState], attached: bool, attempt: int
) -> None:
    runs = [run(make_run_name("k", place + 1), state) for place, state in enumerate(states)]
    plan = plan_run("k", [*runs, run("k2", RunState.RUNNING), run("other", RunState.RUNNING)])
    assert (plan.run is not None, plan.attempt) == (attached, attempt)


def test_of_one_name_the_oldest_that_is_of_use_stays_and_the_younger_active_ones_go() -> None:
    oldest = run("k", RunState.FAILED, "2026-01-01T00:00:00Z", "a")
    older = run("k", RunState.RUNNING, "2026-01-01T00:00:01Z", "c")
    same_second = run("k", RunState.RUNNING, "2026-01-01T00:00:01Z", "d")
    younger = run("k", RunState.PENDING, "2026-01-01T00:00:02Z", "b")
    ended = run("k", RunState.CANCELED, "2026-01-01T00:00:03Z", "a2")
    runs = [oldest, older, same_second, younger, ended]
    for order in (runs, runs[::-1]):
        plan = plan_run("k", order)
        assert plan.run is older
        assert plan.surplus == (same_second, younger)


def test_superseded_are_the_active_runs_of_the_group_with_another_key() -> None:
    mine = run("k", RunState.RUNNING)
    stale = replace(mine, mark=Mark(key="old", group="g"))
    others = [
        mine,
        replace(stale, state=RunState.SUCCEEDED),
        replace(stale, state=RunState.CANCELING),
        replace(stale, mark=Mark(key="old", group="other")),
        replace(stale, mark=Mark()),
    ]
    assert find_superseded("g", "k", [*others, stale]) == (stale,)
    assert find_superseded("", "k", [replace(stale, mark=Mark())]) == ()


# Descriptions.


@given(st.text(), st.text(), st.text(), st.text())
def test_a_mark_survives_in_a_description(key: str, group: str, owner: str, about: str) -> None:
    mark = Mark(key=key, group=group, owner=owner)
    assert parse_mark(render_mark(mark, about)) == mark


@pytest.mark.parametrize(
    "text", [None, "", "a run", "[1]", '{"key": 3}', "{" * 20_000, '"key"', "null"]
)
def test_a_description_that_is_not_ours_is_an_empty_mark(text: object) -> None:
    assert parse_mark(text) == Mark()


# Values.


def test_values_are_the_same_when_only_the_spelling_of_numbers_differs() -> None:
    assert has_same_values({"a": 1, "b": [2, None]}, {"b": [2.0, None], "a": 1.0})
    for other in ({"a": True}, {"a": "1"}, {"a": 2}, {"a": None}, {}, {"a": 1, "b": 0}):
        assert not has_same_values({"a": 1}, other)


# Progress.


def node(name: str, pod: str, state: str, *children: str, **facts: object) -> dict[str, object]:
    return {
        "display_name": name,
        "pod_name": pod,
        "state": state,
        "child_tasks": [{"pod_name": child} for child in children],
        "create_time": "2026-01-01T00:00:00Z",
        **facts,
    }


def test_a_workflow_of_argo_is_read_as_the_steps_that_people_wrote() -> None:
    """A nested pipeline, a retried step, a step not begun; drivers and executors are machinery."""
    times = {"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:01:03.5Z"}
    nodes = [
        node("fuel-x7", "w", "RUNNING", "w-rootdriver"),
        node("root-driver", "w-rootdriver", "SUCCEEDED", "w-root"),
        node("root", "w-root", "RUNNING", "w-1"),
        node("experimental-driver", "w-1", "SUCCEEDED", "w-2"),
        node("experimental", "w-2", "RUNNING", "w-3"),
        node("prepare-driver", "w-3", "SUCCEEDED", "w-4"),
        node("prepare", "w-4", "SUCCEEDED", "w-5", **times),
        # In Argo, what comes after a pod is its child.
        node("executor", "w-5", "SUCCEEDED", "w-6"),
        node("train-driver", "w-6", "SUCCEEDED", "w-7"),
        node("train", "w-7", "FAILED", "w-8", "w-9", error={"message": "exit 1\x1b"}),
        node("executor(0)", "w-8", "FAILED"),
        node("executor(1)", "w-9", "FAILED"),
        node("score", "w-10", "PENDING"),
        node("rollout-driver", "w-11", "FAILED", error={"message": "no such image"}),
    ]
    body = {"run_id": "r", "display_name": "n", "state": "RUNNING"}
    snapshot = parse_snapshot({**body, "run_details": {"task_details": nodes}})
    assert {(task.name, task.state, task.pod) for task in snapshot.tasks} == {
        ("prepare", RunState.SUCCEEDED, "w-5"),
        ("train", RunState.FAILED, "w-9"),
        ("score", RunState.PENDING, "w-10"),
        ("rollout-driver", RunState.FAILED, "w-11"),
    }
    failing = {task.name: task.error for task in find_failing(snapshot)}
    assert set(failing) == {"train", "rollout-driver"}
    assert failing["rollout-driver"] == "no such image"
    assert "\x1b" not in failing["train"]
    (prepare,) = (task for task in snapshot.tasks if task.name == "prepare")
    assert prepare.seconds == 63.5


@pytest.mark.parametrize(
    "details",
    [None, [], {"task_details": None}, {"task_details": [None, 3, {}, {"child_tasks": 4}]}],
)
def test_details_of_any_shape_are_read_without_an_accident(details: object) -> None:
    snapshot = parse_snapshot({"run_id": "r", "state": "RUNNING", "run_details": details})
    assert snapshot.state is RunState.RUNNING
    assert all(task.state is RunState.UNKNOWN for task in snapshot.tasks)


def test_each_step_that_ends_is_said_once() -> None:
    train = TaskState(name="train", state=RunState.RUNNING, pod="p1")
    before = RunSnapshot(run_id="r", name="n", state=RunState.RUNNING, tasks=(train,))
    ended = replace(train, state=RunState.SUCCEEDED, seconds=3.21)
    failed = TaskState(name="score", state=RunState.FAILED, pod="p2", seconds=0.04)
    skipped = TaskState(name="recall", state=RunState.SKIPPED)
    after = replace(before, tasks=(ended, failed, skipped))
    assert make_progress(None, before) == ()
    assert make_progress(before, after) == (
        "    train       success in 3.2 s",
        "    score       failure in 0.0 s",
        "    recall      skipped",
    )
    assert make_progress(after, after) == ()
    assert render_waiting(before, 61.0) == "    train       goes on, 61 s so far"


# Schedules.

WANTED = WantedSchedule(
    name="nightly",
    cron="0 0 3 * * *",
    experiment="e",
    version=VERSION,
    arguments={"n": 1},
    service_account="gitops-release",
)
FOUND = FoundSchedule(
    schedule_id="s1",
    name="nightly",
    owner="cars",
    created="2026-01-01",
    enabled=True,
    cron="0 0 3 * * *",
    experiment_id="e-id",
    version=VERSION,
    arguments={"n": 1.0},
    pipeline_root="",
    service_account="gitops-release",
)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (FOUND, ""),
        # Some servers do not show it.
        (replace(FOUND, service_account=""), ""),
        (replace(FOUND, enabled=False), "somebody disabled it"),
        (replace(FOUND, cron="0 0 4 * * *"), "another cron"),
        (replace(FOUND, version=replace(VERSION, version_id="w")), "another pipeline version"),
        (replace(FOUND, arguments={"n": 2}), "other arguments"),
        (replace(FOUND, experiment_id="x"), "another experiment"),
        (replace(FOUND, pipeline_root="s3://x"), "another pipeline root"),
        (replace(FOUND, service_account="root"), "another service account"),
    ],
)
def test_every_property_of_a_schedule_is_compared(found: FoundSchedule, reason: str) -> None:
    assert find_difference(WANTED, found, "e-id") == reason


def test_only_the_owners_schedules_are_planned_and_a_new_one_is_made_before_the_old_goes() -> None:
    theirs = replace(FOUND, schedule_id="s2", owner="trucks", cron="x")
    by_hand = replace(FOUND, schedule_id="s3", owner="", cron="x")
    gone = replace(FOUND, schedule_id="s4", name="weekly")
    stale = replace(FOUND, cron="x")
    planned = plan_schedules([WANTED], [theirs, by_hand, gone, stale], "cars", {"e": "e-id"})
    assert [(each.change.action, each.create, each.remove) for each in planned] == [
        ("replaced", WANTED, ("s1",)),
        ("removed", None, ("s4",)),
    ]
    assert plan_schedules([], [by_hand], "", {}) == ()


def test_of_two_equal_schedules_the_older_stays() -> None:
    younger = replace(FOUND, schedule_id="s0", created="2026-01-02")
    (planned,) = plan_schedules([WANTED], [younger, FOUND], "cars", {"e": "e-id"})
    assert (planned.create, planned.remove) == (None, ("s0",))
