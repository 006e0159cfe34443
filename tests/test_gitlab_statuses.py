"""Commit statuses: the right state, on exactly the commit that was judged."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gitops.adapters import gitlab
from gitops.errors import GitopsError, InputError, OutsideError
from gitops.forge import CommitStatus, StatusState
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.stage import IID, PATH, SHA, Stage, open_stage

POST = "POST .*/statuses/"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


def make_status(state: str, **facts: object) -> CommitStatus:
    return CommitStatus(sha=SHA, name="gitops/fuel", state=StatusState(state), **facts)  # type: ignore[arg-type] # keyword facts of one test


def put(stage: Stage, state: str, **facts: object) -> CommitStatus:
    with stage.connect() as connection:
        return gitlab.set_status(connection, PATH, make_status(state, **facts), iid=IID)


def shown(stage: Stage) -> list[tuple[str, str]]:
    return [(status["sha"], status["status"]) for status in stage.place.statuses]


def test_a_status_lands_on_its_commit_and_pipeline(stage: Stage) -> None:
    pipeline = stage.fake.world.add_pipeline(stage.place, sha=SHA)["id"]
    done = put(stage, "success", pipeline_id=pipeline, description="d" * 400)
    assert shown(stage) == [(SHA, "success")]
    assert done.pipeline_id == pipeline
    assert len(done.description) == 255


def test_a_status_goes_from_running_to_its_end(stage: Stage) -> None:
    for state in ("pending", "running", "failed"):
        put(stage, state)
    assert shown(stage) == [(SHA, "failed")]


def test_a_status_that_is_set_already_is_not_sent_again(stage: Stage) -> None:
    put(stage, "running")
    put(stage, "running")
    assert stage.written == ["POST"]


def test_a_refused_transition_to_the_same_state_counts_as_done(stage: Stage) -> None:
    """Another job sets the state between our look and our request."""
    twin = make_status("running")
    with stage.connect() as first, stage.connect() as second:
        stage.fake.fail(
            FaultKind.THEN,
            "GET .*/statuses",
            action=lambda: gitlab.set_status(second, PATH, twin),
        )
        assert gitlab.set_status(first, PATH, twin).state is StatusState.RUNNING
    assert shown(stage) == [(SHA, "running")]


def test_any_other_refused_transition_is_an_error(stage: Stage) -> None:
    put(stage, "running")
    with pytest.raises(InputError, match="Cannot transition"):
        put(stage, "pending")


def test_a_job_of_the_same_name_does_not_stand_in_for_our_status(stage: Stage) -> None:
    with stage.connect() as connection:
        gitlab.set_status(connection, PATH, make_status("success"))
    stage.place.statuses[0]["author"] = stage.fake.world.users[stage.contributor]
    put(stage, "success")
    assert [status["author"]["id"] for status in stage.place.statuses] == [
        stage.contributor,
        stage.bot,
    ]


@pytest.mark.parametrize(
    "kind", [FaultKind.BUSY, FaultKind.BROKEN, FaultKind.PAGE, FaultKind.LOST, FaultKind.HANG]
)
def test_a_passing_fault_leaves_the_right_status_once(stage: Stage, kind: FaultKind) -> None:
    stage.fake.fail(kind, POST, retry_after=0)
    put(stage, "failed")
    assert shown(stage) == [(SHA, "failed")]


def test_a_status_that_cannot_be_set_is_an_error_worth_a_retry(stage: Stage) -> None:
    stage.fake.fail(FaultKind.BROKEN, POST, times=100)
    with pytest.raises(OutsideError):
        put(stage, "success")
    assert shown(stage) == []


def test_a_push_after_the_gate_means_that_nothing_is_written(stage: Stage) -> None:
    stage.fake.world.move_head(stage.place, IID, "d" * 40)
    with pytest.raises(gitlab.ConflictError, match="moved"):
        put(stage, "success")
    assert stage.written == []


def test_a_push_between_reading_and_writing_gives_no_status_to_the_new_commit(
    stage: Stage,
) -> None:
    stage.fake.fail(FaultKind.MOVED, "GET .*/merge_requests/7$", sha="d" * 40)
    put(stage, "success")
    assert shown(stage) == [(SHA, "success")]


def test_a_conflict_that_gitlab_sees_is_refused_and_not_repeated(stage: Stage) -> None:
    stage.fake.fail(FaultKind.CONFLICT, POST)
    with pytest.raises(gitlab.ConflictError, match="HEAD") as caught:
        put(stage, "success")
    assert (caught.value.exit_code, stage.written) == (1, ["POST"])


def test_a_token_without_the_scope_is_told_apart_from_an_outage(stage: Stage) -> None:
    stage.fake.world.add_token("glpat-reader", stage.bot, scopes=("read_api",))
    with stage.connect(token="glpat-reader") as connection, pytest.raises(GitopsError) as caught:
        gitlab.set_status(connection, PATH, make_status("success"))
    assert caught.value.exit_code == 2
    assert "scope api" in caught.value.hint
