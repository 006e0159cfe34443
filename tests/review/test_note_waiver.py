"""A verdict that does not pass, and what people decided about it on GitLab, in one note and one status."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gitops.errors import OutsideError
from gitops.flow.judging import read_verdict
from gitops.forge_waiver import LABEL, is_told
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.stage import IID, TOKEN, Stage
from tests.review.kit import Desk, make_environ, post

pytestmark = pytest.mark.slow


def end(desk: Desk, outcome: str, rule: str = "rmse.max") -> None:
    """Let the gate have ended otherwise, by one of its rules."""
    first, *rest = desk.read("verdict.json")["findings"]
    changed = {**first, "rule": rule, "outcome": outcome, "severity": "block"}
    desk.change("verdict.json", outcome=outcome, findings=[changed, *rest])


def set_label(stage: Stage, user: int, action: str = "add") -> None:
    """Set or remove the label now, for the command looks at the day that it is."""
    stage.fake.world.set_label(stage.place, IID, user, LABEL, action=action)
    stage.place.label_events[IID][-1]["created_at"] = datetime.now(UTC).isoformat()


def states(stage: Stage) -> list[str]:
    return [one["status"] for one in stage.place.statuses]


@pytest.mark.parametrize(("outcome", "state"), [("INCONCLUSIVE", "skipped"), ("FAIL", "failed")])
def test_without_a_label_the_note_says_what_a_maintainer_does(
    gated: Desk, stage: Stage, outcome: str, state: str
) -> None:
    end(gated, outcome)
    post(gated, stage)
    assert states(stage) == [state]
    assert f"Not waived: `{LABEL}` is not set" in stage.notes[0]["body"]
    status = stage.place.statuses[0]["description"]
    assert is_told(status, read_verdict(gated.open(), "fuel"))


@pytest.mark.parametrize("outcome", ["INCONCLUSIVE", "FAIL"])
def test_a_maintainers_label_makes_the_status_green_and_says_who(
    gated: Desk, stage: Stage, outcome: str
) -> None:
    end(gated, outcome)
    set_label(stage, stage.maintainer)
    post(gated, stage)
    assert states(stage) == ["success"]
    status = stage.place.statuses[0]["description"]
    assert status.startswith(f"waived by @mara: fuel: {outcome}")
    assert is_told(status, read_verdict(gated.open(), "fuel"))
    body = stage.notes[0]["body"]
    assert "Waived by `@mara`" in body


def test_a_label_that_is_taken_back_takes_the_green_with_it(gated: Desk, stage: Stage) -> None:
    end(gated, "FAIL")
    set_label(stage, stage.maintainer)
    post(gated, stage)
    set_label(stage, stage.maintainer, "remove")
    post(gated, stage)
    assert states(stage) == ["success", "failed"]
    assert "Not waived" in stage.notes[0]["body"]


def test_the_author_waives_nothing(gated: Desk, stage: Stage) -> None:
    end(gated, "INCONCLUSIVE")
    set_label(stage, stage.contributor)
    post(gated, stage)
    assert states(stage) == ["skipped"]


def test_a_leak_is_waived_by_a_reviewed_file_only(gated: Desk, stage: Stage) -> None:
    end(gated, "FAIL", "leak.target")
    set_label(stage, stage.maintainer)
    post(gated, stage)
    assert states(stage) == ["failed"]
    assert "gitops waive fuel" in stage.notes[0]["body"].replace("`", "")


def test_a_pass_asks_nobody(gate_done: Desk, stage: Stage) -> None:
    post(gate_done, stage)
    assert not [call for call in stage.fake.record.calls if "label_events" in call.path]


def test_a_label_of_long_ago_has_expired(gated: Desk, stage: Stage) -> None:
    end(gated, "INCONCLUSIVE")
    stage.fake.world.set_label(stage.place, IID, stage.maintainer, LABEL)
    post(gated, stage)
    assert states(stage) == ["skipped"]
    assert "it expired on" in stage.notes[0]["body"]


@pytest.mark.parametrize("place", ["/resource_label_events", "/versions"])
def test_when_gitlab_does_not_tell_the_verdict_stands_and_the_job_is_tried_again(
    gated: Desk, stage: Stage, place: str
) -> None:
    end(gated, "FAIL")
    set_label(stage, stage.maintainer)
    stage.fake.fail(FaultKind.CONFLICT, place, times=99)
    with pytest.raises(OutsideError, match="does not tell"):
        post(gated, stage)
    assert states(stage) == ["failed"]


def test_a_push_between_reading_and_writing_makes_no_green_commit(
    gated: Desk, stage: Stage
) -> None:
    end(gated, "FAIL")
    set_label(stage, stage.maintainer)
    stage.fake.fail(FaultKind.MOVED, "GET .*/versions", sha="d" * 40)
    post(gated, stage)
    assert states(stage) == ["failed"]
    assert stage.notes == []


def test_a_push_after_the_decision_leaves_the_new_commit_without_a_status(
    gated: Desk, stage: Stage
) -> None:
    end(gated, "FAIL")
    set_label(stage, stage.maintainer)
    stage.fake.fail(FaultKind.MOVED, "POST .*/uploads|GET .*/merge_requests/7$", sha="d" * 40)
    post(gated, stage)
    assert {one["sha"] for one in stage.place.statuses} == {gated.environ["CI_COMMIT_SHA"]}
    assert stage.notes == []


def test_the_command_ends_well_when_it_is_waived(gated: Desk, stage: Stage) -> None:
    end(gated, "INCONCLUSIVE")
    environ = {**make_environ(gated, stage), "GITOPS_GITLAB_TOKEN": TOKEN}
    desk = replace(gated, environ=environ)
    assert desk.gitops("note").returncode == 5
    set_label(stage, stage.maintainer)
    done = desk.gitops("note")
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
