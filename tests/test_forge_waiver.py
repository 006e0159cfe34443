"""Who waives a verdict on GitLab: one person at least who may, after the push, about exactly this commit."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.forge import (
    Approval,
    LabelAction,
    LabelEvent,
    MergeRequest,
    Role,
    User,
    Version,
)
from gitops.forge_waiver import (
    LABEL,
    ForgeFacts,
    find_merge_problem,
    is_told,
    make_seal,
    render_told,
    weigh_forge,
)
from gitops.gate.verdict import Finding, Outcome, Severity, Verdict
from gitops.waiver import Weighed, parse_waiver, waiver_to_json
from tests.release_kit import make_candidate, make_test_config, with_outcome

FUEL = make_test_config("fuel").models[0]
PASSED = make_candidate(FUEL, "0" * 40, "a").verdict
UNSURE, FAILED = (with_outcome(PASSED, one) for one in (Outcome.INCONCLUSIVE, Outcome.FAIL))
SHA, OLD, MERGED, SQUASHED = "a" * 40, "b" * 40, "c" * 40, "d" * 40
START = datetime(2026, 1, 5, 8, tzinfo=UTC)
TODAY = START.date()
AUTHOR, MARA, DORA, GUEST = (
    User(id=number, username=name)
    for number, name in enumerate(("cleo", "mara", "dora", "gus"), start=1)
)
BOT = User(id=8, username="project_1_bot_0f")
READER = User(id=9, username="release-account")
ROLES = (
    (AUTHOR.id, Role.MAINTAINER),
    (MARA.id, Role.MAINTAINER),
    (DORA.id, Role.DEVELOPER),
    (GUEST.id, Role.GUEST),
    (BOT.id, Role.MAINTAINER),
    (READER.id, Role.OWNER),
)
PROJECT = 1
REQUEST = MergeRequest(
    iid=7,
    state="opened",
    sha=SHA,
    source_branch="change",
    target_branch="main",
    source_project=PROJECT,
    target_project=PROJECT,
    author=AUTHOR,
    labels=(LABEL,),
    is_draft=False,
    web_url="https://gitlab.example/team/cars/-/merge_requests/7",
)


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def label(user: User | None, minute: int, action: LabelAction = LabelAction.ADD) -> LabelEvent:
    return LabelEvent(label=LABEL, action=action, user=user, at=at(minute))


def approval(user: User, minute: int | None) -> Approval:
    return Approval(user=user, at=None if minute is None else at(minute))


def facts(*events: LabelEvent, approvals: tuple[Approval, ...] = (), **changes: Any) -> ForgeFacts:
    """The commit was pushed in minute 10, another one before it in minute 0."""
    made = ForgeFacts(
        reference="team/cars!7",
        request=REQUEST,
        versions=(
            Version(head=SHA, base=OLD, created_at=at(10)),
            Version(head=OLD, base=OLD, created_at=at(0)),
        ),
        approvals=approvals,
        events=events,
        roles=ROLES,
        reader=READER.id,
    )
    return replace(made, **changes)


def weigh(known: ForgeFacts, verdict: Verdict = UNSURE, today: date = TODAY) -> Weighed:
    return weigh_forge(known, verdict, sha=SHA, today=today)


# By label


@pytest.mark.parametrize("verdict", [UNSURE, FAILED], ids=["inconclusive", "fail"])
def test_a_maintainer_waives_by_setting_the_label(verdict: Verdict) -> None:
    waiver = weigh(facts(label(MARA, 11)), verdict).waiver
    assert waiver is not None
    assert waiver.by == "@mara (Maintainer) on team/cars!7"
    assert waiver.why == f"label {LABEL} set 2026-01-05T08:11:00Z at {SHA}"
    assert waiver.expires == date(2026, 2, 4)
    assert waiver.verdict.key == verdict.key


@pytest.mark.parametrize(
    "user", [AUTHOR, DORA, GUEST, BOT, READER, User(id=77, username="stranger"), None]
)
def test_nobody_else_waives_by_label_alone(user: User | None) -> None:
    assert weigh(facts(label(user, 11))).waiver is None


@pytest.mark.parametrize(
    ("role", "counts"), [(role, role >= Role.MAINTAINER) for role in Role], ids=str
)
def test_the_role_is_the_one_of_now(role: Role, counts: bool) -> None:
    known = facts(label(MARA, 11), roles=((MARA.id, role),))
    assert (weigh(known).waiver is not None) is counts


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ((), "is not set"),
        ((label(MARA, 11), label(GUEST, 12, LabelAction.REMOVE)), "is not set"),
        ((label(MARA, 9),), "older than this commit"),
        ((label(MARA, 10),), "older than this commit"),
    ],
    ids=["never", "removed", "before the push", "with the push"],
)
def test_a_label_that_is_gone_or_saw_other_code_does_nothing(
    events: tuple[LabelEvent, ...], why: str
) -> None:
    weighed = weigh(facts(*events))
    assert weighed.waiver is None
    assert why in weighed.void[0]


def test_set_again_it_counts_for_who_set_it_last() -> None:
    removed = label(MARA, 12, LabelAction.REMOVE)
    assert weigh(facts(label(MARA, 11), removed, label(DORA, 13))).waiver is None
    assert weigh(facts(label(DORA, 11), removed, label(MARA, 13))).waiver is not None


def test_an_event_without_the_label_on_the_merge_request_does_nothing() -> None:
    assert weigh(facts(label(MARA, 11), request=replace(REQUEST, labels=()))).waiver is None


def test_another_label_does_nothing() -> None:
    other = replace(label(MARA, 11), label="gitops::waived")
    assert weigh(facts(other)).waiver is None


# By approval and label


@pytest.mark.parametrize("setter", [DORA, AUTHOR], ids=["a developer", "the author"])
def test_a_maintainer_who_approves_after_the_label_waives(setter: User) -> None:
    waiver = weigh(facts(label(setter, 11), approvals=(approval(MARA, 12),))).waiver
    assert waiver is not None
    assert waiver.by.startswith("@mara (Maintainer)")
    assert f"set by @{setter.username} 2026-01-05T08:11:00Z, approved" in waiver.why


@pytest.mark.parametrize(
    ("setter", "approver", "minute"),
    [
        *((None, MARA, 12), (GUEST, MARA, 12), (BOT, MARA, 12), (READER, MARA, 12)),
        *((DORA, DORA, 12), (DORA, GUEST, 12), (DORA, AUTHOR, 12), (AUTHOR, AUTHOR, 12)),
        *((DORA, BOT, 12), (DORA, READER, 12)),
        *((DORA, MARA, None), (DORA, MARA, 9), (DORA, MARA, 10), (DORA, MARA, 11)),
    ],
)
def test_no_other_pair_waives(setter: User | None, approver: User, minute: int | None) -> None:
    known = facts(label(setter, 11), approvals=(approval(approver, minute),))
    assert weigh(known).waiver is None


def test_an_approval_alone_approves_code() -> None:
    known = facts(approvals=(approval(MARA, 12),), request=replace(REQUEST, labels=()))
    assert weigh(known).waiver is None


# Exactly this commit


@pytest.mark.parametrize(
    "changes",
    [
        {"request": replace(REQUEST, sha=OLD)},
        {"versions": ()},
        {"versions": (Version(head=OLD, base=OLD, created_at=at(10)),)},
        {
            "versions": (
                Version(head=SHA, base=OLD, created_at=at(0)),
                Version(head=OLD, base=OLD, created_at=at(10)),
            )
        },
    ],
    ids=["the head moved", "no version", "another version", "an earlier version"],
)
def test_both_the_head_and_the_last_version_are_the_commit(changes: dict[str, Any]) -> None:
    weighed = weigh(facts(label(MARA, 11), **changes))
    assert weighed.waiver is None
    assert "is not the last commit" in weighed.void[0]


def test_a_commit_that_came_back_needs_the_label_again() -> None:
    back = (
        Version(head=SHA, base=OLD, created_at=at(20)),
        Version(head=OLD, base=OLD, created_at=at(15)),
        Version(head=SHA, base=OLD, created_at=at(10)),
    )
    assert weigh(facts(label(MARA, 11), versions=back)).waiver is None


def test_it_counts_for_thirty_days() -> None:
    known = facts(label(MARA, 11))
    assert weigh(known, today=date(2026, 2, 4)).waiver is not None
    assert "expired on 2026-02-04" in weigh(known, today=date(2026, 2, 5)).void[0]


# What no label waives


def with_finding(verdict: Verdict, rule: str, outcome: Outcome, severity: Severity) -> Verdict:
    finding = Finding(rule=rule, outcome=outcome, reason="found", severity=severity)
    return replace(verdict, findings=(*verdict.findings, finding))


@pytest.mark.parametrize(
    "rule", ["leak.target", "leak", "data.range", "selftest", "selftest.noise"]
)
def test_a_leak_bad_data_or_a_blind_gate_takes_a_reviewed_file(rule: str) -> None:
    verdict = with_finding(FAILED, rule, Outcome.FAIL, Severity.BLOCK)
    weighed = weigh(facts(label(MARA, 11), approvals=(approval(MARA, 12),)), verdict)
    assert weighed.waiver is None
    assert rule in weighed.void[0]
    assert "gitops waive fuel" in weighed.void[0]


@pytest.mark.parametrize(
    ("rule", "outcome", "severity"),
    [
        ("leak.target", Outcome.FAIL, Severity.WARN),
        ("leak.target", Outcome.PASS, Severity.BLOCK),
        ("leakage.max", Outcome.FAIL, Severity.BLOCK),
        ("data.range", Outcome.INCONCLUSIVE, Severity.BLOCK),
    ],
)
def test_only_what_failed_and_blocks_takes_one(
    rule: str, outcome: Outcome, severity: Severity
) -> None:
    verdict = with_finding(FAILED, rule, outcome, severity)
    assert weigh(facts(label(MARA, 11)), verdict).waiver is not None


# What a merge request became


def merge_problem(parents: tuple[str, ...] = (OLD,), source: str = MERGED, **changes: Any) -> str:
    request = replace(REQUEST, state="merged", **changes)
    return find_merge_problem(
        request, project=PROJECT, branch="main", source=source, parents=parents
    )


def test_a_merge_a_squash_and_a_fast_forward_are_recognised() -> None:
    assert merge_problem((OLD, SHA)) == ""
    assert merge_problem((OLD, SQUASHED), squash_commit=SQUASHED) == ""
    assert merge_problem(merge_commit=MERGED) == ""
    assert merge_problem(source=SQUASHED, squash_commit=SQUASHED) == ""
    assert merge_problem(source=SHA) == ""


def test_any_other_commit_is_not_what_it_became() -> None:
    assert merge_problem()
    assert merge_problem((OLD, "e" * 40))
    assert merge_problem((OLD, "e" * 40), merge_commit=MERGED)
    assert merge_problem((SHA, OLD)), "a commit on top of it, with something else merged"
    assert merge_problem((OLD, SHA), target_branch="other")
    assert merge_problem((OLD, SHA), target_project=2)
    request = replace(REQUEST, state="opened")
    assert find_merge_problem(
        request, project=PROJECT, branch="main", source=MERGED, parents=(OLD, SHA)
    )


# What the merge request was told


def test_a_status_tells_of_the_verdicts_that_do_not_pass() -> None:
    told = render_told("fuel: FAIL", (FAILED,))
    assert is_told(told, FAILED)
    assert is_told(render_told("fuel: FAIL", (UNSURE, FAILED), "@mara"), FAILED)
    assert render_told("fuel: PASS", (PASSED,)) == "fuel: PASS"


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "sha256:" + "0" * 64},
        {"outcome": Outcome.INCONCLUSIVE},
        {"model": "other"},
        {"findings": (*FAILED.findings, replace(FAILED.findings[0], rule="r2.min"))},
    ],
)
def test_it_tells_of_no_other_verdict(changes: dict[str, Any]) -> None:
    assert not is_told(render_told("fuel: FAIL", (FAILED,)), replace(FAILED, **changes))


def test_a_refused_path_cannot_pose_as_a_verdict() -> None:
    assert not is_told(f"refused: data/x [{make_seal(FAILED)}]", FAILED)


@given(length=st.integers(min_value=0, max_value=40))
def test_what_was_cut_off_was_not_told(length: int) -> None:
    told = render_told("fuel: FAIL", (FAILED,))
    assert is_told(told[:length], FAILED) is (length >= len(told))


# As a record


@given(name=st.text(max_size=80), minute=st.integers(min_value=11, max_value=10_000))
def test_whatever_the_name_it_is_a_waiver_that_can_be_read_back(name: str, minute: int) -> None:
    mara = replace(MARA, username=name)
    waiver = weigh(facts(label(mara, minute))).waiver
    if waiver is not None:
        assert parse_waiver(json.dumps(waiver_to_json(waiver)).encode(), "w.json") == waiver
