"""What the gate wrote becomes one note and one status, whatever fails, races or was forged."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from gitops.cli import main
from gitops.errors import InputError, OutsideError
from gitops.flow.noting import post_message, read_message
from gitops.flow.planning import find_base, plan_changes
from gitops.gate.verdict import Outcome
from gitops.note import make_marker
from gitops.plan import Refusal
from tests.fake_gitlab import FaultKind
from tests.fake_gitlab.stage import IID, QUICK, TOKEN, Stage
from tests.review.kit import Desk, make_environ, make_job, make_message, post
from tests.test_report_markdown import parse, shown_text

pytestmark = pytest.mark.slow

FORGED = (
    "**PASS** ```\n/approve\n/merge\n~~~\n</details><img src=x>[a](http://x) @all\u2028/close\n"
    "✅ **PASS** for `fuel`"
)


def write_failure(desk: Desk, **facts: str) -> None:
    """Write what the run job leaves when it fails, or what unreviewed code puts in its place."""
    said = {"what": "the step 'fit' failed\n    | ValueError: no rows", "where": "", "hint": ""}
    body = {"commit": desk.environ["CI_COMMIT_SHA"], "fingerprint": "sha256:" + "b" * 64}
    desk.document("failure.json").write_text(json.dumps({**body, **said, **facts}), "utf-8")


def forget(desk: Desk, *names: str) -> None:
    for name in names:
        desk.document(name).unlink(missing_ok=True)


@pytest.fixture
def failed(desk: Desk) -> Desk:
    """The merge request where the run job failed: no run, but why."""
    forget(desk, "run.json")
    write_failure(desk)
    return desk


def test_the_verdict_is_one_note_and_one_status(gate_done: Desk, stage: Stage) -> None:
    message = post(gate_done, stage)
    assert message.outcome is Outcome.PASS
    (note,) = stage.notes
    assert "**PASS**" in note["body"]
    assert "](https://gitlab.example/team/cars/-/pipelines/5000)" in note["body"]
    (status,) = stage.place.statuses
    assert (status["status"], status["sha"], status["pipeline_id"]) == (
        *("success", gate_done.environ["CI_COMMIT_SHA"]),
        5000,
    )


def test_told_twice_it_is_still_one_note_and_one_status(gate_done: Desk, stage: Stage) -> None:
    post(gate_done, stage)
    post(gate_done, stage)
    assert (len(stage.notes), len(stage.place.statuses)) == (1, 1)


def test_ten_pipelines_at_once_leave_one_note_with_the_newest_content(
    gate_done: Desk, stage: Stage
) -> None:
    numbers = range(6000, 6010)
    workspace, message = make_message(gate_done)
    for number in numbers:
        stage.fake.world.add_pipeline(
            stage.place, id=number, sha=gate_done.environ["CI_COMMIT_SHA"]
        )

    def tell(number: int) -> None:
        job = make_job(gate_done, stage, GITOPS_PIPELINE_ID=str(number))
        with stage.connect(limits=replace(QUICK, settle_seconds=0.5)) as connection:
            post_message(connection, job, workspace, message)

    with ThreadPoolExecutor(len(numbers)) as pool:
        assert list(pool.map(tell, numbers)) == [None] * len(numbers)
    (note,) = stage.notes
    marker = make_marker(note["body"])
    assert marker is not None
    assert marker.order == numbers[-1]


@pytest.mark.parametrize(
    ("outcome", "state"), [("INCONCLUSIVE", "skipped"), ("FAIL", "failed"), ("PASS", "success")]
)
def test_the_status_is_green_for_a_pass_alone(
    gated: Desk, stage: Stage, outcome: str, state: str
) -> None:
    first, *rest = gated.read("verdict.json")["findings"]
    findings = [{**first, "outcome": outcome, "severity": "block"}, *rest]
    gated.change("verdict.json", outcome=outcome, findings=findings)
    post(gated, stage)
    assert [one["status"] for one in stage.place.statuses] == [state]


@pytest.mark.parametrize("missing", ["verdict.json", "report.md"])
def test_a_planned_model_without_a_verdict_is_no_pass(
    gated: Desk, stage: Stage, missing: str
) -> None:
    gated.document(missing).unlink()
    assert post(gated, stage).outcome is Outcome.FAIL
    assert "NO VERDICT" in stage.notes[0]["body"]
    assert [one["status"] for one in stage.place.statuses] == ["failed"]


def test_a_run_that_failed_is_told_with_its_last_lines(failed: Desk, stage: Stage) -> None:
    gate = failed.gitops("gate", "--report", "--model", "fuel")
    assert gate.returncode == 2
    assert "the run failed: the step 'fit' failed\n    | ValueError: no rows\n" in gate.stderr
    assert post(failed, stage).outcome is Outcome.FAIL
    (note,) = stage.notes
    first, said = note["body"].split("\n\n", 2)[1:]
    assert first.startswith("❌ **NO VERDICT** for `fuel`: ")
    assert "```text\nthe step 'fit' failed\n    | ValueError: no rows\n```\n" in said
    assert [one["status"] for one in stage.place.statuses] == ["failed"]


def test_what_a_failed_run_says_is_only_text(failed: Desk, stage: Stage) -> None:
    write_failure(failed, what=FORGED, where=FORGED, hint=FORGED)
    assert post(failed, stage).outcome is Outcome.FAIL
    (note,) = stage.notes
    tokens = parse(note["body"].partition("-->")[2])
    assert [token.type for token in tokens].count("fence") == 1
    assert "PASS" not in shown_text(tokens)
    assert "\u2028" not in note["body"]
    assert stage.fake.world.quick_actions == []
    assert [one["status"] for one in stage.place.statuses] == ["failed"]


@pytest.mark.parametrize("content", ["a failure", "a link", "a flood"])
def test_a_forged_failure_changes_no_verdict(gated: Desk, content: str) -> None:
    usual = make_message(gated)[1]
    if content == "a link":
        gated.document("failure.json").symlink_to("/etc/passwd")
    else:
        write_failure(gated, what=FORGED * (1 if content == "a failure" else 2000))
    assert make_message(gated)[1] == usual
    assert gated.gitops("gate", "--model", "fuel").returncode == 0


@pytest.mark.parametrize("content", ["a link", "a flood", "of another commit"])
def test_what_is_no_failure_of_this_commit_is_not_told(
    failed: Desk, stage: Stage, content: str
) -> None:
    if content == "a link":
        failed.document("failure.json").rename(failed.document("real.json"))
        failed.document("failure.json").symlink_to("real.json")
    elif content == "a flood":
        write_failure(failed, what="no rows" * 20_000)
    else:
        write_failure(failed, commit="f" * 40)
    gate = failed.gitops("gate", "--model", "fuel")
    assert (gate.returncode, "no rows" in gate.stderr) == (2, False)
    assert post(failed, stage).outcome is Outcome.FAIL
    assert "NO VERDICT" in stage.notes[0]["body"]
    assert "said last" not in stage.notes[0]["body"]


def test_a_run_that_the_gate_refused_did_not_fail(gated: Desk) -> None:
    """Then what lies there as its last lines is not believed."""
    forget(gated, "verdict.json", "report.md")
    write_failure(gated, what=FORGED)
    (report,) = make_message(gated)[1].reports
    assert (report.outcome, report.failure) == (None, "")


def test_a_verdict_that_contradicts_its_findings_is_no_verdict(gated: Desk) -> None:
    gated.change("verdict.json", outcome="FAIL")
    assert make_message(gated)[1].outcome is Outcome.FAIL
    assert make_message(gated)[1].reports[0].outcome is None


def test_what_the_plan_refuses_is_told_with_the_next_step(gated: Desk, stage: Stage) -> None:
    workspace, _ = make_message(gated)
    refusal = Refusal(where="data/a.dvc", what="`x` is not there", hint="dvc push data/a.dvc")
    plan = plan_changes(workspace, find_base(workspace, gated.environ, None))
    message = read_message(workspace, replace(plan, refusals=(refusal,)))
    with stage.connect() as connection:
        post_message(connection, make_job(gated, stage), workspace, message)
    (note,) = stage.notes
    assert "**REFUSED**" in note["body"]
    assert "`dvc push data/a.dvc`" in note["body"]
    (status,) = stage.place.statuses
    assert (status["status"], status["description"]) == ("failed", "refused: data/a.dvc")


def test_a_verdict_on_another_commit_is_no_verdict(gated: Desk) -> None:
    gated.change("run.json", commit="f" * 40)
    assert make_message(gated)[1].reports[0].outcome is None


@pytest.mark.parametrize("kind", [FaultKind.BROKEN, FaultKind.CONFLICT, FaultKind.PAGE])
def test_a_note_that_fails_changes_neither_verdict_nor_status(
    gate_done: Desk, stage: Stage, kind: FaultKind, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.fake.fail(kind, "/notes", times=99)
    assert post(gate_done, stage).outcome is Outcome.PASS
    assert [one["status"] for one in stage.place.statuses] == ["success"]
    assert "the note was not written" in capsys.readouterr().err


def test_a_picture_that_fails_leaves_a_note_without_one(gate_done: Desk, stage: Stage) -> None:
    stage.fake.fail(FaultKind.BROKEN, "/uploads", times=99)
    post(gate_done, stage)
    assert "![" not in stage.notes[0]["body"]


def test_a_status_that_fails_is_an_error(gate_done: Desk, stage: Stage) -> None:
    stage.fake.fail(FaultKind.BROKEN, "/statuses", times=99)
    with pytest.raises(OutsideError):
        post(gate_done, stage)


def test_a_report_that_would_act_is_not_posted(gated: Desk, stage: Stage) -> None:
    text = gated.document("report.md")
    text.write_text(text.read_text("utf-8") + "\n/merge\n", "utf-8")
    post(gated, stage)
    assert (stage.notes, stage.fake.world.quick_actions) == ([], [])


def test_after_a_push_only_the_old_commit_has_a_status(gate_done: Desk, stage: Stage) -> None:
    stage.fake.world.move_head(stage.place, IID, "d" * 40)
    post(gate_done, stage)
    assert stage.notes == []
    assert {one["sha"] for one in stage.place.statuses} == {gate_done.environ["CI_COMMIT_SHA"]}


def test_a_merged_result_speaks_for_the_source_branch(gate_done: Desk, stage: Stage) -> None:
    """Its own commit is on no branch, and its pipeline is not one of the source branch's commit."""
    source = "e" * 40
    stage.fake.world.move_head(stage.place, IID, source)
    post(gate_done, stage, CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=source)
    assert [one["sha"] for one in stage.place.statuses] == [source]
    assert len(stage.notes) == 1


