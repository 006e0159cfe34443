"""What the findings on serving say to the letter, with their figures and severities."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops.gate.evidence import join_rows
from gitops.gate.serving_check import check_serving
from gitops.gate.verdict import Finding, Outcome
from gitops.policy import Policy, ServingRule, Severity, SignatureChange
from gitops.run import Inspection, Problem, ProblemKind
from tests.gate_columns import data, numbers
from tests.gate_evidence import make_evidence, make_scores

if TYPE_CHECKING:
    from gitops.gate.profile import DataProfile

PASS, FAIL = Outcome.PASS, Outcome.FAIL
WARN = Severity.WARN
A, B, C = ("a", "number", True), ("b", "number", False), ("c", "category", True)
FOUND = Inspection(
    bundle="b",
    split="s",
    size_bytes=2_500_000,
    load_seconds=0.25,
    p50_ms=0.5,
    p99_ms=1500.0,
    inputs=(A, B),
    importance=(),
)


def serve(
    new: Inspection | None,
    old: Inspection | None = None,
    *,
    first: bool = False,
    profile: DataProfile | None = None,
    champion_profile: DataProfile | None = None,
    problem: Problem | None = None,
    **rule: Any,
) -> list[Finding]:
    candidate = make_scores([1.0, 2.0], problem=problem)
    evidence = replace(
        make_evidence([1.0, 2.0], candidate, None if first else [1.0, 2.0]),
        inspection=new,
        champion_inspection=old,
        profile=profile,
        champion_profile=champion_profile,
    )
    policy = Policy(metrics=(), serving=ServingRule(severity=WARN, **rule))
    return list(check_serving(evidence, join_rows(evidence.current), policy))


def asks(*inputs: tuple[str, str, bool]) -> Inspection:
    return replace(FOUND, inputs=inputs)


def said(outcome: Outcome, reason: str) -> Finding:
    return Finding(rule="serving.signature", outcome=outcome, reason=reason, severity=WARN)


@pytest.mark.parametrize(
    ("name", "bound", "value", "outcome", "reason"),
    [
        ("max_load_seconds", 0.25, 0.25, PASS, "loading takes 0.25 s; at most 0.25 s is allowed"),
        (
            "max_p50_ms",
            0.4,
            0.5,
            FAIL,
            "half of single requests take at most 0.5 ms; at most 0.4 ms is allowed",
        ),
        (
            "max_p99_ms",
            2000,
            1500.0,
            PASS,
            "99 % of single requests take at most 1,500 ms; at most 2,000 ms is allowed",
        ),
        ("max_size_mb", 2.4, 2.5, FAIL, "the bundle has 2.5 MB; at most 2.4 MB is allowed"),
    ],
)
def test_a_bound_is_told_with_figure_and_unit(
    name: str, bound: float, value: float, outcome: Outcome, reason: str
) -> None:
    rule: dict[str, Any] = {name: bound}
    found = serve(FOUND, signature=SignatureChange.ANY, **rule)
    assert found == [
        Finding(
            rule=f"serving.{name}",
            outcome=outcome,
            reason=reason,
            severity=WARN,
            candidate=value,
            bound=bound,
        )
    ]
    rule[name] = 1500
    (unknown,) = serve(None, signature=SignatureChange.ANY, **rule)
    assert unknown == Finding(
        rule=f"serving.{name}",
        outcome=FAIL,
        reason=f"{name} is 1,500, and the candidate was not measured",
        severity=WARN,
        bound=1500,
    )


def test_a_figure_of_zero_is_one_and_a_negative_one_is_none() -> None:
    for value, outcome in ((0.0, PASS), (-0.1, FAIL)):
        found = serve(replace(FOUND, p50_ms=value), signature=SignatureChange.ANY, max_p50_ms=1)
        assert found[0].outcome is outcome


def test_bounds_are_told_in_a_fixed_order_before_the_signature() -> None:
    bounds: dict[str, Any] = {
        "max_size_mb": 9,
        "max_p99_ms": 9,
        "max_p50_ms": 9,
        "max_load_seconds": 9,
    }
    names = [finding.rule for finding in serve(FOUND, FOUND, **bounds)]
    assert names == [f"serving.{name}" for name in (*reversed(bounds), "signature")]


NOBODY = "what the models ask for was not looked at, so it cannot be compared"


@pytest.mark.parametrize(
    ("new", "old", "change", "outcome"),
    [
        (None, None, SignatureChange.COMPATIBLE, Outcome.NOT_APPLICABLE),
        (None, None, SignatureChange.NONE, FAIL),
        (FOUND, None, SignatureChange.COMPATIBLE, FAIL),
        (None, FOUND, SignatureChange.COMPATIBLE, FAIL),
    ],
)
def test_what_nobody_looked_at_cannot_be_compared(
    new: Inspection | None, old: Inspection | None, change: SignatureChange, outcome: Outcome
) -> None:
    assert serve(new, old, signature=change) == [said(outcome, NOBODY)]


def test_a_candidate_that_cannot_predict_has_been_refused_for_that_already() -> None:
    problem = Problem(kind=ProblemKind.CRASHED, message="no cheese")
    assert serve(None, FOUND, problem=problem) == [said(Outcome.NOT_APPLICABLE, NOBODY)]


def test_a_first_model_has_nobody_to_be_compared_with() -> None:
    reason = "what the model asks for is not compared: there is no champion yet"
    assert serve(FOUND, first=True) == [said(Outcome.NOT_APPLICABLE, reason)]


def test_the_same_inputs_are_counted() -> None:
    same = "the candidate asks for the same 2 inputs as the champion"
    for change in (SignatureChange.NONE, SignatureChange.COMPATIBLE):
        assert serve(asks(B, A), FOUND, signature=change) == [said(PASS, same)]


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ((A, B, C), "the candidate asks for `c` as well"),
        ((A,), "the candidate no longer asks for `b`"),
        ((C,), "the candidate asks for `c` as well; it no longer asks for `a`, `b`"),
        (
            (A, ("b", "number", True)),
            "the candidate takes rows without `b`, which the champion refuses",
        ),
        (
            (("a", "number", False), ("b", "category", False)),
            (
                "the candidate refuses rows without `a`, which the champion takes; it takes `b` as a "
                "category, and the champion as a number"
            ),
        ),
    ],
)
def test_every_change_of_a_signature_that_must_not_change_is_told(
    inputs: tuple[tuple[str, str, bool], ...], reason: str
) -> None:
    assert serve(asks(*inputs), FOUND, signature=SignatureChange.NONE) == [said(FAIL, reason)]


VALID = "every row that the champion's data holds is a valid request to the candidate too"
FULL, GAPS = data(numbers("c", [1])), data(numbers("c", [1], missing=3))
NEW = Finding(
    rule="serving.inputs",
    outcome=Outcome.INCONCLUSIVE,
    reason=(
        "the candidate also asks for `c`: raw rows have them, but a client that sends only what the "
        "champion asked for has to send them from now on"
    ),
    severity=WARN,
)


def test_asking_for_less_or_taking_more_is_compatible() -> None:
    for inputs in ((A,), (A, ("b", "number", True))):
        assert serve(asks(*inputs), FOUND) == [said(PASS, VALID)]


@pytest.mark.parametrize("missing", [True, False])
def test_a_new_input_that_raw_rows_have_is_shown_to_clients(missing: bool) -> None:
    fresh = asks(A, B, ("c", "number", missing))
    assert serve(fresh, FOUND, profile=FULL) == [said(PASS, VALID), NEW]
    gaps = said(FAIL, "the candidate refuses rows without `c`, which the data has")
    assert serve(fresh, FOUND, profile=GAPS) == ([said(PASS, VALID), NEW] if missing else [gaps])
    assert serve(fresh, FOUND, profile=FULL, champion_profile=GAPS)[0].outcome is (
        PASS if missing else FAIL
    )


def test_a_new_input_that_requests_lack_is_refused() -> None:
    lack = said(FAIL, "the candidate asks for `c`, which requests made for the champion lack")
    for profile in (None, data(numbers("d", [1]))):
        assert serve(asks(A, B, C), FOUND, profile=profile) == [lack]
    both = serve(asks(C, ("b", "category", False)), FOUND)
    assert both[0].reason == (
        "the candidate asks for `c`, which requests made for the champion lack; it takes `b` as a "
        "category, and the champion as a number"
    )
