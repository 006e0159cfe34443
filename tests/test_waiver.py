"""Waivers: bound to one verdict, read as hostile bytes, and the only door past a verdict that fails."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.adapters import documents
from gitops.digest import make_digest
from gitops.errors import ExitCode, GitopsError, InputError, RefusedError, UndecidedError
from gitops.gate.verdict import Finding, Outcome, Severity, Verdict
from gitops.manifest import ReleaseManifest, parse_manifest, render_manifest
from gitops.release import Candidate, PlannedCommit, Target, check_verdict, plan_release
from gitops.waiver import (
    Waiver,
    WaiverFile,
    find_entry_problem,
    make_waiver,
    make_waiver_path,
    parse_day,
    parse_waiver,
    waiver_to_json,
    weigh_waivers,
)
from tests.release_kit import TODAY, make_candidate, make_test_config, with_outcome

FUEL = make_test_config("fuel").models[0]
CANDIDATE = make_candidate(FUEL, "0" * 40, "a", make_digest("champion"))
UNSURE = with_outcome(CANDIDATE.verdict, Outcome.INCONCLUSIVE)
FAILED = with_outcome(CANDIDATE.verdict, Outcome.FAIL)
ADA = "Ada <ada@example.org>"
WAIVER = make_waiver(UNSURE, by=ADA, why="a week of new cars", expires=TODAY, today=TODAY)
LINES = st.text(min_size=1, max_size=60).filter(lambda text: text.isprintable() and text.strip())


def write(waiver: Waiver | dict[str, Any], *, folder: str = FUEL.waivers) -> WaiverFile:
    """Return the file of a waiver under the name that it should have."""
    body = waiver if isinstance(waiver, dict) else waiver_to_json(waiver)
    path = make_waiver_path(folder, body["verdict"]["key"])
    return WaiverFile(path=path, content=json.dumps(body).encode())


def change_verdict(waiver: Waiver, **changes: object) -> Waiver:
    return replace(waiver, verdict=replace(waiver.verdict, **changes))  # type: ignore[arg-type]  # one field


# Writing one


def test_a_waiver_says_who_why_until_when_and_for_which_verdict() -> None:
    assert (WAIVER.model, WAIVER.by, WAIVER.why) == ("fuel", ADA, "a week of new cars")
    assert WAIVER.verdict.key == UNSURE.key
    assert WAIVER.verdict.outcome is Outcome.INCONCLUSIVE
    assert WAIVER.verdict.findings == ("rmse.max",)


def test_a_passing_verdict_has_nothing_to_waive() -> None:
    with pytest.raises(InputError, match="nothing to waive"):
        make_waiver(CANDIDATE.verdict, by=ADA, why="to be sure", expires=TODAY, today=TODAY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"why": " \n\t"}, "without a reason"),
        ({"by": "\x00"}, "nobody is named"),
        ({"expires": TODAY - timedelta(days=1)}, "2026-01-04 is over"),
    ],
)
def test_an_incomplete_decision_is_refused(changes: dict[str, Any], message: str) -> None:
    given_ = {"by": ADA, "why": "few cars", "expires": TODAY, "today": TODAY, **changes}
    with pytest.raises(InputError, match=message):
        make_waiver(UNSURE, **given_)


@pytest.mark.parametrize("text", ["tomorrow", "2026-13-01", "20261231", "2026-W01-1", "", "²026-1"])
def test_what_is_not_a_day_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a day"):
        parse_day(text)


def test_only_rules_that_kept_it_from_passing_are_waived() -> None:
    warned = replace(UNSURE.findings[0], rule="slices", severity=Severity.WARN)
    passed = replace(UNSURE.findings[0], rule="r2.min", outcome=Outcome.PASS)
    verdict = replace(UNSURE, findings=(warned, passed, *UNSURE.findings))
    waiver = make_waiver(verdict, by=ADA, why="few cars", expires=TODAY, today=TODAY)
    assert waiver.verdict.findings == ("rmse.max",)


# Reading one


@given(by=LINES, why=LINES, expires=st.dates(min_value=TODAY))
def test_a_waiver_survives_being_written_and_read(by: str, why: str, expires: date) -> None:
    waiver = make_waiver(UNSURE, by=by, why=why, expires=expires, today=TODAY)
    body = waiver_to_json(waiver)
    documents.validate("waiver", body, "w.json")
    assert parse_waiver(json.dumps(body).encode(), "w.json") == waiver


CHANGES: dict[str, object] = {
    "schema_version": True,
    "model": "../fuel",
    "by": "",
    "why": "fine\n\nMerge-Request: evil!1",
    "expires": "2026-02-30",
    "verdict": [],
    "extra": 1,
}
VERDICT_CHANGES: dict[str, object] = {
    "key": "sha256:" + "A" * 64,
    "outcome": "PASS",
    "reason": "a line\u2028another",
    "fingerprint": None,
    "candidate": "x",
    "champion": "none",
    "policy": "",
    "rows": True,
    "findings": [],
    "extra": 1,
}


@pytest.mark.parametrize("key", CHANGES)
def test_a_waiver_with_one_odd_value_is_refused(key: str) -> None:
    content = json.dumps({**waiver_to_json(WAIVER), key: CHANGES[key]}).encode()
    with pytest.raises(InputError, match="not a waiver") as error:
        parse_waiver(content, "models/fuel.waivers/x.json")
    assert error.value.where == "models/fuel.waivers/x.json"


@pytest.mark.parametrize("key", VERDICT_CHANGES)
def test_a_waiver_of_an_odd_verdict_is_refused(key: str) -> None:
    body = waiver_to_json(WAIVER)
    body["verdict"][key] = VERDICT_CHANGES[key]
    with pytest.raises(InputError, match="not a waiver"):
        parse_waiver(json.dumps(body).encode(), "w.json")


@pytest.mark.parametrize("key", waiver_to_json(WAIVER))
def test_a_waiver_without_one_key_is_refused(key: str) -> None:
    body = waiver_to_json(WAIVER)
    del body[key]
    with pytest.raises(InputError, match=f"missing {key}"):
        parse_waiver(json.dumps(body).encode(), "w.json")


def test_a_waiver_cut_short_anywhere_is_refused() -> None:
    content = write(WAIVER).content
    for length in range(len(content)):
        with pytest.raises(InputError):
            parse_waiver(content[:length], "w.json")


@pytest.mark.parametrize(
    "content", [b"\xff", b"[" * 100_000, b'{"a": 1, "a": 1}', b'{"a": NaN}', b" " * (1 << 19)]
)
def test_a_file_that_is_no_waiver_is_refused(content: bytes) -> None:
    with pytest.raises(InputError, match="not a waiver"):
        parse_waiver(content, "w.json")


@given(content=st.binary(max_size=200))
def test_any_bytes_are_a_waiver_or_an_input_error(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_waiver(content, "w.json")


@pytest.mark.parametrize(
    ("path", "mode", "size", "problem"),
    [
        ("models/fuel.waivers/a.json", "100644", 100, ""),
        ("models/fuel.waivers/a.json", "120000", 10, "symbolic link"),
        ("models/fuel.waivers", "120000", 10, "symbolic link"),
        ("models/fuel.waivers/a.json", "160000", 0, "not a plain file"),
        ("models/fuel.waivers/old/a.json", "100644", 100, "directly in"),
        ("models/fuel.waivers/a.json", "100644", 1 << 20, "larger than"),
    ],
)
def test_only_a_plain_small_file_right_in_the_folder_is_read(
    path: str, mode: str, size: int, problem: str
) -> None:
    found = find_entry_problem("models/fuel.waivers", path, mode, size)
    assert bool(found) is bool(problem)
    assert problem in found


# The door


def attempt(verdict: Verdict, *files: WaiverFile, today: date = TODAY) -> Waiver | None:
    return check_verdict(replace(CANDIDATE, verdict=verdict, today=today), files)


def complain(verdict: Verdict, *files: WaiverFile, today: date = TODAY) -> str:
    """Return what the door says when it stays shut, having made sure that it does."""
    kind = RefusedError if verdict.outcome is Outcome.FAIL else UndecidedError
    with pytest.raises(kind) as error:
        attempt(verdict, *files, today=today)
    assert "gitops waive fuel" in error.value.hint
    return str(error.value)


@pytest.mark.parametrize("verdict", [UNSURE, FAILED])
def test_without_a_waiver_nothing_but_a_pass_gets_through(verdict: Verdict) -> None:
    said = complain(verdict)
    assert said == f"fuel is not released: {verdict.outcome}: {verdict.reason}"


@pytest.mark.parametrize("verdict", [UNSURE, FAILED])
def test_a_fitting_waiver_opens_the_door(verdict: Verdict) -> None:
    waiver = make_waiver(verdict, by=ADA, why="few cars", expires=TODAY, today=TODAY)
    assert attempt(verdict, write(waiver)) == waiver


def test_a_pass_needs_no_waiver_and_records_none() -> None:
    assert attempt(CANDIDATE.verdict, write(WAIVER)) is None


def test_a_waiver_counts_up_to_and_including_its_last_day() -> None:
    assert attempt(UNSURE, write(WAIVER), today=WAIVER.expires) == WAIVER
    said = complain(UNSURE, write(WAIVER), today=WAIVER.expires + timedelta(days=1))
    assert said.endswith("does nothing: it expired on 2026-01-05")


OTHER = make_digest("other")
DIFFERENCES: dict[str, tuple[Waiver, str]] = {
    "model": (replace(WAIVER, model="wine"), "it is about wine"),
    "fingerprint": (change_verdict(WAIVER, fingerprint=OTHER), "code, data or parameters changed"),
    "candidate": (change_verdict(WAIVER, candidate=OTHER), "training gave other bytes"),
    "champion": (change_verdict(WAIVER, champion=OTHER), "champion changed"),
    "no champion": (change_verdict(WAIVER, champion=""), "champion changed"),
    "policy": (change_verdict(WAIVER, policy=OTHER), "policy changed"),
    "rows": (change_verdict(WAIVER, rows=118), "held-out rows changed"),
    "key": (change_verdict(WAIVER, key=OTHER), "held-out rows changed"),
    "outcome": (
        change_verdict(WAIVER, outcome=Outcome.FAIL),
        "FAIL was waived, and the gate says INCONCLUSIVE",
    ),
    "findings": (change_verdict(WAIVER, findings=("r2.min",)), "rmse.max was not waived"),
    "reason": (change_verdict(WAIVER, reason="all is well"), "the gate gave another reason"),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_a_waiver_for_another_verdict_does_nothing_and_says_why(name: str) -> None:
    """Also what a forger would try: the right key, and one flattering word beside it."""
    waiver, difference = DIFFERENCES[name]
    said = complain(UNSURE, write(waiver))
    assert f"does nothing: it is for another verdict: {difference}" in said


def test_a_waived_doubt_does_not_waive_a_failure() -> None:
    assert "INCONCLUSIVE was waived, and the gate says FAIL" in complain(FAILED, write(WAIVER))


def test_a_rule_that_fails_besides_is_not_waived_along() -> None:
    leak = Finding(rule="leak.target", outcome=Outcome.INCONCLUSIVE, reason="needs the target")
    verdict = replace(UNSURE, findings=(*UNSURE.findings, leak))
    assert "leak.target was not waived" in complain(verdict, write(WAIVER))


def test_a_waiver_under_another_name_does_nothing() -> None:
    file = replace(write(WAIVER), path="models/fuel.waivers/0123456789abcdef.json")
    assert "is not the name for the verdict" in complain(UNSURE, file)


def test_a_file_that_cannot_be_read_does_nothing_and_hides_no_good_one() -> None:
    broken = WaiverFile(path="models/fuel.waivers/a.json", content=b"{}")
    linked = WaiverFile(path="models/fuel.waivers/b.json", problem="it is a symbolic link")
    said = complain(UNSURE, broken, linked)
    assert "a.json does nothing: not a waiver: missing" in said
    assert "b.json does nothing: it is a symbolic link" in said
    assert attempt(UNSURE, broken, linked, write(WAIVER)) == WAIVER


def test_the_closest_of_many_old_waivers_is_named_first_in_any_order() -> None:
    facts = ("fingerprint", "champion", "policy", "key")
    old = [
        write(change_verdict(WAIVER, **{fact: make_digest([i, fact]) for fact in facts}))
        for i in range(5)
    ]
    close = write(change_verdict(WAIVER, key=OTHER, champion=OTHER))
    weighed = weigh_waivers([*old, close], UNSURE, today=TODAY)
    assert weighed == weigh_waivers([close, *reversed(old)], UNSURE, today=TODAY)
    assert weighed.void[0].startswith(close.path)
    assert weighed.void[3:] == ("and so do 3 more",)


@given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "fingerprint": st.just(OTHER),
            "candidate": st.just(OTHER),
            "champion": st.sampled_from(["", OTHER]),
            "policy": st.just(OTHER),
            "key": st.just(OTHER),
            "outcome": st.just(Outcome.FAIL),
            "rows": st.integers(0, 118),
        },
    ),
    days=st.integers(-3, 3),
    outcome=st.sampled_from([Outcome.INCONCLUSIVE, Outcome.FAIL]),
)
def test_the_door_opens_only_if_everything_fits(
    changes: dict[str, object], days: int, outcome: Outcome
) -> None:
    verdict = with_outcome(CANDIDATE.verdict, outcome)
    day = TODAY + timedelta(days=days)
    made = make_waiver(verdict, by=ADA, why="few cars", expires=TODAY, today=TODAY)
    waiver = change_verdict(made, **changes)
    if waiver == made and days <= 0:
        assert attempt(verdict, write(waiver), today=day) == made
    else:
        assert "does nothing" in complain(verdict, write(waiver), today=day)


def test_a_waiver_does_not_make_up_for_other_inputs_or_another_policy() -> None:
    unsure = replace(CANDIDATE, verdict=UNSURE)
    for candidate in (replace(unsure, fingerprint=OTHER), replace(unsure, policy=OTHER)):
        with pytest.raises(RefusedError, match=r"about other code or data|applied another policy"):
            check_verdict(candidate, [write(WAIVER)])


# The release and its manifest


TARGET = Target(
    branch="main",
    commit="0" * 40,
    source_date="2026-01-05T10:00:00+00:00",
    source_message="",
    changed=(),
    carried=None,
    tagged=(),
    taken=(),
    lost="",
)


def plan(candidate: Candidate, *files: WaiverFile) -> PlannedCommit:
    planned = plan_release(candidate, replace(TARGET, waivers=files))
    assert isinstance(planned, PlannedCommit)
    return planned


def plan_waived() -> tuple[PlannedCommit, Waiver]:
    candidate = make_candidate(FUEL, "0" * 40, "a")
    verdict = with_outcome(candidate.verdict, Outcome.INCONCLUSIVE)
    waiver = make_waiver(verdict, by=ADA, why="few cars", expires=TODAY, today=TODAY)
    return plan(replace(candidate, verdict=verdict), write(waiver)), waiver


@pytest.mark.parametrize("outcome", [Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.NOT_APPLICABLE])
def test_a_release_cannot_even_be_planned_without_a_waiver(outcome: Outcome) -> None:
    candidate = make_candidate(FUEL, "0" * 40, "a")
    with pytest.raises(GitopsError, match="is not released") as error:
        plan(replace(candidate, verdict=with_outcome(candidate.verdict, outcome)))
    assert error.value.exit_code in (ExitCode.GATE_SAID_NO, ExitCode.UNDECIDED)


def test_the_release_records_the_waiver_whole() -> None:
    planned, waiver = plan_waived()
    manifest = parse_manifest(dict(planned.files)[FUEL.manifest], "m.json")
    assert manifest == planned.manifest
    assert manifest.waiver == waiver
    assert manifest.verdict.outcome == "INCONCLUSIVE"
    assert f"Waived by {ADA} until 2026-01-05 because: few cars\n" in planned.message
    assert f"\nWaived-By: {ADA}\n" in planned.message


def test_a_release_that_passed_does_not_speak_of_waivers() -> None:
    planned = plan(make_candidate(FUEL, "0" * 40, "a"), write(WAIVER))
    assert planned.manifest.waiver is None
    assert b"waiver" not in render_manifest(planned.manifest)


def forge(manifest: ReleaseManifest, **changes: Any) -> bytes:
    body = json.loads(render_manifest(manifest))
    for key, value in changes.items():
        if value is None:
            del body[key]
        else:
            body[key] = value
    return json.dumps(body).encode()


def test_a_manifest_that_lost_its_waiver_is_refused() -> None:
    planned, _ = plan_waived()
    with pytest.raises(InputError, match="is INCONCLUSIVE, and no waiver is recorded"):
        parse_manifest(forge(planned.manifest, waiver=None), "m.json")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model", "wine"),
        ("verdict.key", OTHER),
        ("verdict.outcome", "FAIL"),
        ("verdict.reason", "all is well"),
        ("verdict.fingerprint", OTHER),
        ("verdict.candidate", OTHER),
        ("verdict.policy", OTHER),
    ],
)
def test_a_manifest_with_the_waiver_of_another_verdict_is_refused(path: str, value: str) -> None:
    planned, waiver = plan_waived()
    body = waiver_to_json(waiver)
    place, _, key = path.rpartition(".")
    (body[place] if place else body)[key] = value
    with pytest.raises(InputError, match="about another verdict"):
        parse_manifest(forge(planned.manifest, waiver=body), "m.json")


def test_a_manifest_that_calls_a_waived_verdict_a_pass_is_refused() -> None:
    planned, _ = plan_waived()
    verdict = {**json.loads(forge(planned.manifest))["verdict"], "outcome": "PASS"}
    with pytest.raises(InputError, match="about another verdict"):
        parse_manifest(forge(planned.manifest, verdict=verdict), "m.json")