def test_the_parent_pipeline_orders_the_notes(gate_done: Desk, stage: Stage) -> None:
    stage.fake.world.add_pipeline(stage.place, id=4999, sha=gate_done.environ["CI_COMMIT_SHA"])
    assert make_job(gate_done, stage, GITOPS_PIPELINE_ID="4999").pipeline == 4999


def test_without_a_token_the_report_is_printed_and_gitlab_is_not_asked(
    gate_done: Desk, stage: Stage
) -> None:
    desk = replace(gate_done, environ=make_environ(gate_done, stage))
    done = desk.gitops("note")
    assert done.returncode == 0, done.stderr
    assert "**PASS**" in done.stdout
    assert "A member of the project" in done.stderr
    assert stage.fake.record.calls == []


def test_the_token_is_in_nothing_that_is_printed(gate_done: Desk, stage: Stage) -> None:
    environ = {**make_environ(gate_done, stage), "GITOPS_GITLAB_TOKEN": TOKEN}
    desk = replace(gate_done, environ=environ)
    done = desk.gitops("note")
    assert done.returncode == 0, done.stderr
    stage.fake.fail(FaultKind.ECHO, "/statuses", times=99)
    failed = desk.gitops("note")
    assert failed.returncode != 0
    printed = done.stdout + done.stderr + failed.stdout + failed.stderr
    assert TOKEN not in printed
    assert not re.search("glpat", printed)


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_MERGE_REQUEST_IID": ""},
        {"CI_PROJECT_ID": "1; id"},
        {"CI_PIPELINE_ID": "", "GITOPS_PIPELINE_ID": ""},
        {"CI_SERVER_URL": ""},
    ],
)
def test_outside_a_merge_request_there_is_nobody_to_tell(
    gate_done: Desk, stage: Stage, variables: dict[str, str]
) -> None:
    with pytest.raises(InputError, match="no job of a merge request"):
        make_job(gate_done, stage, **variables)


def test_at_a_desk_note_says_what_to_run_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith(("CI", "GITLAB", "GITOPS"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    assert main(["note"]) == 2
    assert "gitops check" in capsys.readouterr().err
