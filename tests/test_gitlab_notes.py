"""One note for each scope of a merge request, whatever fails and whoever races."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gitops.adapters import gitlab
from gitops.errors import OutsideError, RefusedError
from gitops.note import Marker, make_marker, render_note
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.stage import IID, PATH, QUICK, SHA, Stage, open_stage

FUEL = Marker(scope="fuel", order=5)
NOTES = "/notes"


@pytest.fixture
def stage() -> Iterator[Stage]:
    with open_stage() as stage:
        yield stage


def post(stage: Stage, body: str, marker: Marker = FUEL) -> gitlab.PostedNote:
    with stage.connect() as connection:
        return gitlab.upsert_note(connection, PATH, IID, marker, body)


def bodies(stage: Stage) -> list[str]:
    return [note["body"].partition("\n\n")[2] for note in stage.notes]


def test_the_first_report_becomes_a_note(stage: Stage) -> None:
    posted = post(stage, "all well")
    assert bodies(stage) == ["all well"]
    assert posted.id == stage.notes[0]["id"]


def test_the_next_report_updates_the_note_in_place(stage: Stage) -> None:
    first = post(stage, "all well")
    second = post(stage, "worse", Marker(scope="fuel", order=6))
    assert bodies(stage) == ["worse"]
    assert first.id == second.id
    assert stage.written == ["POST", "PUT"]


def test_each_scope_has_its_own_note(stage: Stage) -> None:
    post(stage, "fuel")
    post(stage, "churn", Marker(scope="churn", order=5))
    assert bodies(stage) == ["fuel", "churn"]


def test_an_older_pipeline_does_not_overwrite_a_newer_one(stage: Stage) -> None:
    post(stage, "new", Marker(scope="fuel", order=9))
    shown = post(stage, "old", Marker(scope="fuel", order=8))
    assert bodies(stage) == ["new"]
    assert shown.marker.order == 9


def test_somebody_elses_look_alike_is_not_ours(stage: Stage) -> None:
    forged = render_note(Marker(scope="fuel", order=99), "trust me")
    stage.fake.world.add_note(stage.place, IID, stage.contributor, forged)
    post(stage, "all well")
    assert bodies(stage) == ["trust me", "all well"]


def test_the_note_is_found_behind_hundreds_of_others(stage: Stage) -> None:
    for number in range(230):
        stage.fake.world.add_note(stage.place, IID, stage.contributor, f"remark {number}")
    post(stage, "all well")
    post(stage, "better")
    assert len(stage.notes) == 231
    assert stage.written == ["POST", "PUT"]


def test_a_duplicate_left_by_a_crash_is_cleaned_up(stage: Stage) -> None:
    for body in ("one", "two", "three"):
        stage.fake.world.add_note(stage.place, IID, stage.bot, render_note(FUEL, body))
    oldest = stage.notes[0]["id"]
    assert post(stage, "all well").id == oldest
    assert bodies(stage) == ["all well"]


def test_a_command_is_never_posted(stage: Stage) -> None:
    with pytest.raises(RefusedError, match="command"):
        post(stage, "fine\n/merge")
    assert stage.fake.record.calls == []


def test_a_note_for_a_commit_that_is_no_longer_the_head_is_not_written(stage: Stage) -> None:
    stage.fake.world.move_head(stage.place, IID, "d" * 40)
    with stage.connect() as connection, pytest.raises(gitlab.ConflictError, match="moved"):
        gitlab.upsert_note(connection, PATH, IID, FUEL, "all well", sha=SHA)
    assert stage.written == []


@pytest.mark.parametrize("kind", [FaultKind.BUSY, FaultKind.BROKEN, FaultKind.PAGE, FaultKind.DROP])
@pytest.mark.parametrize("verb", ["GET", "POST", "PUT"])
def test_a_passing_fault_leaves_one_note(stage: Stage, kind: FaultKind, verb: str) -> None:
    if verb == "PUT":
        post(stage, "before")
    stage.fake.fail(kind, f"{verb} .*{NOTES}", retry_after=0)
    post(stage, "all well")
    assert bodies(stage) == ["all well"]


@pytest.mark.parametrize("verb", ["POST", "PUT"])
def test_a_lost_reply_leaves_one_note(stage: Stage, verb: str) -> None:
    if verb == "PUT":
        post(stage, "before")
    stage.fake.fail(FaultKind.LOST, f"{verb} .*{NOTES}")
    post(stage, "all well")
    assert bodies(stage) == ["all well"]
    assert stage.written.count("POST") == 1


def test_a_hang_ends_in_time_and_the_note_is_written(stage: Stage) -> None:
    stage.fake.fail(FaultKind.HANG, f"POST .*{NOTES}")
    began = time.monotonic()
    post(stage, "all well")
    assert time.monotonic() - began < 10
    assert bodies(stage) == ["all well"]


def test_a_server_that_stays_broken_is_left_alone_after_a_few_attempts(stage: Stage) -> None:
    stage.fake.fail(FaultKind.BROKEN, NOTES, times=1000)
    with pytest.raises(OutsideError, match="503") as caught:
        post(stage, "all well")
    assert len(stage.fake.record.calls) <= QUICK.attempts + 1
    assert caught.value.exit_code == 4


def test_the_wait_that_the_server_asks_for_is_kept(stage: Stage) -> None:
    stage.fake.fail(FaultKind.BUSY, f"POST .*{NOTES}", retry_after=1)
    began = time.monotonic()
    post(stage, "all well")
    assert time.monotonic() - began >= 1
    assert bodies(stage) == ["all well"]


def test_a_server_that_asks_for_an_hour_is_left_alone_at_once(stage: Stage) -> None:
    stage.fake.fail(FaultKind.BUSY, f"GET .*{NOTES}", retry_after=3600, times=1000)
    with pytest.raises(OutsideError, match="too many"):
        post(stage, "all well")
    assert stage.written == []


def test_a_note_deleted_under_our_hands_is_written_anew(stage: Stage) -> None:
    post(stage, "before")
    stage.fake.fail(FaultKind.THEN, f"GET .*{NOTES}", action=stage.notes.clear)
    post(stage, "all well")
    assert bodies(stage) == ["all well"]


@pytest.mark.parametrize(
    ("order", "newest", "calls"),
    [(4, "ours", ["POST", "PUT", "DELETE"]), (6, "theirs", ["POST", "DELETE"])],
)
def test_two_jobs_that_both_found_no_note_end_with_the_newest(
    stage: Stage, order: int, newest: str, calls: list[str]
) -> None:
    theirs = render_note(Marker(scope="fuel", order=order), "theirs")
    stage.fake.fail(
        FaultKind.THEN,
        f"GET .*{NOTES}",
        action=lambda: stage.fake.world.add_note(stage.place, IID, stage.bot, theirs),
    )
    post(stage, "ours")
    assert bodies(stage) == [newest]
    assert stage.written == calls


def test_a_newer_job_repairs_what_an_older_one_wrote_over_it(stage: Stage) -> None:
    post(stage, "before")
    older = render_note(Marker(scope="fuel", order=6), "older")
    stage.fake.fail(
        FaultKind.THEN, f"PUT .*{NOTES}", action=lambda: stage.notes[0].update(body=older)
    )
    post(stage, "newest", Marker(scope="fuel", order=7))
    assert bodies(stage) == ["newest"]


def race(stage: Stage, jobs: list[tuple[Marker, str]], limits: gitlab.Limits) -> list[object]:
    start = threading.Barrier(len(jobs))
    outcomes: list[object] = []

    def run(marker: Marker, body: str) -> None:
        with stage.connect(limits=limits) as connection:
            assert connection.own_id == stage.bot  # asked before, so that all list at once
            start.wait()
            try:
                outcomes.append(gitlab.upsert_note(connection, PATH, IID, marker, body))
            except OutsideError as error:
                outcomes.append(error)

    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_twenty_jobs_at_once_leave_one_note_with_the_newest_content(stage: Stage) -> None:
    jobs = [(Marker(scope="fuel", order=n), f"pipeline {n}") for n in range(1, 21)]
    outcomes = race(stage, jobs, replace(QUICK, read_seconds=20.0, settle_seconds=1.0))
    assert bodies(stage) == ["pipeline 20"]
    assert not [outcome for outcome in outcomes if isinstance(outcome, OutsideError)]


def test_jobs_of_one_pipeline_that_race_and_lose_replies_leave_one_note(stage: Stage) -> None:
    stage.fake.fail(FaultKind.LOST, f"POST .*{NOTES}", times=3)
    jobs = [(FUEL, f"attempt {n}") for n in range(6)]
    outcomes = race(stage, jobs, replace(QUICK, read_seconds=20.0, settle_seconds=0.5))
    assert len(stage.notes) == 1
    assert not [outcome for outcome in outcomes if isinstance(outcome, OutsideError)]
    marker = make_marker(stage.notes[0]["body"])
    assert marker is not None
    assert marker.scope == "fuel"
